"""Resampling keeps totals, constants and linear ramps."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data.volumes.resample import resample
from fewview.geometry import Grid, InputError
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(1.0, 4.0), st.tuples(*[st.floats(-0.4, 0.4)] * 3))
def test_averaging_keeps_the_total(ratio: float, offset: tuple[float, float, float]) -> None:
    old = Grid((6, 7, 5), 0.3)
    volume = np.random.default_rng(0).random(old.shape)
    new = Grid((30, 30, 30), 0.3 * ratio, offset)
    total = resample(volume, old, new).sum(dtype=np.float64) * new.voxel_mm**3
    assert total == pytest.approx(volume.sum() * old.voxel_mm**3, rel=1e-5)


def test_interpolation_reproduces_a_ramp_and_shifts_follow_the_centre() -> None:
    old = Grid((8, 8, 8), 1.0, (1.0, 2.0, 3.0))
    x, y, z = np.meshgrid(old.x_mm, old.y_mm, old.z_mm, indexing="ij")
    ramp = (x + 2 * y - z).transpose(2, 1, 0)
    new = Grid((6, 6, 6), 0.5, (1.2, 2.1, 2.9))
    x, y, z = np.meshgrid(new.x_mm, new.y_mm, new.z_mm, indexing="ij")
    assert np.allclose(resample(ramp, old, new), (x + 2 * y - z).transpose(2, 1, 0), atol=1e-5)


def test_outside_is_zero_and_a_wrong_shape_is_refused() -> None:
    old = Grid((4, 4, 4), 1.0)
    far = Grid((4, 4, 4), 0.5, (100.0, 0.0, 0.0))
    assert not resample(np.ones(old.shape), old, far).any()
    with pytest.raises(InputError, match="shape"):
        resample(np.ones((3, 4, 4)), old, far)
