"""tvnet from more views than its network has seen: it is told of as many as it knows over the same arc, and its correction helps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.nerf.patchwise.inputs import ACROSS, COUNT, FAMILIAR, NAMED, SIZE, STEP, as_learned, facts, far_from_learned, total_variation
from fewview.nerf.patchwise.learner import LEARNER
from fewview.nerf.patchwise.method import corrected, unfamiliar
from fewview.nerf.procedural.scene import means_in_voxels
from fewview.nerf.training.checkpoint import module_of
from fewview.nerf.training.learner import Example
from fewview.nerf.training.train_network import decibel
from fewview.nerf.weights import shipped_checkpoint
from fewview.recon import Operator

GRID = Grid((10, 24, 24), 1.0)
KNOWN = shipped_checkpoint("tvnet").state["known"].float().numpy()
MOST = 52 * math.exp(FAMILIAR)  # of the 13 to 52 views that the weights were trained with


def scan(count: int, arc_deg: float) -> Scan:
    return Scan.circular(dso_mm=75, dsd_mm=75, rows=20, cols=42, pixel_mm=0.7, angles_deg=np.arange(count) * arc_deg / count)


def told(count: int, arc_deg: float, noise: float = 0.01) -> np.ndarray:
    """The facts about a scan of noise alone, which say nothing else about the object."""
    some = scan(count, arc_deg)
    values = np.random.default_rng(0).normal(1, noise, (count, *some.shape)).astype(np.float32)
    return facts(Projections(values, some), GRID, 0.1, 0.006)


def test_more_views_are_told_as_those_that_the_network_knows_over_the_same_arc() -> None:
    numbers = told(260, 208)
    given = as_learned(numbers, KNOWN)
    count, step = 26 * math.exp(given[COUNT]), 8 * math.exp(given[STEP])
    assert count == pytest.approx(MOST, rel=1e-3)
    assert step == pytest.approx(208 / MOST, rel=1e-3)  # degrees
    others = [k for k in range(len(NAMED)) if k not in (COUNT, ACROSS, STEP)]
    assert np.array_equal(given[others], numbers[others])
    assert far_from_learned(numbers, KNOWN) == []
    for few in (3, 13, 130):
        assert np.array_equal(np.delete(as_learned(told(few, 208), KNOWN), ACROSS), np.delete(told(few, 208), ACROSS))


def test_a_larger_volume_is_told_as_the_largest_that_the_network_knows_and_named_as_it_is() -> None:
    numbers = told(26, 208)
    for across, known in ((512, KNOWN[1, ACROSS]), (16, KNOWN[0, ACROSS])):
        numbers[ACROSS] = math.log(across / 64)
        given = as_learned(numbers, KNOWN)
        assert given[ACROSS] == known
        assert np.array_equal(np.delete(given, ACROSS), np.delete(numbers, ACROSS))
        assert far_from_learned(numbers, KNOWN) == [SIZE]


@pytest.mark.parametrize(
    ("count", "arc_deg", "named"),
    [(260, 104, ["step between views"]), (2000, 104, ["step between views"]), (3, 208, ["number of views"]), (2000, 360, [])],
)
def test_a_wedge_and_too_few_views_stay_unfamiliar(count: int, arc_deg: float, named: list[str]) -> None:
    """The network knows nothing of a wedge of 104 degrees, however many views it has."""
    assert far_from_learned(told(count, arc_deg), KNOWN) == named


def test_a_network_that_has_learned_nothing_is_told_all_as_it_is() -> None:
    fresh = np.array([[np.inf] * len(NAMED), [-np.inf] * len(NAMED)], np.float32)
    assert np.array_equal(as_learned(told(260, 208), fresh), told(260, 208))


def test_from_160_views_the_correction_helps() -> None:
    """Shells around balls, measured with noise on voxels half as large and interpolated between their centres."""
    fine = Grid(tuple(2 * n for n in GRID.shape), GRID.voxel_mm / 2)  # type: ignore[arg-type]
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    volume = np.where(np.hypot(x, y) < 11, 0.03, 0).astype(np.float32)
    for center, radius in (((-3, 2, 1), 5), ((4, -4, -2), 3.5), ((5, 5, 3), 4)):
        away = np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)
        volume = np.where(away < radius, 0.04, np.where(away < radius + 0.9, 0.2, volume)).astype(np.float32)
    many = scan(160, 208)
    values = Operator(many, fine)(volume) + np.random.default_rng(0).normal(0, 0.01, (160, *many.shape))
    given = Projections(values.astype(np.float32), many)
    (nz, ny, nx), blocks = GRID.shape, (1, 3, 5)
    reference = means_in_voxels(volume).reshape(nz, 2, ny, 2, nx, 2).mean(axis=blocks)
    example = Example("shells", "shells", given, GRID, reference)
    module: Any = module_of(shipped_checkpoint("tvnet"), LEARNER)
    first = total_variation(given, GRID, lambda_=0.004)
    assert unfamiliar(module, given, GRID, first.volume, first.lambda_) == []
    after = corrected(module, given, GRID, first.volume, first.lambda_, consistency=0)
    assert decibel(after, example) > decibel(first.volume, example) + 1
