"""An answer of the service, for those who read the documentation. A test asks for it once more."""

from typing import Any

from app.hints import hint

EXAMPLE_QUERY = "profile=identification&include=components"

ABOUT_THE_EXAMPLE = (
    f"The example: the portrait of `serfiq sample` by `compact`, with `{EXAMPLE_QUERY}`; two of "
    "its 19 components, and four digits of each number."
)

EXAMPLE_ANSWER: dict[str, Any] = {
    "request_id": "9163cee791764f7ab42c68959aaf1b67",
    "quality_score": 23.76,
    "estimator": "sampled",
    "raw_score": 0.6504,
    "mean_distance": 0.7374,
    "standard_error": 0.002443,
    "sampled": {"raw_score": 0.6504, "mean_distance": 0.7374, "standard_error": 0.002443},
    "closed_form": {"raw_score": 0.6497, "mean_distance": 0.7315, "standard_error": None},
    "decision": {
        "verdict": "review",
        "reasons": [
            {
                "code": "face_too_small",
                "kind": "attribute",
                "verdict": "review",
                "component": "InterEyeDistance",
                "value": 43.78,
                "limit": 70.0,
                "unit": "px",
                "hint": hint("face_too_small", "en"),
            },
            {
                "code": "extreme_pose",
                "kind": "attribute",
                "verdict": "review",
                "component": "HeadPosePitch",
                "value": 22.31,
                "limit": 20.0,
                "unit": "degrees",
                "hint": hint("extreme_pose", "en"),
            },
            {
                "code": "low_quality",
                "kind": "usefulness",
                "verdict": "review",
                "component": None,
                "value": 23.76,
                "limit": 40.0,
                "unit": "0-100",
                "hint": hint("low_quality", "en"),
            },
        ],
        "profile": "identification",
        "profile_version": "1",
    },
    "faces_found": 1,
    "face": {
        "box_px": [180.5, 58.91, 267.5, 174.5],
        "detection_score": 0.9994,
        "inter_eye_distance_px": 43.76,
    },
    "components": [
        {
            "name": "InterEyeDistance",
            "native_value": 43.78,
            "unit": "px",
            "value": 21.23,
            "approximate": True,
        },
        {
            "name": "HeadPosePitch",
            "native_value": 22.31,
            "unit": "degrees",
            "value": 85.59,
            "approximate": True,
        },
    ],
    "decision_record": {
        "record_version": 2,
        "request_id": "9163cee791764f7ab42c68959aaf1b67",
        "item": None,
        "time": "2026-11-26T18:56:59.919933Z",
        "image_sha256": "011901a3f9084e22497e2b27642b44a39e8965c4c2febc5ddf2c3ccf298c8787",
        "aligned": False,
        "verdict": "review",
        "reasons": [
            {
                "code": "face_too_small",
                "verdict": "review",
                "component": "InterEyeDistance",
                "value": 43.78,
                "limit": 70.0,
            },
            {
                "code": "extreme_pose",
                "verdict": "review",
                "component": "HeadPosePitch",
                "value": 22.31,
                "limit": 20.0,
            },
            {
                "code": "low_quality",
                "verdict": "review",
                "component": None,
                "value": 23.76,
                "limit": 40.0,
            },
        ],
        "faces_found": 1,
        "quality_score": 23.76,
        "raw_score": 0.6504,
        "mean_distance": 0.7374,
        "estimator": "sampled",
        "convention": "paper",
        "passes": 100,
        "dropout_rate": 0.4,
        "seed": 0,
        "precision": "bfloat16",
        "pack": "compact",
        "pack_version": "6",
        "pack_checksum": "7b95347c4dcbda6ae61b228cab4170f730dd0a52fb4715b6d7bcf2ae19db8563",
        "detector": "mtcnn minimum_face_px=39.79",
        "calibration": "compact-lfw-8",
        "profile": "identification",
        "profile_version": "1",
        "software_version": "0.1.0",
        "libraries": {
            "numpy": "2.4.6",
            "opencv": "5.0.0",
            "pillow": "13.0.0",
            "torch": "2.13.0+cpu",
        },
        "device": "cpu",
        "device_name": "x86_64 AVX512",
        "batch_size": 1,
        "batch_index": 0,
        "threads": 2,
    },
}
