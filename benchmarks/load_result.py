"""What came of a load: one sample per request, and what a run of samples amounts to.

This file knows no sockets and no clock.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

ACCEPTED = 200

NOT_SENT = -1
"""In place of a status: no connection was free when the request was due."""

BROKEN = -2
"""In place of a status: the connection broke before the answer was complete."""

UNANSWERED = -3
"""In place of a status: nothing had come when the client lost patience."""


class Sample(NamedTuple):
    """One request.

    `planned`, `answered`: seconds on the client's clock. Latency counts from when the request was
    due, not from when the client came round to sending it: a server that stalls its callers would
    otherwise hide the requests that would have suffered most.
    """

    planned: float
    answered: float
    status: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A run of requests.

    `seconds`: length of the measured window. `statuses`: requests due in it, by HTTP status, or by
    one of the constants above. `throughput`: accepted answers that came in it, per second. The
    latencies are those of accepted requests; NaN when there were none.
    """

    seconds: float
    statuses: dict[int, int]
    throughput: float
    p50_seconds: float
    p99_seconds: float
    max_seconds: float

    @property
    def requests(self) -> int:
        """All that were due."""
        return sum(self.statuses.values())

    def count(self, *statuses: int) -> int:
        """Those that came to one of these statuses."""
        return sum(self.statuses.get(status, 0) for status in statuses)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """From what `json.loads` makes of it; JSON knows no keys but strings."""
        statuses = {int(status): count for status, count in fields["statuses"].items()}
        return cls(**{**fields, "statuses": statuses})


def summarise(samples: Sequence[Sample], start: float, end: float) -> LoadResult:
    """What the samples amount to in the window [start, end), in seconds on their clock."""
    due = [sample for sample in samples if start <= sample.planned < end]
    latencies = sorted(s.answered - s.planned for s in due if s.status == ACCEPTED)
    came = sum(1 for s in samples if s.status == ACCEPTED and start <= s.answered < end)
    return LoadResult(
        seconds=end - start,
        statuses=dict(Counter(sample.status for sample in due)),
        throughput=came / (end - start),
        p50_seconds=percentile(latencies, 0.50),
        p99_seconds=percentile(latencies, 0.99),
        max_seconds=percentile(latencies, 1.0),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed (nearest rank); NaN of none.

    Args:
        ordered: ascending.
        share: in (0, 1].
    """
    if not ordered:
        return math.nan
    return ordered[math.ceil(share * len(ordered)) - 1]
