"""`/metrics`, read with prometheus-client's own parser after real requests."""

from collections import Counter
from itertools import product
from types import SimpleNamespace
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import middleware
from app.metrics import Metrics
from app.problems import REFUSALS, all_kinds
from serfiq_core.errors import DeadlineExceededError, DeviceMemoryError
from serfiq_core.testing import FakePipeline
from serfiq_core.types import Assessment, Decision, Reason, ReasonCode, Stage
from tests.clock import Clock
from tests.http.service import (
    PATIENCE_SECONDS,
    Service,
    blank_capture,
    queued,
    random_capture,
    wait_until,
)

CAPTURE = random_capture()

SHADOW_NAMES = {"serfiq_shadow_decisions", "serfiq_shadow_reasons"}
"""Families that are there, and empty as long as no profile runs in the shadow."""

NAMES_AND_LABELS = {
    "serfiq_http_requests_total": {"route", "method", "status"},
    "serfiq_http_request_seconds": {"route", "status_class"},
    "serfiq_stage_seconds": {"stage"},
    "serfiq_batch_size": set(),
    "serfiq_max_batch_size": set(),
    "serfiq_queue_depth": set(),
    "serfiq_queued_work": set(),
    "serfiq_max_queued_work": set(),
    "serfiq_batch_problems_total": {"code"},
    "serfiq_requests_refused_total": {"cause"},
    "serfiq_quality_score": set(),
    "serfiq_raw_score": set(),
    "serfiq_decisions_total": {"profile", "decision"},
    "serfiq_reasons_total": {"reason"},
    "serfiq_model_info": {
        "pack",
        "version",
        "pack_checksum",
        "calibration",
        "device",
        "precision",
        "estimator",
    },
    "serfiq_ready": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_virtual_memory_bytes": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
    "process_start_time_seconds": set(),
}
"""They are API: dashboards and alerts are built on them."""


class Scrape:
    def __init__(self, service: Service) -> None:
        response = service.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        self.families = list(text_string_to_metric_families(response.text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: object) -> float:
        wanted = {key: str(value) for key, value in labels.items()}
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and wanted.items() <= sample.labels.items()
        )

    def label_values(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if label in sample.labels}

    def counted(self, name: str, label: str) -> set[str]:
        """The values of a label under which anything was counted."""
        return {s.labels[label] for s in self.samples if s.name == name and s.value > 0}


@pytest.fixture
def scrape():
    """A service that has answered one of each."""
    with Service(max_body_bytes=len(CAPTURE), api_keys=["key"]) as service:
        service.client.headers["x-api-key"] = "key"
        for _ in range(3):
            assert service.assess(CAPTURE).status_code == 200
        assert service.assess(blank_capture()).status_code == 200
        service.assess(b"nothing")
        service.assess(CAPTURE + b"\0")
        service.assess(CAPTURE, include="ponies")
        service.client.post("/quality", headers={"x-api-key": "wrong"})
        service.client.request("BREW", "/quality")
        captures = [("image", CAPTURE), ("image", b"nothing"), ("image", b"nothing")]
        service.client.post("/quality/batch", files=captures)
        for path in ("/a", "/b", "/quality/../../etc", "/livez", "/model", "/docs"):
            service.get(path)
        yield Scrape(service)


def test_every_name_is_there_with_its_labels(scrape):
    kinds = {family.name: family.type for family in scrape.families}
    for name, labels in NAMES_AND_LABELS.items():
        family = name.removesuffix("_total")
        assert family in kinds, name
        suffix = "_count" if kinds[family] == "histogram" else ""
        found = [s for s in scrape.samples if s.name == name + suffix]
        assert found, name
        assert all(set(sample.labels) == labels for sample in found)


def test_no_other_name_is_there(scrape):
    known = {name.removesuffix("_total") for name in NAMES_AND_LABELS} | SHADOW_NAMES
    found = {family.name for family in scrape.families}
    assert found == known


def test_requests_are_counted_by_template_method_and_status(scrape):
    def count(**labels):
        return scrape.value("serfiq_http_requests_total", **labels)

    assert count(route="/quality", method="POST", status=200) == 4
    assert count(route="/quality", method="POST", status=415) == 1
    assert count(route="/quality", method="POST", status=422) == 1
    assert count(route="/quality", method="other", status=405) == 1
    assert count(route="unmatched", status=404) == 3
    assert scrape.value("serfiq_http_request_seconds_count", route="/quality") == 9


def test_the_seconds_of_refusals_are_kept_apart(scrape):
    def count(status_class):
        labels = {"route": "/quality", "status_class": status_class}
        return scrape.value("serfiq_http_request_seconds_count", **labels)

    assert (count("2xx"), count("4xx")) == (4, 5)


