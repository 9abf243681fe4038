"""When the data cannot support an answer, and how much more would.

Each check passes, or raises with what its reader needs: what is too little, how much there is, and
about how much more it takes, of photographs like these. Labels are checked before photographs are
read, and again when it is known which are usable: hence "at most". The rules of 3 and of 30 are
those of ISO/IEC 19795-1, annex B. This file is numpy only; it counts, and computes no rate itself.
"""

from math import ceil, isinf, sqrt
from statistics import NormalDist

import numpy as np

from serfiq_core.errors import InsufficientDataError
from serfiq_core.evaluation.bootstrap import FEWEST_WITHOUT_EVENT, LEVEL_PERCENT, Interval
from serfiq_core.evaluation.discarding import ROUNDING, DiscardCurve, RankedPhotographs
from serfiq_core.evaluation.error_rates import Counts, non_mated_count

FEWEST_EVENTS = 30
"""So many false matches, or rejected photographs, must be expected for a rate to be met within
±30 % at 90 % confidence: the rule of 30 (Doddington et al., 2000)."""

FEWEST_SUBJECTS = 30
"""Intervals from fewer clusters come out too narrow: Cameron, Gelbach and Miller, 2008."""

WIDEST_SHARE = 0.2
"""An interval whose ends differ by more than a fifth of all photographs decides nothing."""

LARGEST_FMR = 0.1
"""Nobody verifies at more, and the pairs that set the threshold must fit into memory."""


def fewest_left(fnmr: float) -> int:
    """How many subjects with mated pairs it takes to claim an FNMR of at most `fnmr`."""
    return _whole(FEWEST_WITHOUT_EVENT / fnmr)


def check_subjects(subjects: int) -> None:
    """Raise unless there are enough subjects to draw from.

    Raises:
        InsufficientDataError: there are not.
    """
    if subjects < FEWEST_SUBJECTS:
        raise InsufficientDataError(
            f"an interval needs {FEWEST_SUBJECTS} subjects with a usable photograph, and there are "
            f"at most {subjects}: {FEWEST_SUBJECTS - subjects} too few"
        )


def check_photographs(photographs: int, rejected: float) -> None:
    """Raise unless the share of photographs to be rejected makes enough of them.

    Raises:
        InsufficientDataError: it does not.
    """
    needed = _whole(FEWEST_EVENTS / rejected)
    if photographs < needed:
        raise InsufficientDataError(
            f"to reject {rejected:g} of the photographs, {FEWEST_EVENTS} must be expected among "
            f"those rejected, which takes {needed:,}; there are at most {photographs:,} usable "
            f"ones: {needed - photographs:,} too few"
        )


def check_non_mated(sizes: Counts, fmr: float) -> None:
    """Raise unless the FMR can be met with all non-mated pairs.

    Args:
        sizes: photographs of each of two subjects or more.
        fmr: to be met.

    Raises:
        InsufficientDataError: it cannot.
    """
    there_are, needed = non_mated_count(sizes), _whole(FEWEST_EVENTS / fmr)
    if there_are < needed:
        # Pairs grow with the square of the subjects.
        more = _whole(len(sizes) * (sqrt(needed / there_are) - 1))
        raise InsufficientDataError(
            f"an FMR of {fmr:g} needs {needed:,} non-mated pairs, {FEWEST_EVENTS} of "
            f"them false matches, and there are {there_are:,}: about {more:,} more subjects are "
            "needed, or a larger FMR"
        )


def check_mated(sizes: Counts, fnmr: float | None) -> None:
    """Raise unless mated pairs are of enough subjects for an FNMR.

    Args:
        sizes: photographs of each subject.
        fnmr: the one to be claimed, or None where it is only told.

    Raises:
        InsufficientDataError: they are not.
    """
    subjects, with_pairs = len(sizes), int((sizes > 1).sum())
    if with_pairs < FEWEST_SUBJECTS:
        raise InsufficientDataError(
            f"an FNMR needs {FEWEST_SUBJECTS} subjects with two usable photographs or more, and "
            f"there are at most {with_pairs}: {FEWEST_SUBJECTS - with_pairs} too few"
        )
    if fnmr is not None and with_pairs < fewest_left(fnmr):
        raise InsufficientDataError(
            f"an FNMR of at most {fnmr:g} needs {fewest_left(fnmr):,} subjects with two usable "
            f"photographs or more, and there are at most {with_pairs:,}: "
            f"{_times(subjects, fewest_left(fnmr) / with_pairs)} are needed"
        )


