"""The linear map finds a known filter, is no better than least squares on other animals, and lifts nothing above what it knows."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.benchmarks.scores.against.linear_map import grey_map, normal_equations, solved
from fewview.geometry import InputError
from numpy.typing import NDArray
from scipy import ndimage

INSIDE = np.zeros((16, 18, 20), bool)
INSIDE[3:-3, 3:-3, 3:-3] = True


def _volume(seed: int) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(INSIDE.shape), 0.8).astype(np.float32)


def test_a_known_filter_and_offset_are_found_from_other_animals() -> None:
    kernel = np.random.default_rng(7).normal(0, 0.1, (2, 5, 5, 5))

    def truth(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
        return ndimage.correlate(a.astype(float), kernel[0]) + ndimage.correlate(b.astype(float), kernel[1]) - 0.03

    training = [(_volume(k), _volume(k + 10)) for k in (0, 1)]
    first, second = (normal_equations(pair, truth(*pair), INSIDE) for pair in training)
    found = solved(first + second)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-5)
    assert found.offset == pytest.approx(-0.03, abs=1e-5)
    pair = _volume(5), _volume(15)
    np.testing.assert_allclose(found(pair)[INSIDE], truth(*pair)[INSIDE], atol=1e-5)


def test_the_grey_map_is_the_regression_line() -> None:
    x = _volume(0)
    y = 0.7 * x + 0.01 + np.random.default_rng(1).normal(0, 0.01, x.shape)
    gain, offset = np.polyfit(x[INSIDE].astype(float), y[INSIDE], 1)
    found = grey_map(normal_equations([x], y, INSIDE))
    assert found.weights.item() == pytest.approx(gain, rel=1e-6)
    assert found.offset == pytest.approx(offset, rel=1e-5)


def test_a_blank_volume_becomes_the_mean_and_nothing_more() -> None:
    y = _volume(3)
    blank = np.zeros_like(y)
    for made in (solved, grey_map):
        mapped = made(normal_equations([blank], y, INSIDE))([blank])
        np.testing.assert_allclose(mapped[INSIDE], y[INSIDE].mean(), rtol=1e-5)


def test_maps_of_different_inputs_are_not_mixed() -> None:
    one, two = normal_equations([_volume(0)], _volume(1), INSIDE), normal_equations([_volume(0)] * 2, _volume(1), INSIDE)
    with pytest.raises(InputError, match="2 volumes"):
        one + two
    with pytest.raises(InputError, match="1 volumes"):
        solved(two)([_volume(0)])
