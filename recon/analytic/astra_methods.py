"""ASTRA's own filtered back-projections as baselines. ASTRA is optional; nothing is imported before a method runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from ...base import InputError, MissingBackendError
from ...base.settings import checked
from ...data import Projections
from ...geometry import Grid, Scan
from ...geometry.rotation import Orbit
from ..method import Callback, Progress, Volume, method_function
from ..projector import astra_backend
from ..projector.projection_matrices import projection_matrices, upright
from .fan_to_parallel import rebin
from .ramp import filter_name
from .redundancy import coverage


@checked(of="fdk_astra")
class FdkAstraSettings:
    """``filter``: ramp, shepp-logan, cosine, hamming, hann or parzen, as ASTRA defines them."""

    filter: Annotated[str, AfterValidator(filter_name)] = "ramp"

    def option(self) -> dict[str, str]:
        """ASTRA's name of the filter."""
        return {"FilterType": "ram-lak" if self.filter == "ramp" else self.filter}


@checked(of="fbp_astra")
class FbpAstraSettings(FdkAstraSettings):
    """As those of `fdk_astra`."""


@method_function(FdkAstraSettings)
def fdk_astra(projections: Projections, grid: Grid, settings: FdkAstraSettings, callbacks: Sequence[Callback]) -> Volume:
    """FDK_CUDA: it takes the views as equally spaced, and distances and the panel's middle from the first view."""
    try:
        astra_backend.require_cuda()
    except MissingBackendError as error:
        raise MissingBackendError(f"fdk_astra cannot run: {error.given}", expected=error.expected, remedy="use method='fdk'") from error
    scan = projections.scan
    orbit = Orbit.of(scan)
    covered = coverage(orbit.angle)
    regular = np.ptp(orbit.dso_mm) <= 1e-4 * orbit.dso_mm[0] and np.abs(scan.axis_point_mm[:2]).max() <= 1e-6 * orbit.dso_mm[0]
    if not (regular and upright(projection_matrices(scan), grid)):
        raise InputError(
            "a scan that is rolled, tilted or moved", expected="an upright circular scan about z for fdk_astra", remedy="use method='fdk'"
        )
    order = np.argsort(covered.position, kind="stable")
    option = settings.option() | {"ShortScan": not covered.full}
    values = np.ascontiguousarray(projections.values[order])
    volume = astra_backend.run_3d("FDK_CUDA", values, astra_backend.cone_geometry(scan[order]), grid, option)
    for call in callbacks:
        call(Progress(1, 1, volume))
    return volume


@method_function(FbpAstraSettings)
def fbp_astra(projections: Projections, grid: Grid, settings: FbpAstraSettings, callbacks: Sequence[Callback]) -> Volume:
    """2-D FBP of slice after slice on the CPU; fan beams are first rebinned to parallel ones, which is all that ASTRA's CPU FBP takes."""
    astra_backend.load()
    scan = projections.scan
    orbit = Orbit.of(scan)
    covered = coverage(orbit.angle)
    rows = _slice_rows(scan, grid)
    volume = np.zeros(grid.shape, dtype=np.float32)
    for k, row in enumerate(rows):
        if row.min() >= -0.5 and row.max() <= scan.shape[0] - 0.5:
            beam = rebin(_between_rows(projections.values, row), scan, orbit, covered)
            geometry = astra_backend.parallel_geometry(beam.values.shape[1], beam.pixel_mm, beam.angles_deg)
            volume[k] = astra_backend.run_2d("FBP", beam.values, geometry, _about_axis(grid, scan), "linear", settings.option())
        for call in callbacks:
            call(Progress(k + 1, grid.shape[0], volume))
    return volume


def _slice_rows(scan: Scan, grid: Grid) -> NDArray[np.float64]:
    """(slice, view): the detector row that a slice falls on. InputError where it falls on several: a cone beam."""
    matrices = projection_matrices(scan)
    advice = "use method='fdk', or a grid of the one slice in the plane of the source"
    if not upright(matrices, grid):
        raise InputError("a scan that is rolled, tilted or moved", expected="an upright scan about z for fbp_astra", remedy=advice)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    x, y, _ = grid.center_mm
    wide, deep, _ = np.array(grid.size_mm) / 2
    points = np.stack([x + wide * np.append(np.cos(turn), 0), y + deep * np.append(np.sin(turn), 0)], axis=1)
    rows = np.empty((grid.shape[0], len(scan)))
    for k, z in enumerate(grid.z_mm):
        world = np.concatenate([points, np.tile([z, 1.0], (len(points), 1))], axis=1)
        hit = np.einsum("vij,pj->vpi", matrices[:, 1:], world)
        row = hit[..., 0] / hit[..., 1]
        if np.ptp(row, axis=1).max() > 1:
            raise InputError(
                f"the slice at z = {z:.4g} mm falls on {np.ptp(row, axis=1).max():.3g} detector rows: a cone beam",
                expected="a fan or parallel beam for fbp_astra, each slice on one row",
                remedy=advice,
            )
        rows[k] = row.mean(axis=1)
    return rows


def _between_rows(values: NDArray[np.float32], row: NDArray[np.float64]) -> NDArray[np.float32]:
    """(view, col) at a fractional row for each view."""
    row = np.clip(row, 0, values.shape[1] - 1)
    low = np.minimum(row.astype(int), max(values.shape[1] - 2, 0))
    high = np.minimum(low + 1, values.shape[1] - 1)
    part = (row - low).astype(np.float32)[:, None]
    view = np.arange(len(values))
    return ((1 - part) * values[view, low] + part * values[view, high]).astype(np.float32)


def _about_axis(grid: Grid, scan: Scan) -> Grid:
    """The grid as seen from the rotation axis, which is ASTRA's origin."""
    x, y, z = np.array(grid.center_mm) - scan.axis_point_mm
    return Grid(grid.shape, grid.voxel_mm, (float(x), float(y), float(z)))
