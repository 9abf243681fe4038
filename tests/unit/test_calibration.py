"""The maps from raw score to quality score, their file, and its tie to one recogniser."""

import math

import numpy as np
import pytest

from serfiq_core.calibration.calibration import (
    AuthorsMap,
    Calibration,
    PercentileMap,
    percentiles,
    read_calibration,
    write_calibration,
)
from serfiq_core.errors import ConfigurationError

SCORES = np.linspace(0.5, 0.9, 500)
OURS, OTHERS = "a" * 64, "b" * 64


@pytest.fixture
def calibration():
    return Calibration("site-1", OURS, 0.4, percentiles("500 made-up scores", SCORES.tolist()))


@pytest.fixture
def written(calibration, tmp_path):
    path = tmp_path / "calibration.toml"
    write_calibration(calibration, path)
    return path


def test_the_quality_score_is_a_percentile(calibration):
    assert calibration.quality_score(0.7) == pytest.approx(50, abs=0.5)
    assert calibration.quality_score(0.54) == pytest.approx(10, abs=0.5)
    assert calibration.quality_score(0.1) == 0
    assert calibration.quality_score(0.99) == 100


def test_between_knots_it_is_linear():
    knots = percentiles("made up", [0.1, 0.3, 0.35, 0.8, 0.9] * 30).knots
    for score in np.linspace(0.05, 0.95, 50):
        expected = np.interp(score, knots, np.linspace(0, 100, len(knots)))
        assert PercentileMap("made up", knots).quality_score(score) == pytest.approx(expected)


def test_who_scores_the_same_is_not_below():
    many_alike = percentiles("made up", [0.5] * 60 + SCORES[SCORES > 0.5][:60].tolist())
    assert many_alike.quality_score(0.5) == 0
    assert PercentileMap("made up", (0.2, 0.5, 0.5, 0.5, 0.9)).quality_score(0.5) == 25
    assert PercentileMap("made up", (0.2, 0.4, 0.5, 0.5)).quality_score(0.51) == 100
    assert math.isnan(many_alike.quality_score(math.nan))


def test_the_authors_map_is_what_their_code_computes():
    mean_distance = 0.25
    score = 2 * (1 / (1 + np.exp(mean_distance)))  # as `get_score` has it, and then its last line
    published = 1 / (1 + np.exp(-(130.0 * (score - 0.88))))
    raw_score = 2 / (1 + math.exp(mean_distance))
    assert AuthorsMap().quality_score(raw_score) == pytest.approx(100 * published)
    assert AuthorsMap().quality_score(0.88) == 50


@pytest.mark.parametrize("score_map", [AuthorsMap(), percentiles("made up", SCORES.tolist())])
def test_no_map_ever_falls_or_leaves_its_range(score_map):
    values = np.array([score_map.quality_score(score) for score in np.linspace(0, 1, 300)])
    assert (np.diff(values) >= 0).all()
    assert values.min() >= 0
    assert values.max() <= 100


def test_what_is_written_is_read_back(calibration, written):
    assert read_calibration(written, OURS, 0.4) == calibration


def test_the_authors_map_is_chosen_in_the_file(tmp_path):
    path = tmp_path / "calibration.toml"
    path.write_text(
        f'schema_version = 1\nid = "a"\nmap = "authors"\n'
        f'recogniser_sha256 = "{OURS}"\ndropout_rate = 0.5\n',
        encoding="utf-8",
    )
    calibration = read_calibration(path, OURS, 0.5)
    assert calibration == Calibration("a", OURS, 0.5, AuthorsMap())
    again = tmp_path / "again.toml"
    write_calibration(calibration, again)
    assert read_calibration(again, OURS, 0.5) == calibration


def test_another_packs_calibration_is_refused(written):
    with pytest.raises(ConfigurationError, match=f"toml: recogniser_sha256 is {OURS}.*another pac"):
        read_calibration(written, OTHERS, 0.4)
    with pytest.raises(ConfigurationError, match=r"toml: dropout_rate is 0\.4, and .* is 0\.5"):
        read_calibration(written, OURS, 0.5)


SOUND = {
    "schema_version": "1",
    "id": '"site-1"',
    "map": '"percentile"',
    "recogniser_sha256": f'"{OURS}"',
    "dropout_rate": "0.4",
    "reference": '"made up"',
    "knots": "[0.5, 0.6, 0.6, 0.9]",
}


def read_text(folder, text):
    path = folder / "calibration.toml"
    path.write_text(text, encoding="utf-8")
    return read_calibration(path, OURS, 0.4)


def as_toml(keys):
    return "\n".join(f"{key} = {value}" for key, value in keys.items())


def test_a_sound_calibration_is_taken(tmp_path):
    assert read_text(tmp_path, as_toml(SOUND)).quality_score(0.9) == 100


@pytest.mark.parametrize("key", SOUND)
def test_a_missing_key_is_named(tmp_path, key):
    left = {name: value for name, value in SOUND.items() if name != key}
    with pytest.raises(ConfigurationError, match=rf"calibration\.toml: {key} is missing"):
        read_text(tmp_path, as_toml(left))


@pytest.mark.parametrize("key", SOUND)
def test_a_value_of_another_type_is_refused(tmp_path, key):
    with pytest.raises(ConfigurationError, match=rf"calibration\.toml: {key} must be "):
        read_text(tmp_path, as_toml({**SOUND, key: "true"}))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"schema_version": "2"}, "schema_version must be 1, not 2"),
        ({"map": '"linear"'}, "map must be one of percentile, authors, not 'linear'"),
        ({"id": '""'}, "id must be a text"),
        ({"recogniser_sha256": '"A1"'}, "recogniser_sha256 must be a SHA-256"),
        ({"dropout_rate": "nan"}, "dropout_rate must be a finite number"),
        ({"dropout_rate": "1" + 400 * "0"}, "dropout_rate must be a finite number"),
        ({"knot": "[1]"}, "knot is not known"),
        ({"map": '"authors"'}, "reference is not known"),
        ({"knots": "[0.5, 0.7, 0.6]"}, r"knots must never fall, and fall from 0\.7 to 0\.6"),
        ({"knots": "[0.5, 0.5]"}, "knots must rise somewhere"),
        ({"knots": "[0.5]"}, "knots must be at least two scores"),
        ({"knots": "[0.5, 1.5]"}, "knots must be at least two scores, each from 0 to 1"),
        ({"knots": '[0.5, "x"]'}, "knots must be a finite number"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(tmp_path, changed, complaint):
    with pytest.raises(ConfigurationError, match=rf"calibration\.toml: {complaint}"):
        read_text(tmp_path, as_toml({**SOUND, **changed}))


@pytest.mark.parametrize("text", ["[", "id = \x00", "\udcff"])
def test_what_is_no_toml_is_refused(tmp_path, text):
    path = tmp_path / "calibration.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        ConfigurationError, match=r"calibration\.toml: (is not TOML|cannot be read)"
    ):
        read_calibration(path, OURS, 0.4)


def test_a_calibration_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read"):
        read_calibration(tmp_path / "none.toml", OURS, 0.4)


@pytest.mark.parametrize("scores", [[0.5] * 100, [0.5] * 100 + [float("nan")]])
def test_too_little_evidence_is_refused(scores):
    with pytest.raises(ConfigurationError, match="at least 101 finite scores"):
        percentiles("few", scores)


def test_scores_that_are_all_the_same_have_no_percentiles():
    with pytest.raises(ConfigurationError, match=r"all 200 photographs score 0\.5"):
        percentiles("a broken recogniser", [0.5] * 200)
