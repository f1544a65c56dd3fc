"""Errors of the quantities of bone, of volumes whose quantities theory gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bodies import plate, voxels
from fewview.benchmarks.scores.compared import VolumePair, Yardstick
from fewview.benchmarks.scores.metric_table import scores_of
from fewview.geometry import Grid

SHAPE = (20, 24, 24)
YARDSTICK = Yardstick(bone=0.11)
NAMES = ("bv_tv_error", "tb_th_error", "bs_error", "ct_ar_error")


def of(thickness: float) -> np.ndarray:
    return (0.02 + 0.18 * voxels(SHAPE, plate(thickness, (0, 0, 1), (9.5, 11.5, 11.5)))).astype(np.float32)


def test_a_plate_that_became_thicker() -> None:
    """9 for 6 voxels of 24: 12.5 points, half as thick again; the surface stays."""
    pair = VolumePair(of(9), of(6), Grid(SHAPE, 0.1), np.ones(SHAPE, bool), YARDSTICK)
    found = scores_of("volume", "volume", pair, NAMES)
    assert found["bv_tv_error"] == pytest.approx(12.5, abs=0.1)
    assert found["tb_th_error"] == pytest.approx(50, abs=1)
    assert found["ct_ar_error"] == pytest.approx(50, abs=0.5)
    assert found["bs_error"] == pytest.approx(0, abs=0.5)


def test_no_bone_has_no_error() -> None:
    pair = VolumePair(np.full(SHAPE, 0.02, np.float32), of(6), Grid(SHAPE, 0.1), np.ones(SHAPE, bool), YARDSTICK)
    assert all(math.isnan(v) for v in scores_of("volume", "volume", pair, NAMES).values())
