"""Each difference is told apart, and only those that matter disagree."""

import pytest

from app.decision_record import DecisionRecord
from app.record_comparison import FIELDS, INNOCENT, compare_records
from tests.records import LOW_QUALITY, record


def test_the_same_agrees_to_the_bit():
    comparison = compare_records(record(), record(request_id="r2", time="2027-01-01T00:00:00Z"))
    assert comparison.agreement == "exact"
    assert comparison.same_machine
    assert not any(comparison.of(topic) for topic in FIELDS)


def test_every_field_but_the_circumstances_of_the_request_is_compared():
    compared = [name for names in FIELDS.values() for name in names]
    place = {"batch_size", "batch_index", "threads"}
    left_out = {"record_version", "request_id", "item", "time", *place}
    assert sorted(compared) == sorted(DecisionRecord.model_fields.keys() - left_out)


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("photograph", "image_sha256", "d" * 64),
        ("pack", "pack_checksum", "d" * 64),
        ("pack", "pack_version", "2"),
        ("pack", "dropout_rate", 0.3),
        ("calibration", "calibration", "c2"),
        ("profile", "profile_version", "2"),
        ("settings", "seed", 1),
        ("outcome", "verdict", "reject"),
        ("outcome", "faces_found", 2),
        ("outcome", "raw_score", 0.8125),
        ("outcome", "raw_score", None),
        ("outcome", "mean_distance", 0.3814),
        ("outcome", "quality_score", 13.0),
        ("outcome", "reasons", []),
        ("outcome", "reasons", [{**LOW_QUALITY, "limit": 25.0}]),
        ("detector", "detector", "scrfd"),
        ("software", "software_version", "0.2.0"),
        ("software", "libraries", {"torch": "2.14.0"}),
        ("device", "device_name", "x86_64 AVX512"),
        ("device", "precision", "bfloat16"),
    ],
)
def test_one_difference_is_one_finding_of_its_topic(topic, name, value):
    comparison = compare_records(record(), record(**{name: value}))
    found = {each: comparison.of(each) for each in FIELDS if comparison.of(each)}
    assert list(found) == [topic]
    [finding] = found[topic]
    assert (finding.field, finding.agreement) == (name, "none")
    assert comparison.agreement == ("exact" if topic in INNOCENT else "none")
    assert comparison.same_machine == (topic not in INNOCENT)


def test_scores_a_little_apart_agree_within_the_tolerance():
    near = record(
        raw_score=0.8123456789 + 9e-5,
        mean_distance=0.3812345678 - 9e-5,
        quality_score=12.5,
        reasons=[{**LOW_QUALITY, "value": 12.5}],
    )
    comparison = compare_records(record(), near)
    assert comparison.agreement == "close"
    assert {finding.agreement for finding in comparison.of("outcome")} == {"close"}


def test_no_scores_on_either_side_agree():
    nobody = record(raw_score=None, mean_distance=None, quality_score=None)
    assert compare_records(nobody, nobody).agreement == "exact"
    assert compare_records(nobody, record()).agreement == "none"


CROPPED = {
    "code": "face_cropped",
    "verdict": "reject",
    "component": "LeftwardCropOfTheFaceImage",
    "value": 0.2,
    "limit": 0.5,
}


@pytest.mark.parametrize(
    ("changes", "agreement"),
    [
        ({}, "exact"),
        ({"value": 0.205}, "close"),
        ({"value": 0.45}, "none"),
        ({"component": "RightwardCropOfTheFaceImage"}, "none"),
        ({"verdict": "review"}, "none"),
        ({"limit": 0.6}, "none"),
    ],
)
def test_a_component_s_limit_is_broken_alike_by_as_much(changes, agreement):
    now = record(reasons=[{**CROPPED, **changes}])
    assert compare_records(record(reasons=[CROPPED]), now).agreement == agreement
