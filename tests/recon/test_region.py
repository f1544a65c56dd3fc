"""A region of a larger object is what the whole shows there, and has no bright rim."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.recon import Operator, reconstruct
from fewview.recon.iterative.region.beside import SEEN_BESIDE, attenuation_beside, covers_what_is_seen
from fewview.recon.iterative.region.region import region_of
from fewview.recon.iterative.region.shadow import shadow

SCAN = skyscan_1276(rows=40, cols=64, voxel_mm=0.375)
SCAN = SCAN[views.evenly(SCAN, 26)]
WHOLE = Grid((40, 62, 62), 0.375)
AT, SIDE = (12, 22, 26), 16
PART = tuple(slice(a, a + SIDE) for a in AT)
BOX = Grid((SIDE,) * 3, 0.375, tuple(float(c) for c in WHOLE.origin_mm + (np.array(AT[::-1]) + (SIDE - 1) / 2) * 0.375))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def limb(grid: Grid) -> np.ndarray:
    """A long leg with two bones in a tube: it leaves any small box on all sides, and the panel above and below."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    mu = np.zeros(grid.shape, np.float32)
    mu[abs(np.hypot(x, y) - 10) < 0.4] = 0.025
    mu[np.hypot(x, y + 1) < 7] = 0.04
    first, second = np.hypot(x - 0.2 * z, y), np.hypot(x + 4, y - 1 + 0.1 * z)
    mu[first < 2] = 0.18
    mu[(first < 1.2) & (abs(z) > 1)] = 0.05
    mu[second < 1] = 0.19
    return mu


@cache
def views_of_limb() -> Projections:
    """Measured with noise on voxels that are half as large."""
    fine = Grid((100, 124, 124), 0.1875)
    values = Operator(SCAN, fine)(limb(fine)) + np.random.default_rng(0).normal(0, 0.01, (26, 40, 64)).astype(np.float32)
    return Projections(values.astype(np.float32), SCAN)


def error(volume: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((volume - other) ** 2) / np.mean(other**2)))


def test_a_region_is_what_the_whole_shows_there() -> None:
    whole = reconstruct(views_of_limb(), "pdhg_tv", WHOLE, check=False, lambda_=0.005)
    region = reconstruct(views_of_limb(), "pdhg_tv", BOX, check=False, lambda_=0.005)
    alone = reconstruct(views_of_limb(), "pdhg_tv", BOX, check=False, lambda_=0.005, outside="ignore")
    there = whole.volume[PART]
    rim = np.ones(there.shape, bool)
    rim[2:-2, 2:-2, 2:-2] = False
    assert error(region.volume, there) < 0.04
    assert error(region.volume[rim], there[rim]) < 0.05
    assert error(alone.volume[rim], there[rim]) > 1.0
    assert region.settings["lambda_unit"] == pytest.approx(whole.settings["lambda_unit"], rel=0.1)  # lambda_ keeps its meaning
    assert region.settings["outside"] == "subtracted, from pdhg_tv of the whole on voxels of 0.75 mm"
    assert region.settings["outside_margin"] == 2
    assert (whole.settings["outside"], alone.settings["outside"]) == ("auto", "ignore")


@pytest.mark.parametrize("method", ["sirt", "cgls", "fista_tv"])
def test_every_iterative_method_does_it(method: str) -> None:
    given: dict[str, Any] = {"iterations": 5} | ({"lambda_": 0.005} if method == "fista_tv" else {})
    there = reconstruct(views_of_limb(), method, WHOLE, check=False, **given).volume[PART]
    seen: list[tuple[int, ...]] = []
    given |= {"start": there, "mask": there > -1, "weights": "counts"}
    region = reconstruct(views_of_limb(), method, BOX, [lambda p: seen.append(np.asarray(p.volume).shape)], check=False, **given)
    alone = reconstruct(views_of_limb(), method, BOX, check=False, outside="ignore", **given).volume
    assert error(region.volume, there) < 0.25 * error(alone, there)
    assert set(seen) == {BOX.shape}


def test_wcrr_has_the_weight_of_the_whole() -> None:
    """Views from which the outside is taken away would say that a smaller weight is meant."""
    part = reconstruct(views_of_limb(), "wcrr", BOX, check=False, iterations=2, share=0.5)
    smooth = reconstruct(views_of_limb(), "pdhg_tv", BOX, check=False)
    assert part.settings["tv_lambda_rule"] == smooth.settings["lambda_rule"]
    assert part.settings["tv_lambda"] == pytest.approx(smooth.settings["lambda_"], rel=1e-5)
    assert part.settings["tv_lambda_unit"] == pytest.approx(smooth.settings["lambda_unit"], rel=1e-5)


def test_an_object_inside_the_grid_needs_no_whole() -> None:
    scan = SCAN[::3]
    fine = Grid((48, 48, 48), 0.1875)
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    ball = Projections(Operator(scan, fine)((0.1 * (x**2 + y**2 + z**2 < 9)).astype(np.float32)), scan)
    assert not covers_what_is_seen(ball, Grid((24, 24, 24), 0.375))
    assert attenuation_beside(ball, Grid((24, 24, 24), 0.375)) < 0.02
    assert attenuation_beside(ball, Grid((24, 8, 24), 0.375)) > SEEN_BESIDE
    rec = reconstruct(ball, "sirt", Grid((24, 24, 24), 0.375), check=False, iterations=2)
    assert "outside_seen" not in rec.settings


def test_coarse_voxels_fill_the_region_and_what_is_seen() -> None:
    region = region_of(SCAN, BOX)
    low = region.whole.origin_mm + (np.array([s.start for s in region.block[::-1]]) - 0.5) * region.whole.voxel_mm
    np.testing.assert_allclose(low, region.grid.origin_mm - region.grid.voxel_mm / 2, atol=1e-9)
    assert tuple(region.factor * (s.stop - s.start) for s in region.block) == region.grid.shape
    np.testing.assert_allclose(region.grid.x_mm[region.cut[2]], BOX.x_mm, atol=1e-9)
    reach = np.asarray(region.whole.size_mm) / 2 - np.abs(region.whole.center_mm)
    assert (reach >= np.asarray(Grid.fit(SCAN).size_mm) / 2 - 1e-9).all()


def test_the_shadow_holds_every_ray_through_the_box() -> None:
    window = shadow(SCAN, BOX)
    assert window is not None
    assert window.shape < SCAN.shape
    all_rays = Operator(SCAN, BOX)(np.ones(BOX.shape, np.float32))
    part = window.of(all_rays)
    assert part.sum(dtype=float) == pytest.approx(all_rays.sum(dtype=float), rel=1e-6)
    np.testing.assert_allclose(Operator(window.scan(SCAN), BOX)(np.ones(BOX.shape, np.float32)), part, rtol=1e-4, atol=1e-4)


def test_a_region_that_no_view_sees_is_refused_with_the_number() -> None:
    with pytest.raises(InputError, match=r"40 mm from the axis.*field of view, 11\.7 mm"):
        reconstruct(views_of_limb(), "sirt", Grid((8, 8, 8), 0.375, (40.0, 0.0, 0.0)), check=False, iterations=1)