def check_reached(curve: DiscardCurve, fnmr: float, subjects: int) -> None:
    """Raise unless some `quality_threshold` reaches an FNMR with enough subjects left.

    Raises:
        InsufficientDataError: none does; says how near one comes.
    """
    if np.isfinite(curve.lowest_reaching(fnmr, fewest_left(fnmr))):
        return
    rates = curve.missed / curve.left
    best = int(np.argmin(np.where(curve.subjects >= fewest_left(fnmr), rates, np.inf)))
    nearest = (
        f"no quality_threshold reaches an FNMR of {fnmr:g} at this FMR with mated pairs of "
        f"{fewest_left(fnmr):,} subjects left: at best it is {rates[best]:.4f}, at "
        f"{curve.quality_thresholds[best]:.1f}, where {curve.left[best]:,} of {curve.left[-1]:,} "
        "pairs are left"
    )
    beyond = curve.lowest_reaching(fnmr, 1)
    if not np.isfinite(beyond):
        raise InsufficientDataError(
            f"{nearest}; more photographs like these are not likely to help"
        )
    left = curve.subjects_at(beyond)
    raise InsufficientDataError(
        f"{nearest}. It is reached at {beyond:.1f}, but by pairs of {left:,} subjects only: "
        f"{_times(subjects, fewest_left(fnmr) / left)} are needed, or a larger FNMR or FMR"
    )


def check_interval(
    quality_threshold: Interval, missed: float, photographs: RankedPhotographs, subjects: int
) -> None:
    """Raise unless the resamples agree well enough on a `quality_threshold`.

    Args:
        quality_threshold: with an infinite end where too many resamples did not reach the target.
        missed: the share of the resamples that did not.
        photographs: the data themselves.
        subjects: how many there are.

    Raises:
        InsufficientDataError: they do not.
    """
    if isinf(quality_threshold.high):
        most_missed = (100 - LEVEL_PERCENT) / 200
        raise InsufficientDataError(
            f"the data reach the target, but {missed:.1%} of their resamples do not at any "
            f"quality_threshold, and fewer than {most_missed:.1%} may: "
            + _to_be_missed_less(missed, most_missed, subjects)
        )
    ends = (quality_threshold.low, quality_threshold.high)
    everybody = np.ones(subjects, np.int64)
    low, high = (photographs.share_below(end, everybody) for end in ends)
    if high - low > WIDEST_SHARE:
        raise InsufficientDataError(
            f"the quality_threshold is only known to lie from {ends[0]:.1f} to {ends[1]:.1f}, "
            f"which rejects from {low:.1%} to {high:.1%} of the photographs; these may differ by "
            f"{WIDEST_SHARE:.0%}: {_times(subjects, ((high - low) / WIDEST_SHARE) ** 2)} are needed"
        )


def _to_be_missed_less(missed: float, most_missed: float, subjects: int) -> str:
    """A margin of `z` standard errors grows with the root of the subjects."""
    if missed >= 0.5:
        return "it is reached by chance, and a larger FNMR or FMR is needed"
    deviations = [NormalDist().inv_cdf(1 - share) for share in (missed, most_missed)]
    return f"{_times(subjects, (deviations[1] / deviations[0]) ** 2)} are needed"


def _times(subjects: int, factor: float) -> str:
    more = max(1, _whole(subjects * (factor - 1)))
    return f"about {more:,} more subjects like these {subjects:,}"


def _whole(number: float) -> int:
    """The next whole number, unless this is one but for rounding."""
    return ceil(number - ROUNDING)
