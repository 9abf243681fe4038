from dataclasses import replace
from pathlib import Path

import pytest

from serfiq_core.errors import ChecksumError, ManifestError
from serfiq_core.packs.manifest import (
    DetectorEntry,
    format_manifest,
    parse_manifest,
    recogniser_checksum,
    write_manifest,
)
from serfiq_core.packs.pack import read_pack, verify
from serfiq_core.packs.registry import EMBEDDED_FOLDER
from tests.small_packs import sha256, small_manifest, small_verdict, write_small_pack

PLAIN = format_manifest(small_manifest())


def test_every_field_survives_writing_and_reading() -> None:
    manifest = replace(
        small_manifest(),
        files={"recogniser.onnx": "0" * 64, "det.onnx": "1" * 64, "calibration.toml": "2" * 64},
        recogniser=replace(
            small_manifest().recogniser, colour_order="bgr", dropout_site='tensor "1"/é'
        ),
        detector=DetectorEntry("scrfd", "det.onnx"),
        calibration="calibration.toml",
        verdict=small_verdict("unsuitable", ('ranks blur\n"backwards"',)),
        same_person_cosine=0.25,
    )
    assert parse_manifest(format_manifest(manifest), "pack.toml") == manifest


WRONG_VERDICTS = [
    ('verdict = "weak"', 'verdict = "good"', "verdict.verdict must be one of suitable, weak"),
    ("reasons = [", "reasons = [1, ", "verdict.reasons must be a list of texts"),
    ("faces = 40", "faces = 0", "verdict.measured.faces must be an integer of at least 1"),
    ("faces = 40", "faces = 40.5", "verdict.measured.faces must be an integer of at least 1"),
    ("passes = 100", "passes = 100\ndate = 1", "verdict.date is not known"),
    ("spread = 0.02", "spread = inf", "verdict.measured.spread must be a finite number"),
    ("noise = [", "rain = [", "verdict.measured.sampled.noise is missing"),
    ("agreement = ", "agrees = ", "verdict.measured.agreement is missing"),
    (
        'recogniser_checksum = "',
        'recogniser_checksum = "x',
        "verdict.recogniser_checksum must be a",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "complaint"), WRONG_VERDICTS)
def test_what_is_wrong_in_a_verdict_is_named(right: str, wrong: str, complaint: str) -> None:
    text = format_manifest(replace(small_manifest(), verdict=small_verdict("weak", ("why",))))
    assert right in text
    with pytest.raises(ManifestError, match=complaint.replace(".", r"\.")):
        parse_manifest(text.replace(right, wrong, 1), "pack.toml")


def test_a_verdict_stands_for_the_recogniser_it_was_given_on_and_no_other() -> None:
    plain = small_manifest()
    verdict = replace(small_verdict("weak"), recogniser_checksum=recogniser_checksum(plain))
    manifest = replace(plain, verdict=verdict)
    assert manifest.standing_verdict == verdict
    for change in ({"dropout_rate": 0.1}, {"colour_order": "bgr"}, {"dropout_site": "t"}):
        read_otherwise = replace(plain.recogniser, **change)
        assert replace(manifest, recogniser=read_otherwise).standing_verdict is None
    other_file = replace(manifest, files={"recogniser.onnx": "1" * 64})
    assert other_file.standing_verdict is None
    calibrated = {**plain.files, "c.toml": "2" * 64}
    assert replace(manifest, calibration="c.toml", files=calibrated).standing_verdict == verdict


def test_the_embedded_pack_is_sound() -> None:
    pack = read_pack(EMBEDDED_FOLDER / "compact")
    verify(pack)
    assert pack.manifest.standing_verdict is not None
    assert pack.manifest.recogniser.dropout_rate == 0.4
    assert pack.manifest.recogniser.trained_with_dropout
    assert pack.checksum == sha256((pack.folder / "pack.toml").read_bytes())


