"""A pack with an adapted head: what it says, what is loaded of it, and what it is not taken for."""

import stat
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from serfiq_core.calibrating import install, with_authors_map
from serfiq_core.errors import ConfigurationError, ManifestError, WeightsError
from serfiq_core.loading import load_calibration, load_recogniser
from serfiq_core.packs.adaptation import Adaptation, EdcChange
from serfiq_core.packs.manifest import (
    format_manifest,
    parse_manifest,
    recogniser_checksum,
    write_manifest,
)
from serfiq_core.packs.pack import read_pack, sha256_of, verify
from serfiq_core.recognition.adapted_head import write_adapted_head
from tests.little_room import little_room
from tests.small_packs import small_manifest, small_verdict, write_small_pack

ADAPTATION = Adaptation(
    of="small",
    of_recogniser="1" * 64,
    fit_rate=0.2,
    fitted_on=700,
    held_out=300,
    mean_cosine=0.99,
    least_cosine=0.875,
    edc=(EdcChange(0.001, "sampled", (0.0, 0.3), (0.02, 0.01), (0.021, 0.005)),),
)


@pytest.fixture
def original(tmp_path):
    return read_pack(write_small_pack(tmp_path))


@pytest.fixture
def adapted(original, tmp_path):
    """The same with a head twice as steep."""
    head = load_recogniser(original).head
    folder = write_small_pack(tmp_path, "other")
    write_adapted_head(head.refitted(2 * head.matrix, head.bias + 1), folder / "head.safetensors")
    manifest = small_manifest("other")
    files = {**manifest.files, "head.safetensors": sha256_of(folder / "head.safetensors")}
    entry = replace(manifest.recogniser, head="head.safetensors")
    made = replace(manifest, files=files, recogniser=entry, adaptation=ADAPTATION)
    write_manifest(made, folder)
    return read_pack(folder)


def test_whoever_may_read_the_pack_may_read_the_head(adapted):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in adapted.folder.iterdir()}
    assert modes["head.safetensors"] == modes["pack.toml"]


def test_what_a_pack_says_of_its_adaptation_survives_writing_and_reading(adapted):
    again = parse_manifest(format_manifest(adapted.manifest), "pack.toml")
    assert again == adapted.manifest
    assert again.adaptation == ADAPTATION
    unlabelled = replace(adapted.manifest, adaptation=replace(ADAPTATION, edc=()))
    assert parse_manifest(format_manifest(unlabelled), "pack.toml") == unlabelled


WRONG = [
    ('head = "head.safetensors"', "", "adaptation and recogniser.head go together"),
    ('head = "head.safetensors"', 'head = "gone"', "recogniser.head names gone, which is not"),
    ("fitted_on = 700", "fitted_on = 0", "adaptation.fitted_on must be an integer of at least 1"),
    ("mean_cosine = 0.99", "", "adaptation.mean_cosine is missing"),
    ("held_out = 300", "held_out = 300\nday = 1", "adaptation.day is not known"),
    ("fmr = 0.001", 'fmr = "low"', r"adaptation.edc\[0\].fmr must be a finite number"),
    ('estimator = "sampled"', 'estimator = "drawn"', r"edc\[0\].estimator must be one of sampled"),
    ("0.02,", "", r"adaptation.edc\[0\].discarded must be as long as before and after"),
]


@pytest.mark.parametrize(("right", "wrong", "complaint"), WRONG)
def test_what_is_wrong_in_an_adaptation_is_named(adapted, right, wrong, complaint):
    text = format_manifest(adapted.manifest)
    assert right in text
    with pytest.raises(ManifestError, match=complaint):
        parse_manifest(text.replace(right, wrong, 1), "pack.toml")


def test_edc_must_be_a_list_of_tables(adapted):
    text = format_manifest(adapted.manifest).partition("[[adaptation.edc]]")[0] + "edc = [1]\n"
    with pytest.raises(ManifestError, match=r"adaptation.edc must be a list of tables"):
        parse_manifest(text, "pack.toml")


@torch.no_grad()
def test_the_adapted_head_takes_the_place_of_the_files_own(original, adapted):
    verify(adapted)
    before, after = load_recogniser(original).head, load_recogniser(adapted).head
    features = torch.randn(3, before.feature_count)
    expected = 2 * (before.embed(features) - before.bias) + before.bias + 1
    assert torch.allclose(after.embed(features), expected, atol=1e-4)
    assert torch.allclose(after.squared_column_norms, 4 * before.squared_column_norms)


def test_a_verdict_on_the_original_is_none_on_the_adapted(original, adapted):
    checksum = recogniser_checksum(original.manifest)
    assert recogniser_checksum(adapted.manifest) != checksum
    verdict = replace(small_verdict("suitable"), recogniser_checksum=checksum)
    assert replace(original.manifest, verdict=verdict).standing_verdict == verdict
    assert replace(adapted.manifest, verdict=verdict).standing_verdict is None
    # Nor is one on another head.
    files = {**adapted.manifest.files, "head.safetensors": "2" * 64}
    other = replace(adapted.manifest, files=files)
    assert recogniser_checksum(other) != recogniser_checksum(adapted.manifest)


def test_a_calibration_of_the_original_is_refused_and_its_own_is_taken(original, adapted):
    calibrated = install(with_authors_map(original, "of-original"), original)
    name = calibrated.manifest.calibration
    (adapted.folder / name).write_bytes((calibrated.folder / name).read_bytes())
    files = {**adapted.manifest.files, name: calibrated.manifest.files[name]}
    write_manifest(replace(adapted.manifest, files=files, calibration=name), adapted.folder)
    with pytest.raises(ConfigurationError):
        load_calibration(read_pack(adapted.folder))
    write_manifest(adapted.manifest, adapted.folder)
    own = install(with_authors_map(adapted, "own"), adapted)
    assert load_calibration(own).id == "own"
    assert own.manifest.adaptation == ADAPTATION


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"matrix": torch.ones(16, 392)}, "must hold matrix and bias, not matrix"),
        ({"matrix": torch.ones(16, 391), "bias": torch.ones(16)}, r"\(16, 391\), not \(16, 392\)"),
        ({"matrix": torch.ones(16, 392), "bias": torch.ones(1)}, r"bias .* is \(1,\), not \(16,\)"),
        (
            {"matrix": torch.full((16, 392), torch.nan), "bias": torch.ones(16)},
            "matrix of the adapted head holds what is no number",
        ),
        (
            {"matrix": torch.ones(16, 392), "bias": torch.ones(16, dtype=torch.int64)},
            "bias of the adapted head holds what is no number",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_refused(adapted, tensors, complaint):
    safetensors.torch.save_file(tensors, adapted.folder / "head.safetensors")
    with pytest.raises(WeightsError, match=complaint):
        load_recogniser(adapted)


def test_a_head_that_is_no_safetensors_is_refused(adapted):
    (adapted.folder / "head.safetensors").write_bytes(b"{}")
    with pytest.raises(WeightsError, match=r"head\.safetensors cannot be read"):
        load_recogniser(adapted)


def test_a_head_that_cannot_be_written_is_said(original, tmp_path):
    head = load_recogniser(original).head
    with pytest.raises(WeightsError, match=r"head\.safetensors cannot be written"), little_room():
        write_adapted_head(head, tmp_path / "head.safetensors")
