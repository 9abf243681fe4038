"""The instability map against its formula in plain float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from serfiq_core.maps.instability_map import instability_map
from serfiq_core.recognition.head import AffineHead


def flattening_head(shape: tuple[int, int, int], embedding_size: int) -> AffineHead:
    count = shape[0] * shape[1] * shape[2]
    return AffineHead(nn.Sequential(nn.Flatten(), nn.Linear(count, embedding_size)), count, shape)


@settings(deadline=None, max_examples=50)
@given(
    channels=st.integers(1, 6),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    rate=st.floats(0.01, 0.9),
    seed=st.integers(0, 1000),
)
def test_each_position_has_the_noise_of_its_own_noise_and_signal(
    channels, height, width, rate, seed
):
    torch.manual_seed(seed)
    head = flattening_head((channels, height, width), 5)
    features = torch.randn(2, head.feature_count)

    shares = instability_map(features, head, rate)

    assert shares is not None
    assert shares.shape == (2, height, width)
    weight = head.multiply_transposed(torch.eye(5)).double().numpy()
    bias = head.bias.double().numpy()
    for face, share in zip(features.double().numpy(), shares, strict=True):
        centre = weight @ face + bias
        noise = rate / (1 - rate) * face**2 * (weight**2).sum(0)
        signal = face * (centre @ weight)
        # Both split exactly: what the positions have, with the bias, is what the face has.
        assert signal.sum() + bias @ centre == pytest.approx(centre @ centre)
        t, n = (part.reshape(channels, height, width).sum(0) for part in (noise, signal))
        fractions = t / (t + np.maximum(n, 0))
        assert share.numpy() == pytest.approx(fractions / fractions.sum(), abs=1e-4)


def test_there_is_no_map_without_positions():
    head = AffineHead(nn.Linear(10, 3), 10)
    assert instability_map(torch.randn(1, 10), head, 0.4) is None


def test_a_face_without_features_has_an_empty_map_and_no_nan():
    shares = instability_map(torch.zeros(1, 8), flattening_head((2, 2, 2), 3), 0.4)
    assert shares is not None
    assert (shares == 0).all()
