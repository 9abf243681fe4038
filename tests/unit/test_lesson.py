"""What the teacher is asked, and that a kept lesson is the one that was written."""

from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import torch

from serfiq_core.errors import TrainingError
from serfiq_core.recognition.onnx_import import import_onnx
from serfiq_core.recognition.recogniser import Preprocessing, Recogniser
from serfiq_core.suitability.degradations import KINDS
from serfiq_core.training.lesson import MADE_UP_SHARE, RETENTION_FACES, Lesson, check_room, teach
from serfiq_core.training.views import Damage
from tests.little_room import little_room
from tests.small_packs import small_recogniser

COUNT = RETENTION_FACES


def small_teacher() -> Recogniser:
    network = import_onnx(small_recogniser())
    return Recogniser(
        network.backbone, network.head, Preprocessing("rgb", (127.5,) * 3, (127.5,) * 3), 0.4
    )


def random_faces(count: int = COUNT) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), np.uint8)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return teach(list(random_faces()), small_teacher(), seed=0)


def test_some_are_the_faces_themselves_with_their_mirror_images(lesson: Lesson) -> None:
    faces, teacher = random_faces(), small_teacher()
    assert len(lesson.faces) == COUNT + MADE_UP_SHARE * COUNT
    assert (lesson.faces[:COUNT] == faces).all()
    plain = teacher.embeddings(torch.from_numpy(faces[:3])).numpy()
    mirrored = teacher.embeddings(torch.from_numpy(faces[:3, :, ::-1].copy())).numpy()
    both = (plain + mirrored) / np.linalg.norm(plain + mirrored, axis=1, keepdims=True)
    np.testing.assert_allclose(lesson.embeddings[:3], both, atol=1e-5)


def test_embeddings_have_unit_norm(lesson: Lesson) -> None:
    np.testing.assert_allclose(np.linalg.norm(lesson.embeddings, axis=1), 1, atol=1e-5)


def test_what_is_retained_falls_and_multiplies(lesson: Lesson) -> None:
    for kind in KINDS:
        table = lesson.retention[kind]
        assert len(table) == 6
        assert table[0] == 1
        assert table[5] < 1
    assert lesson.retained(()) == 1
    noise, dark = Damage("noise", 2.5), Damage("darkness", 1.0)
    between = (lesson.retention["noise"][2] + lesson.retention["noise"][3]) / 2
    assert lesson.retained([noise]) == pytest.approx(between)
    assert lesson.retained([noise, dark]) == pytest.approx(
        between * lesson.retention["darkness"][1]
    )


def test_the_seed_draws_the_faces_made_up(lesson: Lesson) -> None:
    again = teach(list(random_faces()), small_teacher(), seed=0)
    other = teach(list(random_faces()), small_teacher(), seed=1)
    assert (again.faces == lesson.faces).all()
    assert (other.faces[COUNT:] != lesson.faces[COUNT:]).any()


def test_a_kept_lesson_is_the_one_written_and_for_its_owner_alone(
    lesson: Lesson, tmp_path: Path
) -> None:
    path = tmp_path / "lesson.safetensors"
    lesson.write(path)
    kept = Lesson.read(path)
    assert (kept.faces == lesson.faces).all()
    assert (kept.embeddings == lesson.embeddings).all()
    assert kept.retention == {kind: list(lesson.retention[kind]) for kind in KINDS}
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["lesson.safetensors"]


def test_too_few_faces_are_refused() -> None:
    with pytest.raises(TrainingError, match="3 faces are too few: at least 100"):
        teach(list(random_faces(3)), small_teacher(), seed=0)


def test_what_is_no_lesson_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lesson.safetensors"
    with pytest.raises(TrainingError, match="is no lesson"):
        Lesson.read(path)
    path.write_bytes(b"\0" * 40)
    with pytest.raises(TrainingError, match="is no lesson"):
        Lesson.read(path)
    safetensors.numpy.save_file({"faces": random_faces(1)}, path)
    with pytest.raises(TrainingError, match="is no lesson"):
        Lesson.read(path)


def test_a_lesson_that_cannot_be_kept_is_said_and_an_earlier_one_stays(
    lesson: Lesson, tmp_path: Path
) -> None:
    path = tmp_path / "lesson.safetensors"
    path.write_bytes(b"earlier")
    with (
        pytest.raises(TrainingError, match=r"lesson\.safetensors cannot be written"),
        little_room(),
    ):
        lesson.write(path)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lesson_that_will_not_fit_is_refused_before_it_is_taught(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson.write(tmp_path / "lesson.safetensors")
    written = (tmp_path / "lesson.safetensors").stat().st_size
    header = 1000
    for free, refused in ((written - 2 * header, True), (written, False)):
        usage = Mock(return_value=Mock(free=free))
        monkeypatch.setattr("serfiq_core.training.lesson.disk_usage", usage)
        with pytest.raises(TrainingError, match="has room for") if refused else nullcontext():
            check_room(tmp_path, COUNT, small_teacher())
