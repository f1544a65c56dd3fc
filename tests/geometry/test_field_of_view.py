"""What a scan sees, against rays followed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.geometry.transform import move, rotation_matrix
from numpy.typing import NDArray


def _seen(scan: Scan, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether every view of the scan has the points (n, 3) on its panel."""
    seen = np.ones(len(points), bool)
    (rows, cols), normal = scan.shape, scan.normal
    for source, panel, u, v, n in zip(scan.source, scan.detector, scan.u, scan.v, normal, strict=True):
        to = points - source
        hit = source + to * ((panel - source) @ n / (to @ n))[:, None] - panel
        seen &= (np.abs(hit @ u / (u @ u)) <= cols / 2) & (np.abs(hit @ v / (v @ v)) <= rows / 2)
    return seen


def _full_turn(scan: Scan, row_shift_mm: float = 0.0) -> Scan:
    return Scan.circular(
        dso_mm=scan.dso_mm, dsd_mm=scan.dsd_mm, rows=32, cols=48, pixel_mm=0.9, angles_deg=np.arange(360.0), row_shift_mm=row_shift_mm
    )


@pytest.mark.parametrize("row_shift_mm", [0.0, 6.0, -20.0])
def test_seen_by_all_agrees_with_the_rays(row_shift_mm: float) -> None:
    """A panel shifted by more than half its height sees nothing of the plane of the sources, and still the formula holds."""
    turn = _full_turn(skyscan_1276(rows=32, cols=48, voxel_mm=0.9), row_shift_mm)
    grid = Grid((30, 44, 44), 1.15, center_mm=(0.0, 0.0, turn.field_of_view_height_mm))
    mask = grid.seen_by_all(turn)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    chosen = np.random.default_rng(0).choice(mask.size, 1500, replace=False)
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)[chosen]
    assert 100 < mask.ravel()[chosen].sum() < 1400
    np.testing.assert_array_equal(mask.ravel()[chosen], _seen(turn, points))


def test_the_mask_moves_with_the_scan() -> None:
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)
    quarter = rotation_matrix((1.0, 0.0, 0.0), 90.0)  # z to -y, or to +y: the axis of the moved scan is y
    moved = move(scan, quarter)
    grid = Grid((24, 24, 24), 1.6)
    for name in ("seen_by_all", "in_cylinder"):
        still, turned = getattr(grid, name)(scan), getattr(grid, name)(moved)
        assert 0 < still.sum() < still.size
        np.testing.assert_array_equal(turned, still.transpose(1, 0, 2))  # symmetric up and down, so the sense of the turn does not matter


def test_the_cylinder_holds_more_than_every_view_sees() -> None:
    """The volumes by integration: cylinder 2 pi R^2 h, seen part 2 pi h (R^2 - 2 R^3 / (3 DSO))."""
    scan = skyscan_1276(rows=128, cols=192, voxel_mm=0.2)
    radius, half_height, pixel = scan.field_of_view_mm
    assert scan.field_of_view_mm.radius_mm == radius
    assert scan.field_of_view_mm.pixel_mm == pixel == pytest.approx(0.2)
    grid = Grid.fit(scan, voxel_mm=0.3)
    seen, cylinder = grid.seen_by_all(scan), grid.in_cylinder(scan)
    assert not (seen & ~cylinder).any()
    assert cylinder.sum() * 0.3**3 == pytest.approx(2 * np.pi * radius**2 * half_height, rel=0.02)
    assert seen.sum() * 0.3**3 == pytest.approx(2 * np.pi * half_height * (radius**2 - 2 * radius**3 / (3 * scan.dso_mm)), rel=0.02)