WRONG = [
    ('version = "3"', "version = 3", "version must be a text"),
    ('version = "3"', "", "version is missing"),
    ('version = "3"', 'version = " "', "version must be a text"),
    ('version = "3"', 'version = "3"\nowner = "me"', "owner is not known"),
    ("dropout_rate = 0.25", "dropout_rate = 0.0", "recogniser.dropout_rate must lie between"),
    ("dropout_rate = 0.25", "dropout_rate = 1", "recogniser.dropout_rate must lie between"),
    ("dropout_rate = 0.25", "dropout_rate = nan", "recogniser.dropout_rate must be a finite"),
    ("dropout_rate = 0.25", "dropout_rate = true", "recogniser.dropout_rate must be a finite"),
    ("dropout_rate = 0.25", "droput_rate = 0.25", "recogniser.dropout_rate is missing"),
    ("dropout_rate = 0.25", "dropout_rate = 0.25\nspeed = 1", "recogniser.speed is not known"),
    ("trained_with_dropout = false", "trained_with_dropout = 0", "must be true or false"),
    ("input_size = 112", "input_size = 224", "recogniser.input_size must be 112"),
    ('format = "onnx"', 'format = "pickle"', "recogniser.format must be one of compact"),
    ('format = "onnx"', 'format = ["onnx"]', "recogniser.format must be one of compact"),
    ('format = "onnx"', 'format = "compact"\ndropout_site = "map"', "cannot be chosen"),
    ('format = "onnx"', 'format = "mobilefacenet"\ndropout_site = "x"', "must be map or values"),
    ('colour_order = "rgb"', 'colour_order = "grb"', "recogniser.colour_order must be one of"),
    ('file = "recogniser.onnx"', 'file = "other.onnx"', "recogniser.file names other.onnx, which"),
    ('file = "recogniser.onnx"', 'file = "../x.onnx"', "recogniser.file must be a plain name"),
    ('kind = "mtcnn"', 'kind = "scrfd"', "detector.file is missing"),
    ('kind = "mtcnn"', 'kind = "mtcnn"\nfile = "recogniser.onnx"', "detector.file is not known"),
    ('name = "small"', 'name = "../small"', "name must be a plain name"),
    ('name = "small"', 'name = "small"\ncalibration = "c.toml"', "calibration names c.toml, which"),
    ('name = "small"', 'name = "small"\nverdict = "good"', "verdict must be a table"),
    ('name = "small"', 'name = "small"\nsame_person_cosine = 1', "same_person_cosine must lie"),
    ('name = "small"', 'name = "small"\nsame_person_cosine = -0.1', "same_person_cosine must lie"),
    ('name = "small"', 'name = "small"\nsame_person_cosine = nan', "must be a finite number"),
    ('name = "small"', 'name = "small"\nsame_person_cosine = "0.3"', "must be a finite number"),
    ('name = "small"', "name = ", "is not TOML"),
    ("[files]", '[files]\n"/etc/passwd" = "0"', "files./etc/passwd must be a plain name"),
    ("[files]", '[files]\n".." = "0"', "files... must be a plain name"),
    ("[files]", "[files]\n'a\\b' = \"0\"", "must be a plain name"),
    ("[files]", '[files]\n"pack.toml" = "0"', "files.pack.toml must be a plain name"),
    ("[files]", '[files]\n"more.bin" = "abc"', "files.more.bin must be a SHA-256"),
    ("[files]", '[files]\n"more.bin" = 7', "files.more.bin must be a text"),
]


@pytest.mark.parametrize(("right", "wrong", "complaint"), WRONG)
def test_what_is_wrong_is_named_with_file_and_key(right: str, wrong: str, complaint: str) -> None:
    assert right in PLAIN
    with pytest.raises(ManifestError) as caught:
        parse_manifest(PLAIN.replace(right, wrong, 1), "somewhere/pack.toml")
    assert str(caught.value).startswith("somewhere/pack.toml: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("numbers", ["[1.0, 2.0]", "[1.0, 2.0, 0.0]", '[1.0, 2.0, "3"]', "1.0"])
def test_std_takes_three_positive_numbers(numbers: str) -> None:
    head, tail = PLAIN.split("std = [", 1)
    with pytest.raises(ManifestError, match=r"recogniser\.std must be"):
        parse_manifest(f"{head}std = {numbers}\n{tail.split(']', 1)[1]}", "pack.toml")


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    wrong = replace(small_manifest(), name="a/b")
    with pytest.raises(ManifestError, match="plain name"):
        write_manifest(wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pack_says_what_its_folder_is_called(tmp_path: Path) -> None:
    folder = write_small_pack(tmp_path)
    moved = folder.rename(tmp_path / "renamed")
    with pytest.raises(ManifestError, match=r"name is 'small', its folder 'renamed'"):
        read_pack(moved)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_manifest_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pack.toml").write_bytes(content)
    with pytest.raises(ManifestError, match=r"pack\.toml: cannot be read"):
        read_pack(tmp_path)


def test_a_changed_file_is_named_with_both_checksums(tmp_path: Path) -> None:
    pack = read_pack(write_small_pack(tmp_path))
    verify(pack)
    pack.recogniser_path.write_bytes(b"something else")
    with pytest.raises(ChecksumError) as caught:
        verify(pack)
    message = str(caught.value)
    assert str(pack.recogniser_path) in message
    assert pack.manifest.files["recogniser.onnx"] in message
    assert sha256(b"something else") in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    pack = read_pack(write_small_pack(tmp_path))
    pack.recogniser_path.unlink()
    with pytest.raises(ChecksumError, match=r"recogniser\.onnx: cannot be read"):
        verify(pack)
