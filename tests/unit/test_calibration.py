"""The map from raw score to quality score, and its tie to one recogniser."""

import numpy as np
import pytest

from serfiq_core.calibration import from_reference, read_calibration, write_calibration
from serfiq_core.errors import ConfigurationError

SCORES = np.linspace(0.5, 0.9, 500)


@pytest.fixture
def calibration():
    return from_reference("site-1", "a" * 64, 0.4, "500 made-up scores", SCORES.tolist())


def test_the_quality_score_is_a_percentile(calibration):
    assert calibration.quality_score(0.7) == pytest.approx(50, abs=0.5)
    assert calibration.quality_score(0.54) == pytest.approx(10, abs=0.5)
    assert calibration.quality_score(0.1) == 0
    assert calibration.quality_score(0.99) == 100


def test_the_map_never_falls(calibration):
    values = [calibration.quality_score(score) for score in np.linspace(0, 1, 300)]
    assert (np.diff(values) >= 0).all()


def test_what_is_written_is_read_back(calibration, tmp_path):
    path = tmp_path / "calibration.toml"
    write_calibration(calibration, path)
    again = read_calibration(path, "a" * 64, 0.4)
    assert again.id == "site-1"
    assert again.knots == pytest.approx(calibration.knots, abs=1e-6)


def test_another_recognisers_calibration_is_refused(calibration, tmp_path):
    path = tmp_path / "calibration.toml"
    write_calibration(calibration, path)
    with pytest.raises(ConfigurationError, match="another recogniser"):
        read_calibration(path, "b" * 64, 0.4)
    with pytest.raises(ConfigurationError, match=r"dropout rate 0\.4, not 0\.5"):
        read_calibration(path, "a" * 64, 0.5)


@pytest.mark.parametrize(
    "text",
    ["", "id = 1", "[", 'id="a"\nrecogniser_sha256="a"\ndropout_rate="x"\nreference=""\nknots=[]'],
)
def test_a_damaged_calibration_is_refused(tmp_path, text):
    path = tmp_path / "calibration.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is no calibration"):
        read_calibration(path, "a" * 64, 0.4)


def test_falling_knots_are_refused(calibration, tmp_path):
    path = tmp_path / "calibration.toml"
    write_calibration(calibration, path)
    text = path.read_text(encoding="utf-8").replace("0.5,", "0.95,", 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="knots must rise"):
        read_calibration(path, "a" * 64, 0.4)


@pytest.mark.parametrize("scores", [[0.5] * 100, [0.5] * 100 + [float("nan")]])
def test_too_little_evidence_is_refused(scores):
    with pytest.raises(ConfigurationError, match="at least 101 finite scores"):
        from_reference("site-1", "a" * 64, 0.4, "few", scores)