def test_problems_inside_a_batch_are_counted(scrape):
    assert scrape.value("serfiq_http_requests_total", route="/quality/batch", status=200) == 1
    assert scrape.value("serfiq_batch_problems_total", code="unsupported_image_type") == 2


def test_work_on_its_way_is_told_beside_its_limit(gate, callers):
    with Service(lambda: FakePipeline(before_score=gate), max_queued_work=7) as service:
        gate.close()
        accepted = callers.submit(service.assess, CAPTURE)
        wait_until(lambda: service.engine.in_flight == 1)
        held = Scrape(service)
        gate.open()
        accepted.result(PATIENCE_SECONDS)
        wait_until(lambda: service.engine.in_flight == 0)
        assert held.value("serfiq_queued_work") == 1
        assert held.value("serfiq_max_queued_work") == 7
        assert Scrape(service).value("serfiq_queued_work") == 0


def test_faces_that_wait_for_the_device_are_told(gate, callers):
    with Service(lambda: FakePipeline(before_score=gate), max_batch_size=1) as service:
        gate.close()
        accepted = [callers.submit(service.assess, CAPTURE) for _ in range(3)]
        wait_until(lambda: queued(service) == 2 and gate.waiting == 1)
        held = Scrape(service)
        gate.open()
        assert [each.result(PATIENCE_SECONDS).status_code for each in accepted] == [200] * 3
    assert held.value("serfiq_queue_depth") == 2


