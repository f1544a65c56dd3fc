"""FDK: cone-beam filtered back-projection of any subset of any circular scan."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import Projections
from ..geometry import Grid, InputError, Scan
from .backproject_numba import backproject, projection_matrices, threads, upright
from .method import Callback, Method, Progress, Volume
from .orbit import Orbit, pixel_directions
from .ramp import filter_name, filter_rows, padded_length, ramp_response
from .redundancy import Coverage, coverage, full_circle_weight, short_scan_cell_weight

_BLOCK_BYTES = 192 << 20  # filtered views held at once, with the padded copies that the FFT needs


@dataclass(frozen=True)
class FdkSettings:
    """``filter``: ramp, shepp-logan, cosine, hamming, hann or parzen; ``cutoff``: fraction of the Nyquist frequency, in (0, 1]."""

    filter: str = "ramp"
    cutoff: float = 1.0


def fdk(
    projections: Projections, grid: Grid | None = None, *, filter: str = "ramp", cutoff: float = 1.0, callbacks: Sequence[Callback] = ()
) -> Volume:
    """Reconstruct by filtered back-projection: volume [z, y, x] float32 in 1/mm on ``grid`` (default ``Grid.fit(projections.scan)``).

    Works for a full turn, a short scan and any subset of either, in any order: each view counts for its angular cell and each line
    for how often it was measured (see `redundancy`). All geometry is read from the scan's vectors. One detector row is fan beam, a
    distant source parallel beam. Off the mid-plane FDK is an approximation that gets worse with the cone angle (Feldkamp, Davis &
    Kress, J. Opt. Soc. Am. A 1 (1984) 612).

    Raises InputError for an unknown filter, a cutoff outside (0, 1], or two views at the same angle; warns when the views cover less
    than pi + 2 asin(r / DSO) for the grid's radius r.
    """
    scan = projections.scan
    grid = Grid.fit(scan) if grid is None else grid
    response = ramp_response(scan.shape[1], filter_name(filter), cutoff)
    _refuse_repeats(scan)
    orbit = Orbit.of(scan)
    covered = coverage(orbit.angle)
    _warn_short(scan, orbit, covered, grid)
    matrices = projection_matrices(scan, orbit)
    fast = upright(matrices, grid)
    volume = np.zeros(grid.shape, dtype=np.float32)
    for views in _blocks(scan):
        columns = _filtered_columns(projections, orbit, covered, response, views)
        backproject(volume, grid, columns, matrices[views], covered.width[views], fast)
        for call in callbacks:
            call(Progress(views.stop, len(scan), volume))
    return volume


def _run(projections: Projections, grid: Grid, settings: FdkSettings, callbacks: Sequence[Callback]) -> Volume:
    return fdk(projections, grid, filter=settings.filter, cutoff=settings.cutoff, callbacks=callbacks)


METHOD = Method(
    "fdk", _run, FdkSettings, reference="Feldkamp, Davis & Kress, J. Opt. Soc. Am. A 1 (1984) 612; Parker, Med. Phys. 9 (1982) 254"
)


def _blocks(scan: Scan) -> list[slice]:
    rows, cols = scan.shape
    size = max(1, _BLOCK_BYTES // (4 * rows * (cols + 3 * padded_length(cols))))
    return [slice(i, min(i + size, len(scan))) for i in range(0, len(scan), size)]


def _filtered_columns(
    projections: Projections, orbit: Orbit, covered: Coverage, response: NDArray[np.float32], views: slice
) -> NDArray[np.float32]:
    """Weighted and ramp-filtered views, [view, col, row]."""
    weighted = projections.values[views] * ray_weights(projections.scan, orbit, covered, views)
    filtered = filter_rows(weighted, response, workers=threads())
    return np.ascontiguousarray(filtered.transpose(0, 2, 1))


def ray_weights(scan: Scan, orbit: Orbit, covered: Coverage, views: slice) -> NDArray[np.float32]:
    """(view, row, col) or what broadcasts to it: cosine times redundancy weight, over the sample spacing at the axis (1/mm)."""
    rows, cols = scan.shape
    depth, across, along = pixel_directions(scan, orbit, views)
    col, row = np.arange(cols)[None, None, :], np.arange(rows)[None, :, None]

    def coordinate(c: NDArray[np.float64]) -> NDArray[np.float64]:
        c = np.where(np.abs(c) < 1e-12 * np.abs(c).max(), 0, c)
        plane = c[:, 0, None, None] + c[:, 1, None, None] * col
        return plane + c[:, 2, None, None] * row if c[:, 2].any() else plane

    d, a, h = coordinate(depth), coordinate(across), coordinate(along)
    fan = np.arctan2(a, d)
    if covered.full:
        redundancy = full_circle_weight(fan, (float(fan.min()), float(fan.max())))
    else:
        redundancy = short_scan_cell_weight(covered.start[views, None, None], covered.end[views, None, None], fan, covered.range)
    at_axis = orbit.dso_mm[views, None, None] / d.mean(axis=(1, 2), keepdims=True)
    spacing = np.linalg.norm(scan.u[views], axis=1)[:, None, None] * at_axis
    cosine = (d / np.sqrt(d**2 + a**2 + h**2)).astype(np.float32)
    return cosine * (redundancy / spacing).astype(np.float32)


def _refuse_repeats(scan: Scan) -> None:
    order = np.lexsort((np.arange(len(scan)), scan.angles_deg))
    one, two = order[:-1], order[1:]
    same = (scan.angles_deg[one] == scan.angles_deg[two]) & np.isclose(scan.source[one], scan.source[two], rtol=1e-9, atol=1e-9).all(axis=1)
    if same.any():
        i = int(np.flatnonzero(same)[0])
        raise InputError(
            f"{int(same.sum())} view angles repeat: views {int(one[i])} and {int(two[i])} are both at {scan.angles_deg[one[i]]:g} deg",
            expected="one view an angle",
            remedy="drop the repeated views (projections[index]), or give each view the angle at which it was taken",
        )


def _warn_short(scan: Scan, orbit: Orbit, covered: Coverage, grid: Grid) -> None:
    """Warn where the covered range is below pi + 2 asin(r / DSO) for the radius r of the grid or of the field of view, the smaller."""
    dso = float(orbit.dso_mm.mean())
    x, y, _ = grid.size_mm
    radius = min(max(x, y) / 2, scan.field_of_view_mm[0], dso)
    needed = np.pi + 2 * np.arcsin(radius / dso)
    given = 0.0 if len(scan) == 1 else covered.range
    if (covered.full and len(scan) > 1) or given >= needed - 1e-6:
        return
    inside = dso * np.sin((given - np.pi) / 2) if given > np.pi else 0.0
    warnings.warn(
        f"the {len(scan)} views cover {np.degrees(given):.2f} deg, but a radius of {radius:.4g} mm needs {np.degrees(needed):.2f} deg: "
        + (
            f"only what lies within {inside:.4g} mm of the axis is fully measured"
            if inside
            else "a limited-angle volume, expect distortion"
        ),
        stacklevel=3,
    )
