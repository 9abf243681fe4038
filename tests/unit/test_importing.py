import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from torch import nn

from serfiq_core.errors import (
    ArchiveError,
    ChecksumError,
    DownloadError,
    LicenceError,
    OnnxImportError,
    PackError,
    PackNotFoundError,
    SerfiqError,
    UnsupportedOperatorError,
    WeightsError,
)
from serfiq_core.importing.dropout_rate import TARGET_MEAN_DISTANCE, rate_for_mean_distance
from serfiq_core.importing.insightface_archive import pull_pack
from serfiq_core.importing.new_pack import Provenance
from serfiq_core.importing.onnx_file import import_onnx_pack, prove
from serfiq_core.importing.reference_faces import reference_faces
from serfiq_core.importing.state_dict import import_state_dict_pack
from serfiq_core.loading import load_detector, load_pipeline, load_recogniser
from serfiq_core.packs.insightface_packs import CATALOGUE, LICENCE, archive_url
from serfiq_core.packs.manifest import DetectorEntry
from serfiq_core.packs.pack import Pack, verify
from serfiq_core.packs.registry import find_pack
from serfiq_core.recognition import mobilefacenet
from serfiq_core.recognition.head import AffineHead
from serfiq_core.recognition.iresnet import IResNet
from serfiq_core.recognition.recogniser import Preprocessing
from serfiq_core.scoring.closed_form import ClosedForm
from serfiq_core.types import AlignedFace
from tests.faces import lfw_paths
from tests.local_server import LocalServer, local_server
from tests.order_zero import order_zero
from tests.small_packs import (
    DETECTOR_BYTES,
    published,
    small_recogniser,
    tiny_archive,
)

ARCFACE = Preprocessing("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
IMAGENET = Preprocessing(
    "rgb",
    (255 * 0.485, 255 * 0.456, 255 * 0.406),
    (255 * 0.229, 255 * 0.224, 255 * 0.225),
)
PROVENANCE = Provenance("7", "CC0-1.0", "the tests")
NOISE: list[AlignedFace] = list(
    np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
)
"""Stands for faces where the small recogniser, which knows none, is all there is."""


def import_small(folder: Path, model: bytes, **options: object) -> Pack:
    path = folder / "model.onnx"
    path.write_bytes(model)
    given = {"preprocessing": ARCFACE, "provenance": PROVENANCE, "faces": NOISE, **options}
    return import_onnx_pack(path, "mine", folder / "packs", **given)  # type: ignore[arg-type]


# --- ONNX file → pack


def test_an_imported_pack_is_installed_and_sound(tmp_path: Path) -> None:
    pack = import_small(tmp_path, small_recogniser())
    assert find_pack("mine", tmp_path / "packs") == pack
    verify(pack)
    assert pack.recogniser_path.read_bytes() == small_recogniser()
    manifest = pack.manifest
    assert (manifest.version, manifest.licence, manifest.licence_source) == (
        "7",
        "CC0-1.0",
        "the tests",
    )
    assert manifest.detector == DetectorEntry("mtcnn")
    assert manifest.recogniser.dropout_site is not None


def test_a_recogniser_trained_without_dropout_gets_a_rate_by_its_faces(tmp_path: Path) -> None:
    pack = import_small(tmp_path, small_recogniser())
    assert not pack.manifest.recogniser.trained_with_dropout
    # The rate is chosen at order 0, which for so few as 16 dimensions lies a few per cent above.
    assert median_mean_distance(pack, NOISE) == pytest.approx(0.7, abs=0.03)


def median_mean_distance(pack: Pack, faces: list[AlignedFace]) -> float:
    recogniser = load_recogniser(pack)
    features = recogniser.features(torch.from_numpy(np.stack(faces)))
    closed_form = ClosedForm(recogniser.head, recogniser.dropout_rate)
    return float(closed_form(features).mean_distance.median())


@pytest.mark.parametrize(
    ("in_the_graph", "given", "expected"),
    [(0.35, None, 0.35), (0.35, 0.2, 0.2), (None, 0.2, 0.2)],
)
def test_the_rate_it_was_trained_with_is_kept(
    tmp_path: Path, in_the_graph: float | None, given: float | None, expected: float
) -> None:
    pack = import_small(tmp_path, small_recogniser(in_the_graph), dropout_rate=given)
    assert pack.manifest.recogniser.dropout_rate == pytest.approx(expected)
    assert pack.manifest.recogniser.trained_with_dropout


def test_a_dropout_node_at_rate_zero_counts_as_none(tmp_path: Path) -> None:
    pack = import_small(tmp_path, small_recogniser(0.0))
    assert not pack.manifest.recogniser.trained_with_dropout
    assert 0 < pack.manifest.recogniser.dropout_rate < 1


@pytest.mark.parametrize(
    ("model", "options", "error"),
    [
        (small_recogniser(last_operator="Det"), {}, UnsupportedOperatorError),
        (b"", {}, OnnxImportError),
        (b"<html>", {}, OnnxImportError),
        (small_recogniser(), {"site": "nowhere"}, OnnxImportError),
        (small_recogniser(), {"dropout_rate": 1.0}, PackError),
        (small_recogniser(), {"scrfd": Path(__file__)}, WeightsError),
        (small_recogniser(), {"scrfd": Path("absent.onnx")}, PackError),
    ],
)
def test_nothing_is_written_of_what_is_refused(
    tmp_path: Path, model: bytes, options: dict[str, object], error: type[PackError]
) -> None:
    with pytest.raises(error):
        import_small(tmp_path, model, **options)
    packs = tmp_path / "packs"
    assert not packs.exists() or not list(packs.iterdir())


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    import_small(tmp_path, small_recogniser())
    before = (tmp_path / "packs" / "mine" / "pack.toml").read_bytes()
    with pytest.raises(PackError, match="a pack named mine exists already"):
        import_small(tmp_path, small_recogniser(0.3))
    assert (tmp_path / "packs" / "mine" / "pack.toml").read_bytes() == before


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"absent\.onnx cannot be read"):
        import_onnx_pack(
            tmp_path / "absent.onnx",
            "mine",
            tmp_path,
            preprocessing=ARCFACE,
            provenance=PROVENANCE,
        )


