"""The on-top network: what a pass computes, what training leaves, and its file."""

import csv
from itertools import pairwise

import numpy as np
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from app.cli import cli
from serfiq_core.errors import SerfiqError, TrainingError, WeightsError
from serfiq_core.evaluation.score_columns import read_score_columns
from serfiq_core.evaluation.subjects import Photograph
from serfiq_core.recognition.on_top import OnTopHead, OnTopNetwork, read_on_top, write_on_top
from serfiq_core.scoring.score import Sampled, mask_bank
from serfiq_core.training.on_top import OnTopRecipe, train
from tests.little_room import little_room
from tests.unit.test_embeddings import write_parquet

EMBEDDING_SIZE, RATE, PASSES = 8, 0.5, 5
CPU = torch.device("cpu")


def clusters(subjects=12, each=6):
    """Embeddings of subjects that are easily told apart, `N × E`, and whose they are."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(0, 1, (subjects, EMBEDDING_SIZE)), each, axis=0)
    embeddings = centres + rng.normal(0, 0.1, centres.shape)
    names = [f"subject {number}" for number in range(subjects) for _ in range(each)]
    return embeddings.astype(np.float32), names


@pytest.fixture
def head():
    torch.manual_seed(0)
    return OnTopHead(OnTopNetwork(EMBEDDING_SIZE), RATE)


def test_the_layers_are_the_papers(head):
    shapes = [tuple(layer.weight.shape[::-1]) for layer in head.network.layers]
    assert shapes == list(pairwise((EMBEDDING_SIZE, 128, 512, EMBEDDING_SIZE)))
    assert head.feature_count == EMBEDDING_SIZE + 128 + 512


def test_a_pass_drops_in_front_of_each_layer(head):
    """Face by face and mask by mask, in plain numpy."""
    embeddings, _ = clusters(2, 2)
    bank = mask_bank(PASSES, head.feature_count, RATE, seed=3)
    found = head.under_masks(bank)(torch.from_numpy(embeddings))
    assert found.shape == (4, PASSES, EMBEDDING_SIZE)
    weights = [(layer.weight.numpy(), layer.bias.numpy()) for layer in head.network.layers]
    for face, embedding in enumerate(embeddings):
        for number, mask in enumerate(bank.numpy()):
            values = embedding / np.linalg.norm(embedding) * EMBEDDING_SIZE**0.5
            start = 0
            for weight, bias in weights:
                kept = values * mask[start : start + len(values)]
                start += len(values)
                values = np.tanh(weight @ kept + bias)
            assert start == head.feature_count
            assert np.allclose(found[face, number].numpy(), values, atol=1e-5)


def test_the_length_of_an_embedding_means_nothing(head):
    embeddings = torch.from_numpy(clusters()[0])
    bank = mask_bank(PASSES, head.feature_count, RATE, seed=0)
    scores = Sampled(head, bank)(embeddings).raw_score
    assert torch.allclose(Sampled(head, bank)(17 * embeddings).raw_score, scores, atol=1e-6)
    assert ((scores > 0) & (scores < 1)).all()


@pytest.fixture(scope="module")
def trained():
    return train(*clusters(), OnTopRecipe(epochs=60, batch_size=16, dropout_rate=0.2), device=CPU)


def test_training_learns(trained):
    # Twelve subjects, one of them right: who knows only that has an entropy of 0.287.
    short = train(*clusters(), OnTopRecipe(epochs=2, batch_size=16, dropout_rate=0.2), device=CPU)
    assert trained.loss < 0.287 < short.loss
    assert trained.head.dropout_rate == 0.2


def test_trained_outputs_of_one_subject_are_alike(trained):
    embeddings, names = clusters()
    network = trained.head.network
    prepared = network.prepared(torch.from_numpy(embeddings))
    outputs = torch.nn.functional.normalize(network(prepared, lambda _place, x: x))
    similar = outputs @ outputs.T
    same = torch.tensor([[a == b for b in names] for a in names])
    assert similar[same].mean() > similar[~same].mean() + 0.2


def test_a_seed_repeats_training_and_another_does_not():
    once, again, other = (
        train(*clusters(), OnTopRecipe(epochs=2, batch_size=16, seed=seed), device=CPU)
        for seed in (0, 0, 1)
    )
    assert once.loss == again.loss != other.loss
    first, second = (each.head.network.state_dict() for each in (once, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_subjects_with_one_photograph_are_left_out():
    embeddings, names = clusters(4, 3)
    trained = train(embeddings[:-2], names[:-2], OnTopRecipe(epochs=1), device=CPU)
    assert (trained.photographs, trained.subjects) == (9, 3)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["a"] * 6, "of 1 there are 1"),
        (["a", "b", "c", "d", "e", "f"], "of 6 there are 0"),
        (["a", "a", "b", "c", "d", "e"], "of 5 there are 1"),
    ],
)
def test_fewer_than_two_subjects_are_refused(names, complaint):
    with pytest.raises(TrainingError, match=complaint):
        train(clusters(2, 3)[0], names, OnTopRecipe(), device=CPU)


# --- its file


def test_a_head_survives_writing_and_reading(head, tmp_path):
    write_on_top(head, tmp_path / "head.safetensors", {"subjects": "12"})
    again = read_on_top(tmp_path / "head.safetensors")
    assert (again.dropout_rate, again.embedding_size) == (RATE, EMBEDDING_SIZE)
    bank = mask_bank(PASSES, head.feature_count, RATE, seed=0)
    embeddings = torch.from_numpy(clusters()[0])
    assert torch.equal(head.under_masks(bank)(embeddings), again.under_masks(bank)(embeddings))
    with safetensors.safe_open(tmp_path / "head.safetensors", "pt") as file:
        assert file.metadata()["subjects"] == "12"


def test_a_head_is_as_readable_as_other_files(head, tmp_path):
    write_on_top(head, tmp_path / "head.safetensors", {})
    (tmp_path / "other").touch()
    first, second = (path.stat().st_mode for path in tmp_path.iterdir())
    assert first == second


def test_a_head_that_cannot_be_written_is_said(head, tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        write_on_top(head, tmp_path / "absent" / "head.safetensors", {})


def test_an_earlier_head_stays_until_the_new_one_is_complete(head, tmp_path):
    path = tmp_path / "head.safetensors"
    write_on_top(head, path, {})
    earlier = path.read_bytes()
    with pytest.raises(WeightsError, match="cannot be written"), little_room():
        write_on_top(head, path, {"subjects": "12"})
    assert path.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("metadata", "changed", "complaint"),
    [
        ({}, {}, "is no on-top head"),
        ({"format": "serfiq on-top 1"}, {}, "does not say its dropout rate"),
        ({"format": "serfiq on-top 1", "dropout_rate": "high"}, {}, "does not say its dropout"),
        ({"format": "serfiq on-top 1", "dropout_rate": "1.0"}, {}, "between 0 and 1, not at 1"),
        (
            {"format": "serfiq on-top 1", "dropout_rate": "0.5"},
            {"layers.1.weight": torch.ones(3, 3)},
            r"layers\.1\.weight is \(3, 3\), not \(512, 128\)",
        ),
        (
            {"format": "serfiq on-top 1", "dropout_rate": "0.5"},
            {"more": torch.ones(1)},
            "unknown more",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(head, tmp_path, metadata, changed, complaint):
    path = tmp_path / "head.safetensors"
    safetensors.torch.save_file({**head.network.state_dict(), **changed}, path, metadata)
    with pytest.raises(WeightsError, match=complaint):
        read_on_top(path)


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "head.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_on_top(path)


# --- the commands


def run(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    monkeypatch.setenv("SERFIQ_DEVICE", "cpu")
    embeddings, names = clusters()
    paths = [f"{name}/{row}.jpg" for row, name in enumerate(names)]
    return write_parquet(tmp_path / "embeddings.parquet", paths, names, list(embeddings))


def test_what_is_trained_scores_embeddings_as_evaluate_takes_them(parquet, tmp_path):
    head, scores = tmp_path / "head.safetensors", tmp_path / "scores.csv"
    result = run("train", "on-top", head, "--embeddings", parquet, "--epochs", 3)
    assert result.exit_code == 0, result.output
    assert "72 embeddings of 12 subjects" in result.output
    options = ["--embeddings", parquet, "--passes", 10]
    result = run("score-embeddings", head, scores, *options, "--name", "mine")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(scores.open(encoding="utf-8")))
    photographs = [Photograph(parquet, row["path"], "") for row in rows]
    columns = read_score_columns(scores, photographs, ())
    made = read_on_top(head)
    bank = mask_bank(10, made.feature_count, RATE, seed=0)
    expected = Sampled(made, bank)(torch.from_numpy(clusters()[0])).raw_score
    assert columns["mine"].tolist() == expected.tolist()
    assert parquet.read_bytes()  # untouched
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "embeddings.parquet",
        "head.safetensors",
        "scores.csv",
    ]


def test_earlier_scores_stay_until_the_new_ones_are_complete(parquet, head, tmp_path):
    path, scores = tmp_path / "head.safetensors", tmp_path / "scores.csv"
    write_on_top(head, path, {})
    scores.write_text("earlier")
    with little_room():
        result = run("score-embeddings", path, scores, "--embeddings", parquet, "--passes", 3)
    assert isinstance(result.exception, TrainingError)
    assert "scores.csv cannot be written: File too large" in str(result.exception)
    assert scores.read_text() == "earlier"


def test_embeddings_of_another_size_are_refused(parquet, tmp_path):
    head = tmp_path / "head.safetensors"
    torch.manual_seed(0)
    write_on_top(OnTopHead(OnTopNetwork(EMBEDDING_SIZE + 1), RATE), head, {})
    result = run("score-embeddings", head, tmp_path / "scores.csv", "--embeddings", parquet)
    assert isinstance(result.exception, TrainingError)
    assert "of 8 values" in str(result.exception)
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--dropout-rate", "1"], "'--dropout-rate': must lie between 0 and 1"),
        (["--epochs", "0"], "--epochs"),
        (["--batch-size", "0"], "--batch-size"),
        (["--seed", str(2**63)], "--seed"),
    ],
)
def test_a_recipe_out_of_range_is_a_wrong_call(parquet, tmp_path, arguments, complaint):
    head = tmp_path / "head.safetensors"
    result = run("train", "on-top", head, "--embeddings", parquet, *arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_names_that_cannot_be_are_wrong_calls(parquet, tmp_path):
    result = run("train", "on-top", tmp_path / "head.pt", "--embeddings", parquet)
    assert result.exit_code == 2
    assert ".safetensors" in result.output
    result = run("train", "on-top", tmp_path / "none" / "h.safetensors", "--embeddings", parquet)
    assert result.exit_code == 2
    assert "there is no folder" in result.output
    result = run("score-embeddings", parquet, tmp_path / "s.csv", "--embeddings", parquet,
                 "--name", "subject")  # fmt: skip
    assert result.exit_code == 2
    result = run("score-embeddings", parquet, tmp_path / "s.csv", "--embeddings", parquet,
                 "--name", "a b")  # fmt: skip
    assert result.exit_code == 2
    assert "cannot name a method" in result.output


def test_without_pyarrow_it_says_what_to_install(parquet, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    result = run("train", "on-top", tmp_path / "head.safetensors", "--embeddings", parquet)
    assert isinstance(result.exception, SerfiqError)
    assert "this needs pyarrow: run `make evaluate`" in str(result.exception)
