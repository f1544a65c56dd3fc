"""tvnet on a part of an object: what lies outside is taken away from the views, and nothing that it does sees it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.data.multiresolution import bin_projections
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.nerf.patchwise.adapt import hidden
from fewview.nerf.patchwise.inputs import TvWeight, total_variation
from fewview.nerf.patchwise.learner import LEARNER
from fewview.nerf.patchwise.scales import Scales
from fewview.recon import Operator, reconstruct
from fewview.recon.iterative.region.region import region_of

VOXEL_MM, COUNT = 0.5, 26
SCAN = skyscan_1276(rows=28, cols=46, voxel_mm=VOXEL_MM)
SCAN = SCAN[views.evenly(SCAN, COUNT)]
WHOLE = Grid((28, 46, 46), VOXEL_MM)
AT, SIDE = (6, 12, 18), 16
PART = tuple(slice(a, a + SIDE) for a in AT)
BOX = Grid((SIDE,) * 3, VOXEL_MM, tuple(float(c) for c in WHOLE.origin_mm + (np.array(AT[::-1]) + (SIDE - 1) / 2) * VOXEL_MM))  # type: ignore[arg-type]


def limb(grid: Grid) -> np.ndarray:
    """Two bones with cores of foam in a long leg, which leaves the box on all sides and the panel above and below."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    mu = np.where(np.hypot(x, y + 1) < 9, 0.04, 0.0).astype(np.float32)
    foam = np.sin(2.1 * x) * np.sin(2.1 * y) + np.sin(2.1 * z + x) > 0.6
    for away in (np.hypot(x - 0.2 * z, y + 1), np.hypot(x + 6.5, y - 1 + 0.1 * z)):
        mu[away < 3] = 0.18
        mu[(away < 2.4) & ~foam] = 0.05
    return mu


@cache
def scan_of_limb() -> Projections:
    """Measured with noise on voxels that are half as large, of which more lie above and below."""
    fine = Grid((72, 92, 92), VOXEL_MM / 2)
    values = Operator(SCAN, fine)(limb(fine)) + np.random.default_rng(0).normal(0, 0.01, (COUNT, 28, 46))
    return Projections(values.astype(np.float32), SCAN)


def truth() -> np.ndarray:
    """The mean over each voxel of the part."""
    nz, ny, nx = (2 * n for n in BOX.shape)
    return limb(Grid((nz, ny, nx), VOXEL_MM / 2, BOX.center_mm)).reshape(SIDE, 2, SIDE, 2, SIDE, 2).mean(axis=(1, 3, 5))


def error(volume: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((volume - other) ** 2) / np.mean(other**2)))


def test_a_part_is_better_than_total_variation_and_sees_nothing_of_the_outside() -> None:
    p = scan_of_limb()
    seen: list[tuple[int, ...]] = []
    part = reconstruct(p, "tvnet", BOX, [lambda step: seen.append(np.asarray(step.volume).shape)], check=False)
    drawn = reconstruct(p, "tvnet", BOX, check=False, consistency=3, held_out=False).volume
    smooth = reconstruct(p, "pdhg_tv", BOX, check=False)
    ignored = reconstruct(p, "pdhg_tv", BOX, check=False, outside="ignore").volume
    assert error(ignored, truth()) > 0.5  # what lies outside matters: without it taken away there is a bright rim
    assert error(part.volume, truth()) < 0.9 * error(smooth.volume, truth())
    assert error(drawn, truth()) < error(smooth.volume, truth())  # data consistency draws nothing of the outside into the part
    assert part.settings["share"] > 0.5  # held-out views, too, are asked without what lies outside
    assert part.settings["share_gain"] > 0
    assert part.settings["lambda_"] == pytest.approx(smooth.settings["lambda_"], rel=1e-5)
    for name in ("outside", "outside_seen", "outside_margin", "outside_voxel_mm"):
        assert part.settings[name] == smooth.settings[name]
    assert set(seen) == {BOX.shape}


def test_total_variation_of_a_part_is_that_of_pdhg_tv_and_explains_the_views_that_are_left() -> None:
    p = scan_of_limb()
    first = total_variation(p, BOX)
    assert np.array_equal(first.volume[first.cut], reconstruct(p, "pdhg_tv", BOX, check=False).volume)
    assert first.grid.shape == region_of(p.scan, BOX).grid.shape
    through = Operator(SCAN, BOX)(np.ones(BOX.shape, np.float32)) > 4  # mm of the box
    rest = (first.projections.values - Operator(SCAN, first.grid)(first.volume))[through]
    assert rest.std() < 0.1  # beside the 0.5 and more that lies outside of the box there
    assert (p.values - Operator(SCAN, first.grid)(first.volume))[through].mean() > 0.3


def test_the_weight_of_a_part_keeps_its_meaning_with_other_views_and_voxels() -> None:
    """With all views it gives the same volume; with half of them, on coarser voxels, one that is as smooth."""
    first = total_variation(scan_of_limb(), BOX)
    again = first.weight.volume(first.projections, first.grid)
    assert error(again, first.volume) < 0.03
    coarse = first.grid.coarser(2)
    half = first.weight.volume(bin_projections(first.projections, 2)[::2], coarse)
    blocks = first.volume.reshape(*(m for n in coarse.shape for m in (n, 2))).mean(axis=(1, 3, 5))
    assert error(half, blocks) < 0.25
    assert np.abs(np.diff(half, axis=2)).mean() == pytest.approx(np.abs(np.diff(blocks, axis=2)).mean(), rel=0.2)


def test_learning_from_the_scan_itself_sees_the_part_alone() -> None:
    """A network that adds nothing leaves of the hidden views what total variation of the part does: noise, and no bone beside it."""
    module = LEARNER.build(Scales(fine=4, middle=4, coarse=4), torch.Generator().manual_seed(0)).eval()
    first = total_variation(scan_of_limb(), BOX)
    lesson = hidden(module, first.projections, first.grid, np.arange(1, COUNT), np.arange(1), first.weight)
    raw = hidden(module, scan_of_limb(), first.grid, np.arange(1, COUNT), np.arange(1), TvWeight(first.lambda_))
    assert lesson is not None
    assert raw is not None
    with torch.no_grad():
        assert float(lesson.error(module)) < 0.3 * float(raw.error(module))


def test_naf_on_a_part_is_refused_with_the_number() -> None:
    with pytest.raises(InputError, match=r"naf on a part of the object: the views show \d+% of their largest value beside the grid"):
        reconstruct(scan_of_limb(), "naf", BOX, check=False, steps=1)
