"""FDK: cone-beam filtered back-projection of any subset of any circular scan."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Projections
from ..geometry import Grid, InputError, Scan
from .backproject_numba import Columns, backproject, projection_matrices, upright
from .filtered_views import filtered_columns
from .method import Callback, Method, Progress, Volume
from .orbit import Orbit
from .ramp import filter_name, ramp_response
from .redundancy import Coverage, coverage

_BLOCK_BYTES = 256 << 20  # filtered views held at once


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
        columns = filtered_columns(projections.values, scan, orbit, covered, response, views)
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
    size = max(1, _BLOCK_BYTES // (4 * Columns.size(1, rows, cols)))
    return [slice(i, min(i + size, len(scan))) for i in range(0, len(scan), size)]


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
