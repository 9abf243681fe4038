"""The training of `compact`: it learns, it repeats, and it goes on where it was."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from serfiq_core.errors import TrainingError
from serfiq_core.recognition import compact
from serfiq_core.suitability.degradations import KINDS
from serfiq_core.training import distil as module
from serfiq_core.training import scatter as scatter_of
from serfiq_core.training.distil import Progress, Student, distil
from serfiq_core.training.lesson import Lesson
from serfiq_core.training.losses import ContrastTargets, contrast
from serfiq_core.training.recipe import Recipe
from serfiq_core.training.view_batches import ViewBatches
from tests.little_room import little_room
from tests.order_zero import order_zero

CPU = torch.device("cpu")
RECIPE = Recipe(steps=6, batch=4, warm_up=0.5)

StateDict = dict[str, torch.Tensor]


def lesson_of(count: int = 8, size: int = 128) -> Lesson:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((count, size)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    faces = rng.integers(0, 256, (count, 112, 112, 3), np.uint8)
    return Lesson(faces, embeddings, {kind: [1, 0.9, 0.8, 0.7, 0.6, 0.5] for kind in KINDS})


def same(first: StateDict, second: StateDict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(tensor, second[name]) for name, tensor in first.items()
    )


def test_the_result_is_a_compact() -> None:
    network = compact.load(distil(lesson_of(), RECIPE, CPU, workers=0))
    assert network.head.feature_count == compact.FEATURE_COUNT


def test_a_seed_gives_the_same_weights_however_many_draw_views() -> None:
    alone = distil(lesson_of(), RECIPE, CPU, workers=0)
    assert same(alone, distil(lesson_of(), RECIPE, CPU, workers=2))
    assert not same(alone, distil(lesson_of(), replace(RECIPE, seed=1), CPU, workers=0))


def test_an_interrupted_training_ends_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_STEPS", 2)
    whole = distil(lesson_of(), RECIPE, CPU, workers=0)

    def interrupt(progress: Progress) -> None:
        if progress.step == 5:  # behind the checkpoint of step 4
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        distil(lesson_of(), RECIPE, CPU, checkpoint, workers=0, advance=interrupt)
    steps: list[int] = []
    resumed = distil(
        lesson_of(), RECIPE, CPU, checkpoint, workers=0, advance=lambda p: steps.append(p.step)
    )
    assert steps == [5, 6]
    assert same(whole, resumed)


@pytest.mark.parametrize("before", [True, False])
def test_tf32_is_as_it_was_when_a_training_ends(
    monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with suppress(KeyboardInterrupt), module._convolutions_in_tf32(torch.device("cuda")):
        assert torch.backends.cudnn.allow_tf32
        raise KeyboardInterrupt
    assert torch.backends.cudnn.allow_tf32 == before


def test_in_bfloat16_it_learns_nearly_the_same_and_keeps_float32() -> None:
    losses: list[dict[str, float]] = []
    for bfloat16 in (False, True):
        state = distil(
            lesson_of(),
            replace(RECIPE, steps=4, bfloat16=bfloat16),
            CPU,
            workers=0,
            advance=lambda progress: losses.append(progress.losses),
        )
        assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    full, half = losses[:4], losses[4:]
    assert full[0] != half[0]
    assert half[0] == pytest.approx(full[0], rel=0.05, abs=0.03)


def test_it_learns_what_it_is_taught() -> None:
    lesson = lesson_of(4)
    seen: list[dict[str, float]] = []
    recipe = Recipe(steps=40, batch=8)
    distil(lesson, recipe, CPU, workers=0, advance=lambda progress: seen.append(progress.losses))
    for loss in ("fit", "contrast", "scatter"):
        first, last = (np.mean([each[loss] for each in part]) for part in (seen[:8], seen[-8:]))
        assert last < 0.95 * first, loss


def test_the_scatter_that_is_trained_is_the_one_that_is_scored() -> None:
    """`t` of the loss, by the statistics of a batch, is the closed form's by the running ones."""
    torch.manual_seed(0)
    student = Student(RECIPE, CPU)
    network = student._network
    pixels = torch.randn(16, 3, 112, 112)
    network.train()
    with torch.no_grad():
        features = network.body(pixels).flatten(1)
        raw = network.fc(features)
        network.bn.running_mean.copy_(raw.mean(0))
        network.bn.running_var.copy_(raw.var(0, unbiased=False))
        mean, shares = scatter_of.mean_and_shares(network, features, raw)
        scatter = shares.sum(1)
    head = compact.load(
        {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    ).head
    torch.testing.assert_close(mean, head.embed(features), atol=1e-4, rtol=1e-3)
    distance = order_zero(head, compact.DROPOUT_RATE, features)
    squared = mean.square().sum(1)
    expected = (2 * scatter / (squared + scatter)).sqrt()
    torch.testing.assert_close(distance, expected, atol=1e-4, rtol=1e-3)


def test_scatter_of_one_feature_is_pushed_apart() -> None:
    shares = torch.full((4, compact.FEATURE_COUNT), 0.01)
    shares[:, 7] = 5000.0
    shares.requires_grad_()
    loss = scatter_of.breadth_loss(shares, least=256)
    assert loss.item() == pytest.approx(np.log(256), rel=0.01)
    (gradient,) = torch.autograd.grad(loss, shares)
    assert (gradient[:, 7] > 0).all()  # smaller
    assert (gradient[:, :7] < 0).all()  # larger
    even = torch.ones(4, compact.FEATURE_COUNT)
    assert scatter_of.breadth_loss(even, least=256).item() == 0


def test_the_covariance_of_the_loss_is_that_of_many_passes() -> None:
    torch.manual_seed(0)
    network = compact.Compact()
    features, raw = torch.rand(2, compact.FEATURE_COUNT), torch.randn(16, 128)
    with torch.no_grad():
        expected = scatter_of.covariances(network, features, raw)
        _, shares = scatter_of.mean_and_shares(network, features, raw)
        scale = (raw.var(0, unbiased=False) + network.bn.eps).rsqrt()
        masks = (torch.rand(4000, compact.FEATURE_COUNT) >= compact.DROPOUT_RATE) / 0.6
        passes = network.fc(features[0] * masks) * scale
    torch.testing.assert_close(expected.diagonal(dim1=1, dim2=2).sum(1), shares.sum(1))
    drawn = torch.cov(passes.T)
    assert (drawn - expected[0]).norm() < 0.25 * expected[0].norm()
    assert drawn.trace() == pytest.approx(float(expected[0].trace()), rel=0.02)


def test_scatter_of_one_direction_is_pushed_apart() -> None:
    narrow = 0.001 * torch.eye(128).repeat(4, 1, 1)
    narrow[:, 7, 7] = 5.0
    narrow.requires_grad_()
    loss = scatter_of.directions_loss(narrow, least=64)
    assert loss.item() == pytest.approx(np.log(64), rel=0.02)
    (gradient,) = torch.autograd.grad(loss, narrow)
    assert (gradient[:, 7, 7] > 0).all()  # smaller
    assert (gradient[:, 8, 8] < 0).all()  # larger
    assert scatter_of.directions_loss(torch.eye(128).repeat(4, 1, 1), least=64).item() == 0


def test_every_face_comes_once_before_any_comes_again() -> None:
    views = ViewBatches(lesson_of(10), Recipe(steps=1, batch=4))
    drawn = [face for step in range(5) for face in views._faces(step)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_views_of_one_face_are_not_told_apart() -> None:
    target = torch.nn.functional.normalize(torch.randn(1, 128))
    # Four views of face 0, and of those who are known besides two are face 0 again.
    known = ContrastTargets(target.expand(6, -1), torch.zeros(6, dtype=torch.long))
    assert (contrast(torch.randn(4, 128), known, scale=20) == 0).all()


def test_an_output_is_told_from_faces_that_no_view_of_the_batch_is_of() -> None:
    target, other = torch.eye(128)[:2]
    known = ContrastTargets(torch.stack([target, other]), torch.tensor([0, 1]))
    scale = 20.0
    losses = [float(contrast(y[None], known, scale)) for y in (target, target + other, other)]
    assert losses == pytest.approx([np.log1p(np.exp(-scale)), np.log(2), scale], abs=1e-5)


def test_a_teacher_of_another_size_is_refused() -> None:
    with pytest.raises(TrainingError, match="the teacher gives 512 values, and compact has 128"):
        distil(lesson_of(size=512), RECIPE, CPU, workers=0)


def test_a_checkpoint_that_cannot_be_written_is_said_and_an_earlier_one_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint.pt"
    student = Student(RECIPE, CPU)
    student.save(path)
    student.step = 5
    with pytest.raises(TrainingError, match=r"checkpoint\.pt cannot be written"), little_room():
        student.save(path)
    assert list(tmp_path.iterdir()) == [path]
    again = Student(RECIPE, CPU)
    again.resume(path)
    assert again.step == 0


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    Student(RECIPE, CPU).save(checkpoint)
    with pytest.raises(TrainingError, match="by another recipe"):
        distil(lesson_of(), replace(RECIPE, seed=2), CPU, checkpoint, workers=0)


def test_a_checkpoint_that_keeps_other_things_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    Student(RECIPE, CPU).save(checkpoint)
    kept = torch.load(checkpoint, weights_only=True)
    del kept["filter_optimiser"]
    torch.save(kept, checkpoint)
    with pytest.raises(TrainingError, match="by another recipe"):
        distil(lesson_of(), RECIPE, CPU, checkpoint, workers=0)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(content)
    with pytest.raises(TrainingError, match="is no checkpoint"):
        distil(lesson_of(), RECIPE, CPU, checkpoint, workers=0)


def contrast_after(retained: float, other_faces: int) -> float:
    """Of the first step of a new student, whose views meet eight more faces of that number."""
    rng = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(12, 128, generator=rng))
    losses = Student(RECIPE, CPU).learn(
        torch.randint(0, 256, (4, 3, 112, 112), dtype=torch.uint8, generator=rng),
        embeddings[:4],
        torch.full((4,), retained),
        torch.zeros(4, dtype=torch.long),
        embeddings[4:],
        torch.full((8,), other_faces),
    )
    return losses["contrast"]


def test_views_are_told_from_the_other_faces_that_they_meet() -> None:
    assert contrast_after(retained=1.0, other_faces=0) == 0  # the same face as theirs
    assert contrast_after(retained=1.0, other_faces=1) > 0


def test_what_a_view_leaves_nothing_of_need_not_be_told_apart() -> None:
    whole = contrast_after(retained=1.0, other_faces=1)
    assert contrast_after(retained=0.5, other_faces=1) == pytest.approx(whole / 2)
    assert contrast_after(retained=0.0, other_faces=1) == 0
