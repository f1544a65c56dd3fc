"""FDK by slabs: the numbers of the whole volume to the last bit, from the rows that each slab needs alone."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.geometry.transform import move, roll, rotation_matrix, tilt
from fewview.recon import fdk
from fewview.recon.analytic.feldkamp_slabs import SlabFdk

CONE = skyscan_1276(rows=64, cols=96, voxel_mm=0.45)[::20]
LOW = Scan.circular(dso_mm=90, dsd_mm=160, rows=63, cols=96, pixel_mm=0.8, angles_deg=range(0, 360, 30), row_shift_mm=6.0)
FAN = Scan.circular(dso_mm=90, dsd_mm=160, rows=7, cols=96, pixel_mm=0.8, angles_deg=range(0, 360, 30))
SCANS = {
    "upright": (CONE, Grid((61, 66, 70), 0.4)),
    "odd rows, shifted": (LOW, Grid.fit(LOW)),
    "rolled": (roll(CONE, 1.5), Grid((61, 66, 70), 0.4)),
    "tilted": (tilt(CONE, about_u_deg=2.0), Grid((61, 66, 70), 0.4)),
    "moved": (move(CONE, rotation_matrix((1, 0.3, 0), 4.0), (0.3, -0.2, 1.1)), Grid((61, 66, 70), 0.4)),
    "voxel by voxel": (CONE, Grid((40, 40, 40), 0.7)),
    "leaning far": (tilt(CONE, about_u_deg=55.0), Grid((61, 66, 70), 0.4)),
    "a few slices at one height": (FAN, Grid((3, 96, 96), 0.4)),
}


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=(len(scan), *scan.shape)).astype(np.float32) for name, (scan, _) in SCANS.items()}


@pytest.mark.parametrize("height", [1, 8, 27])
@pytest.mark.parametrize("name", SCANS)
def test_slabs_are_the_slices_of_the_whole_to_the_last_bit(name: str, height: int, values: dict[str, np.ndarray]) -> None:
    """What a slab does not need is not there: only the rows that it asks for are filtered, and all others would be NaN."""
    scan, grid = SCANS[name]
    whole = fdk(Projections(values[name], scan), grid, filter="hann", backend="numba")
    job = SlabFdk(scan, grid, "hann")
    for begin in range(0, grid.shape[0], 1 if height == 1 else height)[:: 7 if height == 1 else 1]:
        z = slice(begin, min(begin + height, grid.shape[0]))
        rows = job.rows(z)
        filtered = np.full_like(values[name], np.nan)
        if rows.stop:
            filtered[:, rows] = job.filtered(values[name][:, rows], slice(0, len(scan)), rows.start)
        found = job.slab(lambda views, wanted, f=filtered: np.ascontiguousarray(f[views, wanted]), z)
        np.testing.assert_array_equal(found, whole[z])


def test_a_slab_needs_a_part_of_the_rows() -> None:
    """On the mid-plane row 31.5; a slab at z mm meets rows from there + z / pitch / (1 + r / DSO) to + z / pitch / (1 - r / DSO)."""
    scan, grid = SCANS["upright"]
    job = SlabFdk(scan, grid)
    corner, pitch = np.hypot(35, 33) * 0.4, 0.45
    top = float(grid.z_mm[40]), float(grid.z_mm[49])
    rows = job.rows(slice(40, 50))
    least, most = 31.5 + top[0] / pitch / (1 + corner / scan.dso_mm), 31.5 + top[1] / pitch / (1 - corner / scan.dso_mm)
    assert least - 4 <= rows.start <= least
    assert most <= rows.stop <= most + 5


def test_a_slab_beyond_the_panel_needs_none() -> None:
    assert SlabFdk(CONE, Grid((400, 40, 40), 0.4)).rows(slice(0, 20)) == slice(0, 0)