def test_a_real_recogniser_with_scrfd_scores_a_photograph(
    shared_data: Path, tmp_path: Path
) -> None:
    photographs = [path.read_bytes() for path in lfw_paths(shared_data, 3)]
    faces = reference_faces(photographs)
    pack = import_onnx_pack(
        shared_data / "weights" / "mobilefacenet_ms1m.onnx",
        "mobilefacenet",
        tmp_path,
        preprocessing=IMAGENET,
        provenance=PROVENANCE,
        scrfd=shared_data / "weights" / "det_500m.onnx",
        faces=faces,
    )
    assert median_mean_distance(pack, faces) == pytest.approx(0.7, abs=0.02)
    assessments = load_pipeline(pack, device="cpu").assess(photographs)
    for assessment in assessments:
        assert assessment.faces_found
        assert assessment.scores is not None
        assert 0.5 < assessment.scores.sampled.raw_score < 0.8  # 2σ(−0.7) = 0.66


# --- the rate


@pytest.mark.parametrize("seed", range(5))
def test_the_rate_puts_the_median_where_it_is_wanted(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(40, 9)
    nn.init.normal_(linear.weight, generator=generator)
    head = AffineHead(linear, 40)
    features = torch.randn(5, 40, generator=generator)
    rate = rate_for_mean_distance(features, head)
    # Order 0 of the closed form, spelled out face by face.
    distances = []
    for face in features.double():
        mean = linear.weight.double() @ face + linear.bias.double()
        spread = rate / (1 - rate) * ((linear.weight.double() * face) ** 2).sum()
        distances.append(math.sqrt(2 * spread / (mean.square().sum() + spread)))
    assert sorted(distances)[2] == pytest.approx(TARGET_MEAN_DISTANCE, rel=0.005)


def test_a_recogniser_that_hardly_answers_to_dropout_is_refused() -> None:
    head = AffineHead(nn.Linear(4, 2), 4)
    with torch.no_grad():
        head.bias.fill_(1e6)
    with pytest.raises(PackError, match="hardly answers to dropout"):
        rate_for_mean_distance(torch.ones(1, 4), head)


def test_faces_that_are_answered_with_zeros_give_no_rate() -> None:
    head = AffineHead(nn.Linear(4, 2), 4)
    with pytest.raises(PackError, match="zeros"):
        rate_for_mean_distance(torch.zeros(1, 4), head)


def test_a_detector_whose_weights_lie_in_another_file_is_refused(
    tmp_path: Path, shared_data: Path
) -> None:
    """Beside the model they would be found; in the pack they would not."""
    scrfd = tmp_path / "scrfd.onnx"
    model = onnx.load(shared_data / "weights" / "det_500m.onnx")
    onnx.save(model, scrfd, save_as_external_data=True, location="scrfd.bin")
    with pytest.raises(WeightsError):
        import_small(tmp_path, small_recogniser(), scrfd=scrfd)
    assert not (tmp_path / "packs" / "mine").exists()


# --- state dict → pack


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def saved_state_dict(folder: Path, network: nn.Module, name: str) -> Path:
    path = folder / name
    state = network.state_dict()
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:  # as training in parallel, on channels-last maps, leaves them
        torch.save(
            {"state_dict": {f"module.{key}": _channels_last(state[key]) for key in state}}, path
        )
    return path


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_state_dict_becomes_a_pack_that_embeds_as_the_network_did(
    tmp_path: Path, name: str
) -> None:
    torch.manual_seed(0)
    whole = IResNet(18).eval()
    pack = import_state_dict_pack(
        "iresnet18",
        saved_state_dict(tmp_path, whole, name),
        "mine",
        tmp_path / "packs",
        preprocessing=ARCFACE,
        provenance=PROVENANCE,
        faces=NOISE,
    )
    verify(pack)
    entry = pack.manifest.recogniser
    assert (entry.format, entry.file) == ("iresnet18", "recogniser.safetensors")
    assert not entry.trained_with_dropout
    faces = torch.from_numpy(np.stack(NOISE))
    pixels = (faces.permute(0, 3, 1, 2).float() - 127.5) / 127.5
    with torch.no_grad():
        wanted = nn.functional.normalize(whole(pixels))
    loaded = load_recogniser(pack)
    torch.testing.assert_close(loaded.embeddings(faces), wanted, rtol=0, atol=1e-4)
    distances = order_zero(loaded.head, entry.dropout_rate, loaded.features(faces))
    assert float(distances.median()) == pytest.approx(0.7, rel=0.01)


def test_the_rate_and_the_site_of_a_state_dict_can_be_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = saved_state_dict(tmp_path, mobilefacenet.MobileFaceNet(), "weights.pt")

    def imported(name: str, site: str) -> Pack:
        return import_state_dict_pack(
            "mobilefacenet",
            path,
            name,
            tmp_path / "packs",
            preprocessing=ARCFACE,
            provenance=PROVENANCE,
            dropout_rate=0.25,
            site=site,
            faces=NOISE,
        )

    entry = imported("mine", "values").manifest.recogniser
    assert (entry.dropout_rate, entry.trained_with_dropout) == (0.25, True)
    assert load_recogniser(find_pack("mine", tmp_path / "packs")).head.feature_count == 512
    with pytest.raises(PackError, match="must be map or values for a mobilefacenet, not 'conv7'"):
        imported("other", "conv7")
    assert [path.name for path in (tmp_path / "packs").iterdir()] == ["mine"]


def test_a_state_dict_of_another_network_leaves_no_pack(tmp_path: Path) -> None:
    path = saved_state_dict(tmp_path, IResNet(18), "weights.pth")
    with pytest.raises(WeightsError, match="the weights are not those of IResNet-34"):
        import_state_dict_pack(
            "iresnet34",
            path,
            "mine",
            tmp_path / "packs",
            preprocessing=ARCFACE,
            provenance=PROVENANCE,
            faces=NOISE,
        )
    assert not (tmp_path / "packs" / "mine").exists()


# --- reference faces


def test_the_portrait_of_scikit_image_is_the_reference_by_default() -> None:
    [face] = reference_faces()
    assert face.shape == (112, 112, 3)
    # The eyes are darker than the bridge of the nose between them.
    assert face[48:56, 34:42].mean() < face[52:60, 52:60].mean()
    assert face[48:56, 70:78].mean() < face[52:60, 52:60].mean()


def test_a_reference_that_cannot_be_used_is_numbered(shared_data: Path) -> None:
    good = lfw_paths(shared_data, 1)[0].read_bytes()
    with pytest.raises(PackError, match="reference photograph 2"):
        reference_faces([good, b"no image"])


# --- pulled archive → pack


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        running.files["/mirror/tiny.zip"] = tiny_archive()
        yield running


def pull(server: LocalServer, folder: Path, *, accept_licence: bool = True) -> Pack:
    return pull_pack(
        "tiny",
        folder,
        accept_licence=accept_licence,
        base_url=f"{server.url}/mirror/",
        catalogue={"tiny": published(tiny_archive())},
    )


def test_a_pulled_pack_is_installed_with_its_licence(server: LocalServer, tmp_path: Path) -> None:
    pack = pull(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert {path.name for path in pack.folder.iterdir()} == {"pack.toml", "rec.onnx", "det.onnx"}
    verify(pack)
    assert pack.manifest.licence == LICENCE
    assert "non-commercial" in pack.manifest.licence
    assert pack.manifest.detector == DetectorEntry("scrfd", "det.onnx")
    assert (pack.folder / "det.onnx").read_bytes() == DETECTOR_BYTES
    assert load_recogniser(pack).head.embedding_size == 16
    (pack.folder / "det.onnx").write_bytes(b"another")
    with pytest.raises(ChecksumError, match=r"det\.onnx"):
        load_detector(pack)


def test_without_the_licence_nothing_is_fetched(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(LicenceError, match="non-commercial research"):
        pull(server, tmp_path, accept_licence=False)
    assert server.asked_for == []
    assert not list(tmp_path.iterdir())


def with_file(path: str, data: bytes) -> bytes:
    return tiny_archive(**{path: data})


@pytest.mark.parametrize(
    ("served", "expected", "error"),
    [
        (tiny_archive()[:-1], tiny_archive(), ChecksumError),
        (with_file("more", b""), tiny_archive(), ChecksumError),
        (b"", tiny_archive(), ChecksumError),
        (with_file("../evil", b""), with_file("../evil", b""), ArchiveError),
        (b"no archive", b"no archive", ArchiveError),
        (
            with_file("tiny/rec.onnx", b"another model"),
            with_file("tiny/rec.onnx", b"another model"),
            ChecksumError,
        ),
    ],
    ids=["cut", "other", "empty", "reaching out", "no zip", "other file inside"],
)
def test_what_is_not_the_published_archive_is_refused(
    server: LocalServer,
    tmp_path: Path,
    served: bytes,
    expected: bytes,
    error: type[SerfiqError],
) -> None:
    server.files["/mirror/tiny.zip"] = served
    with pytest.raises(error):
        pull_pack(
            "tiny",
            tmp_path,
            accept_licence=True,
            base_url=f"{server.url}/mirror",
            catalogue={"tiny": published(expected)},
        )
    assert not list(tmp_path.iterdir())


def test_a_download_that_ends_early_leaves_nothing(server: LocalServer, tmp_path: Path) -> None:
    server.announced_bytes = len(tiny_archive()) + 100
    with pytest.raises(DownloadError, match="ended after"):
        pull(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_archive_that_is_not_there_leaves_nothing(server: LocalServer, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(DownloadError, match="404"):
        pull(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pack_is_not_pulled_twice(server: LocalServer, tmp_path: Path) -> None:
    pull(server, tmp_path)
    with pytest.raises(PackError, match="exists already"):
        pull(server, tmp_path)
    assert server.asked_for == ["/mirror/tiny.zip"]


def test_an_unknown_pack_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(PackNotFoundError, match="buffalo_l, buffalo_m, buffalo_sc, antelopev2"):
        pull_pack("buffalo_xl", tmp_path, accept_licence=True)


def test_the_library_says_where_the_packs_are_published() -> None:
    from insightface.utils.storage import model_zoo_download_url

    assert archive_url("buffalo_l", None) == model_zoo_download_url("buffalo_l.zip")


def test_the_catalogue_is_what_was_published(shared_data: Path) -> None:
    from serfiq_core.packs.pack import verify_file

    assert list(CATALOGUE) == ["buffalo_l", "buffalo_m", "buffalo_sc", "antelopev2"]
    small = CATALOGUE["buffalo_sc"]
    verify_file(shared_data / "weights" / "det_500m.onnx", small.files["det_500m.onnx"])
    for pack in CATALOGUE.values():
        assert set(pack.files) == {pack.recogniser_file, pack.detector_file}
        assert all(len(c) == 64 for c in [pack.archive_sha256, *pack.files.values()])


def test_a_graph_for_other_sizes_is_refused() -> None:
    import onnx

    model = onnx.load_model_from_string(small_recogniser())
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 113
    with pytest.raises(OnnxImportError, match="113×113"):
        prove(model.SerializeToString(), "x.onnx", ARCFACE, faces=NOISE)
