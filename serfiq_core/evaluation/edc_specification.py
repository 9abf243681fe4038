"""The EDC as plain loops over exact fractions: the specification that `edc.py` is tested against.

ISO/IEC 29794-1. Nothing here is fast, and nothing else imports it but tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class MatedPair:
    """The scores of its two photographs, and whether they match."""

    first_quality: float
    second_quality: float
    matches: bool

    @property
    def quality(self) -> float:
        """A pair is as good as the worse of its photographs."""
        return min(self.first_quality, self.second_quality)


@dataclass(frozen=True, slots=True)
class Step:
    """Pairs of at least `quality_threshold` are kept."""

    quality_threshold: float
    discarded: Fraction
    fnmr: Fraction


def edc(pairs: Sequence[MatedPair]) -> list[Step]:
    """One step for each pair quality there is, from keeping all pairs to keeping the best."""
    steps = []
    for quality_threshold in sorted({pair.quality for pair in pairs}):
        kept = [pair for pair in pairs if pair.quality >= quality_threshold]
        failing = [pair for pair in kept if not pair.matches]
        discarded = Fraction(len(pairs) - len(kept), len(pairs))
        steps.append(Step(quality_threshold, discarded, Fraction(len(failing), len(kept))))
    return steps


def fnmr_at_discard(steps: Sequence[Step], discard: Fraction) -> Fraction:
    """Of the last step that discards no more than that."""
    return [step.fnmr for step in steps if step.discarded <= discard][-1]


def partial_area(steps: Sequence[Step], limit: Fraction) -> Fraction:
    """The rectangles under the steps, the last one cut off at `limit`."""
    ends = [step.discarded for step in steps[1:]] + [Fraction(1)]
    area = Fraction(0)
    for step, end in zip(steps, ends, strict=True):
        width = min(end, limit) - min(step.discarded, limit)
        area += width * step.fnmr
    return area


def halving_discard(steps: Sequence[Step]) -> Fraction | None:
    """The first step with half of the FNMR at the start, or less; None when there is none."""
    for step in steps:
        if 2 * step.fnmr <= steps[0].fnmr:
            return step.discarded
    return None
