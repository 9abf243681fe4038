"""From faces to a verdict in the pack: with a made-up pipeline, and with real recognisers."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.checking import MOST_FACES, aligned_faces, climb, drawn, verdict_on
from serfiq_core.errors import ConfigurationError, PackError, UnsuitableError
from serfiq_core.importing.new_pack import Provenance
from serfiq_core.importing.onnx_file import import_onnx_pack
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.amend import amend_manifest
from serfiq_core.packs.manifest import DetectorEntry, Manifest, RecogniserEntry, write_manifest
from serfiq_core.packs.pack import read_pack, verify
from serfiq_core.recognition.compact import Compact
from serfiq_core.recognition.recogniser import Preprocessing
from serfiq_core.suitability.criteria import FEWEST_FACES, figures, judge
from serfiq_core.suitability.degradations import KINDS, SEVERITIES
from serfiq_core.testing import FakePipeline
from serfiq_core.types import ALIGNED_SIDE_PX, FaceScores, Score
from tests.faces import lfw_crops, lfw_paths
from tests.http.service import blank_capture, random_capture
from tests.small_packs import small_verdict, write_small_pack

IMAGENET = Preprocessing("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
FEW = 10
"""Enough real faces to tell these recognisers apart; a verdict that is stored takes more."""


class SharpnessPipeline(FakePipeline):
    """Scores a face by `score_of` its pixels."""

    def __init__(self, score_of):
        super().__init__()
        self.score_of = score_of

    def score(self, faces):
        scores = []
        for face in faces:
            value = self.score_of(face.astype(float))
            limit = Score(value, 0.1, None)
            sampled = Score(value, 0.1, 1e-6)
            scores.append(FaceScores(sampled, limit, np.ones(8, np.float32) / 8**0.5, None))
        return scores


def textured_faces(count):
    """Flat discs on a gradient, none like another: no faces, and each has what can be degraded."""
    rows, columns = np.mgrid[:ALIGNED_SIDE_PX, :ALIGNED_SIDE_PX]
    faces = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        disc = (rows - 56) ** 2 + (columns - 56) ** 2 < rng.uniform(20, 40) ** 2
        grey = 60 + columns / 2 + disc * rng.uniform(40, 100)
        faces.append(np.repeat(grey[:, :, None], 3, 2).astype(np.uint8))
    return faces


def test_every_kind_and_severity_is_scored_once_and_comes_where_it_belongs():
    seen = []
    pipeline = SharpnessPipeline(lambda pixels: seen.append(pixels) or len(seen) / 1000)
    climbed = climb(pipeline, textured_faces(2))
    assert len(seen) == 2 * (1 + len(KINDS) * len(SEVERITIES))
    assert climbed.sampled.clean.tolist() == [0.001, 0.032]
    assert climbed.sampled.degraded["blur"][0].tolist() == [0.002, 0.003, 0.004, 0.005, 0.006]
    assert climbed.sampled.degraded["jpeg"][1, -1] == 0.062
    assert climbed.standard_errors.tolist() == [1e-6, 1e-6]
    assert climbed.closed_form.clean.tolist() == [0.001, 0.032]


def test_brightness_alone_sees_darkness_alone():
    climbed = climb(SharpnessPipeline(lambda pixels: pixels.mean() / 255), textured_faces(FEW))
    verdict, reasons = judge(figures(climbed.sampled, climbed.standard_errors, climbed.closed_form))
    assert verdict in ("weak", "unsuitable")
    assert not any("darkness" in reason for reason in reasons)
    assert any("blur" in reason for reason in reasons)


def test_no_numbers_are_no_verdict():
    with pytest.raises(PackError, match="fake answers some faces with no numbers"):
        climb(SharpnessPipeline(lambda _: float("nan")), textured_faces(1))


@pytest.mark.parametrize("estimator", ["sampled", "closed_form"])
def test_an_answer_that_does_not_scatter_is_no_verdict(estimator):
    """Of a constant answer no pass differs from another, and its score is the best there is."""

    class Constant(SharpnessPipeline):
        def score(self, faces):
            scores = super().score(faces)
            still = dataclasses.replace(scores[-1].by(estimator), mean_distance=0.0)
            return [*scores[:-1], dataclasses.replace(scores[-1], **{estimator: still})]

    with pytest.raises(PackError, match="fake answers some faces with nothing"):
        climb(Constant(lambda pixels: pixels.mean() / 255), textured_faces(1))


def test_few_faces_give_no_verdict(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    pipeline = SharpnessPipeline(lambda pixels: pixels.mean() / 255)
    climbed = climb(pipeline, textured_faces(FEWEST_FACES - 1))
    with pytest.raises(ConfigurationError, match="needs 30 faces, not 29"):
        verdict_on(pack, pipeline, climbed)


def test_a_verdict_is_installed_and_nothing_else_changes(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    before = sorted(path.name for path in pack.folder.iterdir())
    pipeline = SharpnessPipeline(lambda pixels: pixels.std() / 255)
    verdict = verdict_on(pack, pipeline, climb(pipeline, textured_faces(FEWEST_FACES)))
    checked = amend_manifest(pack, verdict=verdict)
    verify(checked)
    assert checked.manifest == dataclasses.replace(pack.manifest, verdict=verdict)
    assert checked.manifest.standing_verdict == verdict
    assert sorted(path.name for path in pack.folder.iterdir()) == before


def test_photographs_without_a_face_are_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no photograph")
    skipped = []
    paths = [tmp_path / "a.jpg", tmp_path / "absent.jpg"]
    assert aligned_faces(FakePipeline(), paths, lambda name, why: skipped.append(name)) == []
    assert skipped == [str(path) for path in paths]


def test_of_many_photographs_the_same_hundred_come_first(tmp_path):
    few = [tmp_path / f"{index}.jpg" for index in range(5)]
    assert drawn(few) == few
    many = [tmp_path / f"{index:04}.jpg" for index in range(1000)]
    assert drawn(many) == drawn(many)
    assert drawn(many)[:MOST_FACES] == sorted(drawn(many)[:MOST_FACES])
    assert sorted(drawn(many)) == many


def test_photographs_are_drawn_until_a_hundred_show_a_face(tmp_path):
    paths = [tmp_path / f"{index:03}.png" for index in range(150)]
    for index, path in enumerate(paths):
        path.write_bytes(random_capture() if index % 5 else blank_capture())
    skipped = []
    faces = aligned_faces(FakePipeline(), drawn(paths), lambda name, why: skipped.append(name))
    assert len(faces) == MOST_FACES
    assert 10 <= len(skipped) <= 30


# --- loading


def install_small(packs_dir, verdict):
    pack = read_pack(write_small_pack(packs_dir))
    return amend_manifest(pack, verdict=small_verdict(verdict, ("ranks blur backwards",)))


def test_an_unsuitable_pack_is_refused_unless_allowed(tmp_path):
    pack = install_small(tmp_path, "unsuitable")
    with pytest.raises(UnsuitableError, match=r"ranks blur backwards.*--allow-unsuitable"):
        load_pipeline(pack, device="cpu")
    pipeline = load_pipeline(pack, device="cpu", allow_unsuitable=True)
    assert pipeline.info.verdict == pack.manifest.verdict


@pytest.mark.parametrize("verdict", ["weak", "suitable"])
def test_other_verdicts_are_told_and_not_refused(tmp_path, verdict):
    assert load_pipeline(install_small(tmp_path, verdict), device="cpu").info.verdict is not None


@pytest.mark.parametrize("command", ["score", "calibrate", "same-person"])
def test_commands_refuse_and_can_be_told_to_go_on(tmp_path, monkeypatch, command):
    monkeypatch.setenv("SERFIQ_PACKS_DIR", str(tmp_path / "packs"))
    install_small(tmp_path / "packs", "unsuitable")
    photographs = tmp_path / "photographs"
    (photographs / "a").mkdir(parents=True)
    for name in "xy":
        (photographs / "a" / f"{name}.jpg").write_bytes(b"no photograph")
    target = photographs / "a" / "x.jpg" if command == "score" else photographs
    call = [command, str(target), "--pack", "small"]
    assert isinstance(CliRunner().invoke(cli, call).exception, UnsuitableError)
    allowed = CliRunner().invoke(cli, [*call, "--allow-unsuitable"])
    assert not isinstance(allowed.exception, UnsuitableError)
    monkeypatch.setenv("SERFIQ_ALLOW_UNSUITABLE", "true")
    assert not isinstance(CliRunner().invoke(cli, call).exception, UnsuitableError)


@pytest.mark.parametrize(
    ("verdict", "warning"),
    [
        (None, "never checked"),
        ("weak", None),
        ("unsuitable", "failed the suitability check and is used all the same"),
    ],
)
def test_doubts_are_warned_of(tmp_path, caplog, verdict, warning):
    from app.loading import load_in_process
    from app.settings import Settings

    if verdict is None:
        write_small_pack(tmp_path)
    else:
        install_small(tmp_path, verdict)
    load_in_process(Settings(pack="small", packs_dir=tmp_path, device="cpu", allow_unsuitable=True))
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "small has no calibration" in messages.pop(0)
    assert len(messages) == (warning is not None)
    assert warning is None or warning in messages[0]


# --- the command


def check(*arguments):
    return CliRunner().invoke(cli, ["packs", "check", *map(str, arguments)])


def test_without_photographs_there_is_a_first_look_and_no_verdict(tmp_path):
    write_small_pack(tmp_path)
    before = (tmp_path / "small" / "pack.toml").read_bytes()
    result = check("small", "--packs-dir", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["pack"], answer["verdict"], answer["stored"]) == ("small", None, False)
    assert answer["measured"]["faces"] == 1
    assert set(answer["measured"]["sampled"]) == set(KINDS)
    assert (tmp_path / "small" / "pack.toml").read_bytes() == before
    assert "no verdict is given on fewer than 30" in check("small", "--packs-dir", tmp_path).stdout


def test_a_folder_without_faces_is_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    result = check("compact", "--faces", tmp_path / "faces")
    assert result.exit_code == 2
    words = " ".join(result.output.replace("│", " ").split())
    assert "holds no photograph that shows a face" in words


def test_a_verdict_is_shown_and_stored(tmp_path, shared_data):
    """The recogniser's weights are random: what is stored says so, and the exit status too."""
    folder = tmp_path / "packs"
    write_small_pack(folder)
    photographs = tmp_path / "faces of Zoë"
    photographs.mkdir()
    for path in lfw_paths(shared_data, FEWEST_FACES + 2, seed=5):
        (photographs / path.name).write_bytes(path.read_bytes())
    result = check("small", "--faces", photographs, "--packs-dir", folder, "--json")
    answer = json.loads(result.stdout)
    stored = read_pack(folder / "small").manifest.standing_verdict
    assert stored is not None
    assert answer["stored"] is True
    assert answer["verdict"] == stored.verdict == "unsuitable"
    assert answer["measured"]["faces"] == stored.measured.faces >= FEWEST_FACES
    assert result.exit_code == 1
    with pytest.raises(UnsuitableError):
        load_pipeline(read_pack(folder / "small"), device="cpu")


