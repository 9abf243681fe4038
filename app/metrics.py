"""The metrics of docs/operations.md. Their names are API: dashboards and alerts are built on them.

Label values are bounded: templates of routes, never paths; known methods; the project's own codes.
Refusals, reasons and decisions are there from the start, at 0: one that comes with its first event
has no increase to it, and a share without a numerator is no number.
Each app has its own registry, so that many can live in one process. This file knows no model.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from app.problems import REFUSALS, all_kinds
from serfiq_core.types import Assessment, Decision, PipelineInfo, ReasonCode, Stage, Verdict

# Of the whole process: one `…_created` series beside each other one, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""From a probe, over one photograph on a GPU (tens of ms) and on two CPU cores (hundreds), to the
default request timeout."""

STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""From aligning one face (about 1 ms) to detecting in a 40-megapixel photograph (seconds)."""

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Throughput changes with the power of two, not with the single capture."""

QUALITY_SCORES = tuple(range(5, 101, 5))
"""The whole scale; the embedded profiles' limits, 5, 20 and 40, are edges."""

RAW_SCORES = tuple(round(0.25 + 0.05 * step, 2) for step in range(16))
"""The mean distance lies in [0, 2], so equation (1) lies in [0.238, 1]."""


class Metrics:
    """All instruments of one app, and the few ways in which they are moved."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self._requests = counter(
            "serfiq_http_requests_total", "HTTP requests answered", ["route", "method", "status"]
        )
        self._request_seconds = histogram(
            "serfiq_http_request_seconds",
            "Seconds from a request's head to the end of its answer",
            ["route", "status_class"],
            buckets=REQUEST_SECONDS,
        )
        self._stage_seconds = histogram(
            "serfiq_stage_seconds",
            "Seconds per capture in each stage; inference: per batch",
            ["stage"],
            buckets=STAGE_SECONDS,
        )
        self._batch_size = histogram("serfiq_batch_size", "Faces per batch", buckets=BATCH_SIZES)
        self._max_batch_size = gauge("serfiq_max_batch_size", "Most faces per batch")
        self._queue_depth = gauge("serfiq_queue_depth", "Faces waiting for the device")
        self._queued_work = gauge("serfiq_queued_work", "Work accepted and not yet answered")
        self._max_queued_work = gauge("serfiq_max_queued_work", "Most work on its way at once")
        self._batch_problems = counter(
            "serfiq_batch_problems_total",
            "Captures of batches answered with a problem, by its code",
            ["code"],
        )
        self._refused = counter(
            "serfiq_requests_refused_total",
            "Requests turned away unseen, by problem code",
            ["cause"],
        )
        self._quality_score = histogram(
            "serfiq_quality_score",
            "Calibrated quality of assessed faces, 0 to 100",
            buckets=QUALITY_SCORES,
        )
        self._raw_score = histogram(
            "serfiq_raw_score",
            "Equation (1) of assessed faces, by the estimator that decides",
            buckets=RAW_SCORES,
        )
        self._decisions = counter("serfiq_decisions_total", "Decisions", ["profile", "decision"])
        self._reasons = counter(
            "serfiq_reasons_total",
            "Captures by the reasons of their decision, when it was not accept",
            ["reason"],
        )
        self._shadow_decisions = counter(
            "serfiq_shadow_decisions_total",
            "Decisions, beside what the shadow profile would have decided on the same captures",
            ["profile", "decision", "shadow_profile", "shadow_decision"],
        )
        self._shadow_reasons = counter(
            "serfiq_shadow_reasons_total",
            "Captures by the reasons that the shadow profile would have given",
            ["profile", "shadow_profile", "reason", "component", "verdict"],
        )
        self._model = Info("serfiq_model", "The pack in use", registry=registry)
        self._ready = gauge("serfiq_ready", "1 when /readyz answers 200")
        for kind in all_kinds():
            if kind.status in REFUSALS:
                self._refused.labels(kind.code)
        for reason in get_args(ReasonCode):
            self._reasons.labels(reason)

    def observe_request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """`route` is the template, or None when no route matched."""
        label = route or "unmatched"
        self._requests.labels(label, method if method in METHODS else "other", status).inc()
        self._request_seconds.labels(label, f"{status // 100}xx").observe(seconds)

    def observe_refusal(self, cause: str) -> None:
        """`cause` is the code of a problem."""
        self._refused.labels(cause).inc()

    def observe_batch_problem(self, code: str) -> None:
        """`code`: of the problem of one capture in a batch that was answered."""
        self._batch_problems.labels(code).inc()

    def observe_stage(self, stage: Stage, seconds: float) -> None:
        """A StageObserver."""
        self._stage_seconds.labels(stage).observe(seconds)

    def observe_queue_seconds(self, seconds: float) -> None:
        """One face's wait for its batch."""
        self.observe_stage("queue", seconds)

    def observe_batch_size(self, size: int) -> None:
        """One batch."""
        self._batch_size.observe(size)

    def observe_max_batch_size(self, size: int) -> None:
        """The largest size of a batch, at first and after each change."""
        self._max_batch_size.set(size)

    def observe_queue_depth(self, depth: int) -> None:
        """The depth of the queue, after each change."""
        self._queue_depth.set(depth)

    def observe_assessment(self, assessment: Assessment, raw_score: float | None) -> None:
        """Scores, decision and reasons of one capture; `raw_score` of the deciding estimator."""
        if assessment.quality_score is not None:
            self._quality_score.observe(assessment.quality_score)
        if raw_score is not None:
            self._raw_score.observe(raw_score)
        decision = assessment.decision
        self._decisions.labels(decision.profile, decision.verdict).inc()
        for code in {reason.code for reason in decision.reasons}:
            self._reasons.labels(code).inc()
        if assessment.shadow is not None:
            self._observe_shadow(decision, assessment.shadow)

    def _observe_shadow(self, decision: Decision, shadow: Decision) -> None:
        self._shadow_decisions.labels(
            decision.profile, decision.verdict, shadow.profile, shadow.verdict
        ).inc()
        for code, component, verdict in {
            (reason.code, reason.component or "none", reason.verdict) for reason in shadow.reasons
        }:
            self._shadow_reasons.labels(
                decision.profile, shadow.profile, code, component, verdict
            ).inc()

    def describe_model(self, info: PipelineInfo, shadow_profile: str | None = None) -> None:
        """The pack that was loaded, the profiles that it decides by, and the one in the shadow."""
        self._model.info(
            {
                "pack": info.pack,
                "version": info.pack_version,
                "pack_checksum": info.pack_checksum,
                "calibration": info.calibration,
                "device": info.device,
                "precision": info.precision,
                "estimator": info.estimator,
            }
        )
        shadows = [] if shadow_profile is None else [shadow_profile]
        for profile, decision in product(info.profiles, VERDICTS):
            self._decisions.labels(profile, decision)
            for shadow in product(shadows, VERDICTS):
                self._shadow_decisions.labels(profile, decision, *shadow)

    def follow_work(self, work: Callable[[], float], most: float) -> None:
        """Asks `work` at each scrape; both in units."""
        self._queued_work.set_function(work)
        self._max_queued_work.set(most)

    def follow_readiness(self, ready: Callable[[], bool]) -> None:
        """Asks `ready` at each scrape."""
        self._ready.set_function(lambda: float(ready()))
