"""Decision records for tests: one that is sound, and changed ones."""

from typing import Any

from app.decision_record import DecisionRecord

LOW_QUALITY: dict[str, Any] = {
    "code": "low_quality",
    "verdict": "review",
    "component": None,
    "value": 12.345678,
    "limit": 20.0,
}

SOUND: dict[str, Any] = {
    "record_version": 2,
    "request_id": "r1",
    "item": None,
    "time": "2026-01-02T03:04:05Z",
    "image_sha256": "a" * 64,
    "aligned": False,
    "verdict": "review",
    "reasons": [LOW_QUALITY],
    "faces_found": 1,
    "quality_score": 12.345678,
    "raw_score": 0.8123456789,
    "mean_distance": 0.3812345678,
    "estimator": "sampled",
    "convention": "paper",
    "passes": 100,
    "dropout_rate": 0.4,
    "seed": 0,
    "precision": "float32",
    "pack": "compact",
    "pack_version": "1",
    "pack_checksum": "b" * 64,
    "detector": "mtcnn minimum_face_px=39.80",
    "calibration": "c1",
    "profile": "enrolment",
    "profile_version": "1",
    "software_version": "0.1.0",
    "libraries": {"torch": "2.13.0"},
    "device": "cpu",
    "device_name": "x86_64 AVX2",
    "batch_size": 4,
    "batch_index": 2,
    "threads": 1,
}


def record(**changes: Any) -> DecisionRecord:
    return DecisionRecord.model_validate({**SOUND, **changes})


def recorded(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer's reasons, as its record has them."""
    return [{name: reason[name] for name in LOW_QUALITY} for reason in reasons]