def test_the_seconds_of_a_request_are_those_that_it_took(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(middleware, "time", SimpleNamespace(perf_counter=clock))

    def take_long():
        clock.now += 0.25

    with Service(lambda: FakePipeline(before_prepare=take_long)) as service:
        assert service.assess(CAPTURE).status_code == 200
        scrape = Scrape(service)
    assert scrape.value("serfiq_http_request_seconds_sum", route="/quality") == 0.25


def test_labels_are_bounded(scrape):
    assert scrape.label_values("route") == {
        "/quality",
        "/quality/batch",
        "/model",
        "/livez",
        "/startupz",
        "/docs",
        "unmatched",
    }
    assert scrape.label_values("method") == {"GET", "POST", "other"}
    assert scrape.label_values("stage") == set(Stage.__args__)


def test_refusals_are_counted_by_cause_and_only_those(scrape):
    assert scrape.value("serfiq_requests_refused_total", cause="body_too_large") == 1
    assert scrape.value("serfiq_requests_refused_total", cause="unauthorised") == 1
    counted = scrape.counted("serfiq_requests_refused_total", "cause")
    assert counted == {"body_too_large", "unauthorised"}


def test_refusals_of_an_engine_in_trouble_are_counted_and_those_of_probes_are_not():
    trouble: list[Exception] = []

    def fail(_: int) -> None:
        if trouble:
            raise trouble[0]

    with Service(lambda: FakePipeline(before_score=fail)) as service:
        for error in (DeadlineExceededError("too late"), DeviceMemoryError("no room")):
            trouble[:] = [error]
            assert service.assess(CAPTURE).status_code in (503, 504)
        service.engine.begin_draining()
        assert service.assess(CAPTURE).status_code == 503
        assert service.get("/readyz").status_code == 503
        scrape = Scrape(service)
    causes = {"deadline_exceeded", "device_memory", "draining"}
    assert scrape.counted("serfiq_requests_refused_total", "cause") == causes
    for cause in causes:
        assert scrape.value("serfiq_requests_refused_total", cause=cause) == 1


def test_what_shares_are_made_of_is_there_before_the_first_event():
    with Service(
        lambda: FakePipeline(shadow_profile="identification"), shadow_profile="identification"
    ) as service:
        profiles = set(service.get("/model").json()["profiles"])
        scrape = Scrape(service)
    verdicts = {"accept", "review", "reject"}
    expected = {
        "serfiq_requests_refused_total": [
            {kind.code for kind in all_kinds() if kind.status in REFUSALS}
        ],
        "serfiq_reasons_total": [set(get_args(ReasonCode))],
        "serfiq_decisions_total": [verdicts, profiles],
        "serfiq_shadow_decisions_total": [verdicts, profiles, verdicts, {"identification"}],
    }
    for name, values in expected.items():
        samples = [sample for sample in scrape.samples if sample.name == name]
        found = [tuple(value for _, value in sorted(s.labels.items())) for s in samples]
        assert sorted(found) == sorted(product(*values)), name
        assert {sample.value for sample in samples} == {0}, name


def test_scores_decisions_and_reasons(scrape):
    assert scrape.value("serfiq_quality_score_count") == 4
    assert scrape.value("serfiq_raw_score_count") == 4
    assert scrape.value("serfiq_decisions_total", profile="enrolment") == 5
    assert scrape.value("serfiq_reasons_total", reason="no_face") == 1


def test_scores_are_those_of_the_answers():
    with Service() as service:
        answers = [service.assess(random_capture(seed)).json() for seed in range(5)]
        scrape = Scrape(service)
    for name in ("quality_score", "raw_score"):
        total = sum(answer[name] for answer in answers)
        assert scrape.value(f"serfiq_{name}_sum") == pytest.approx(total)


def test_stages_are_timed_once_per_capture(scrape):
    def count(stage):
        return scrape.value("serfiq_stage_seconds_count", stage=stage)

    assert count("wait") == 8
    assert count("decode") == 5  # bytes that are no image take no time to decode
    assert count("detect") == 5
    assert count("align") == 4
    assert count("components") == 4
    assert count("inference") == 4
    assert count("decide") == 5
    assert count("queue") == 5  # the warm-up's face is one of them


def test_the_queue_is_empty_and_the_model_named(scrape):
    assert scrape.value("serfiq_queue_depth") == 0
    assert scrape.value("serfiq_batch_size_count") == 5
    assert scrape.value("serfiq_max_batch_size") == 32
    info = FakePipeline().info
    labels = {
        "pack": "fake",
        "version": "1",
        "pack_checksum": info.pack_checksum,
        "calibration": info.calibration,
        "device": "cpu",
        "precision": "float32",
    }
    assert scrape.value("serfiq_model_info", **labels) == 1
    assert scrape.value("serfiq_ready") == 1


def test_apps_do_not_share_metrics():
    first, second = Metrics(), Metrics()
    first.observe_request("/quality", "POST", 200, 0.1)
    labels = {"route": "/quality", "method": "POST", "status": "200"}
    assert first.registry.get_sample_value("serfiq_http_requests_total", labels) == 1
    assert second.registry.get_sample_value("serfiq_http_requests_total", labels) is None


def test_without_a_shadow_profile_none_is_counted(scrape):
    assert scrape.label_values("shadow_profile") == set()


def test_a_shadow_profile_is_counted_beside_the_one_in_force():
    captures = [random_capture(seed) for seed in range(20)]
    with Service(lambda: FakePipeline(shadow_profile="identification")) as service:
        real = [service.assess(each).json()["decision"]["verdict"] for each in captures]
        strict = [
            service.assess(each, profile="identification").json()["decision"] for each in captures
        ]
        scrape = Scrape(service)
    expected = Counter(zip(real, (each["verdict"] for each in strict), strict=True))
    assert len(expected) > 1  # they do differ
    for (verdict, shadow_verdict), count in expected.items():
        labels = {"profile": "enrolment", "decision": verdict, "shadow_decision": shadow_verdict}
        assert scrape.value("serfiq_shadow_decisions_total", **labels) == count
    shadowed = [s for s in scrape.samples if s.name == "serfiq_shadow_decisions_total"]
    assert sum(sample.value for sample in shadowed) == 2 * len(captures)
    assert scrape.label_values("shadow_profile") == {"identification"}
    low = sum("low_quality" in {r["code"] for r in each["reasons"]} for each in strict)
    labels = {"shadow_profile": "identification", "reason": "low_quality", "component": "none"}
    # Asked for by name, it stands beside itself.
    for profile in ("enrolment", "identification"):
        count = scrape.value("serfiq_shadow_reasons_total", profile=profile, **labels)
        assert count == low > 0


def test_a_reason_given_twice_is_one_capture():
    metrics = Metrics()
    twice = (
        Reason("extreme_pose", "review", 25, 20, "degree", "HeadPoseYaw"),
        Reason("extreme_pose", "review", 28, 20, "degree", "HeadPoseRoll"),
    )
    decision = Decision("review", twice, "enrolment", "1")
    metrics.observe_assessment(
        Assessment(1, None, None, "sampled", 50.0, decision, shadow=decision), 0.8
    )
    sample = metrics.registry.get_sample_value
    assert sample("serfiq_reasons_total", {"reason": "extreme_pose"}) == 1
    for component in ("HeadPoseYaw", "HeadPoseRoll"):
        labels = {
            "profile": "enrolment",
            "shadow_profile": "enrolment",
            "reason": "extreme_pose",
            "verdict": "review",
        }
        assert sample("serfiq_shadow_reasons_total", {**labels, "component": component}) == 1