# --- real recognisers


def judged(pack, crops):
    pipeline = load_pipeline(pack, device="cpu", precision="float32", allow_unsuitable=True)
    climbed = climb(pipeline, list(crops))
    measured = figures(climbed.sampled, climbed.standard_errors, climbed.closed_form)
    return measured, *judge(measured)


@pytest.fixture(scope="module")
def crops(shared_data):
    return lfw_crops(shared_data, FEW, seed=8)


@pytest.fixture(scope="module")
def mobilefacenet(shared_data, tmp_path_factory):
    def imported(rate):
        return import_onnx_pack(
            shared_data / "weights" / "mobilefacenet_ms1m.onnx",
            f"mobilefacenet-{rate}",
            tmp_path_factory.mktemp("packs"),
            preprocessing=IMAGENET,
            provenance=Provenance("1", "none", "none"),
            dropout_rate=rate,
        )

    return imported


def test_the_mobilefacenet_at_its_rate_ranks_every_kind_right(mobilefacenet, crops):
    measured, verdict, _ = judged(mobilefacenet(None), crops)
    assert verdict != "unsuitable"
    for rhos in (measured.sampled, measured.closed_form):
        assert max(rho.mean for rho in rhos.values()) < -0.7
    assert measured.standard_error < 0.5 * measured.spread
    assert measured.agreement > 0.9


def test_the_mobilefacenet_at_a_rate_of_a_thousandth_is_caught(mobilefacenet, crops):
    measured, verdict, reasons = judged(mobilefacenet(0.001), crops)
    assert verdict == "unsuitable"
    assert measured.standard_error > measured.spread
    assert any("drowns" in reason for reason in reasons)


def test_random_weights_are_caught(tmp_path, crops):
    torch.manual_seed(0)
    folder = tmp_path / "random"
    folder.mkdir()
    save_file(Compact().state_dict(), folder / "w.safetensors")
    digest = hashlib.sha256((folder / "w.safetensors").read_bytes()).hexdigest()
    grey = (127.5, 127.5, 127.5)
    entry = RecogniserEntry("compact", "w.safetensors", 112, "rgb", grey, grey, 0.4, True)
    files = {"w.safetensors": digest}
    manifest = Manifest("random", "1", "CC0-1.0", "the tests", files, entry, DetectorEntry("mtcnn"))
    write_manifest(manifest, folder)
    measured, verdict, _ = judged(read_pack(folder), crops)
    assert verdict == "unsuitable"
    assert measured.sampled["blur"].low > 0.5
