"""From native values to 0–100, as OFIQ maps them. This file knows no faces and no pixels.

OFIQ is BSI's open reference implementation of ISO/IEC 29794-5 (BSI-OFIQ/OFIQ-Project): its
`Measure.h` has the form, its `data/ofiq_config.jaxn` the parameters. It rounds to whole numbers;
here nothing is rounded.
"""

import math
from dataclasses import dataclass

from serfiq_core.types import Component, ComponentName


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """`h (a + s σ((x − x0) / w))`, clipped to 0–100. The names and defaults are OFIQ's."""

    x0: float
    w: float
    h: float = 100.0
    a: float = 0.0
    s: float = 1.0

    def __call__(self, native_value: float) -> float:
        """The quality component value, 0–100; NaN of NaN."""
        return clipped(self.h * (self.a + self.s * sigmoid(native_value, self.x0, self.w)))


def sigmoid(x: float, x0: float, w: float) -> float:
    """The logistic function of `(x − x0) / w`, for any x: its naive form overflows."""
    return 0.5 * (1 + math.tanh((x - x0) / (2 * w)))


def clipped(value: float) -> float:
    """Into 0–100; NaN stays NaN, which `max` and `min` would turn into a bound."""
    return value if math.isnan(value) else min(max(value, 0.0), 100.0)


def ratio(over: float, under: float) -> float:
    """NaN, not an error, where there is nothing to divide by: such a component is left out."""
    return over / under if under else math.nan


def component(
    name: ComponentName,
    native_value: float,
    unit: str,
    value: float | None = None,
    *,
    approximate: bool = True,
) -> Component:
    """A component; approximate is the rule, for want of the 98 landmarks and the face parsing."""
    return Component(name, float(native_value), unit, value, approximate)
