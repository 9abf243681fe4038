"""The detection error trade-off (DET) of the recogniser itself: FNMR over FMR, ISO/IEC 19795-1.

This file is numpy only. It counts from histograms: a point for each of their edges, exact there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serfiq_core.evaluation.error_rates import HISTOGRAM_EDGES


@dataclass(frozen=True, slots=True)
class Det:
    """Points by rising comparison threshold: FMR falls, FNMR rises."""

    comparison_threshold: npt.NDArray[np.float64]
    fmr: npt.NDArray[np.float64]
    fnmr: npt.NDArray[np.float64]


def det(mated: npt.NDArray[np.int64], non_mated: npt.NDArray[np.int64]) -> Det:
    """From the histograms of mated and of non-mated similarities, neither empty."""
    at_or_above = np.cumsum(non_mated[::-1])[::-1]
    below = np.concatenate([[0], np.cumsum(mated)[:-1]])
    return Det(HISTOGRAM_EDGES[:-1], at_or_above / non_mated.sum(), below / mated.sum())
