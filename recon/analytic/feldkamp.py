"""FDK: cone-beam filtered back-projection of any subset of any circular scan."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from ...base import InputError
from ...base.memory import require_memory
from ...base.settings import checked
from ...data import Projections
from ...geometry import Grid, Scan
from ...geometry.rotation import Orbit
from ..method import Callback, Progress, Volume, method_function
from ..projector.backend import fdk_backend
from .filtered_views import filtered_views
from .ramp import filter_name, ramp_response
from .redundancy import coverage

_BLOCK_BYTES = 64 << 20  # filtered views held at once, which may be resampled to as many again
_FEWEST_VIEWS = 8  # with fewer at once, voxels are read and written too often
_WORKING_BYTES = 256 << 20  # ray weights and padded rows of the few views that are being filtered


FilterName = Annotated[str, AfterValidator(filter_name)]


@checked(of="fdk")
class FdkSettings:
    """``filter``: ramp, shepp-logan, cosine, hamming, hann or parzen; ``cutoff``: fraction of the Nyquist frequency, in (0, 1].

    ``backend``: of the back-projection; auto is the fastest that this machine has, the GPU where there is one. ``storage``: what a GPU
    keeps filtered views in while it sums them; fp16 and bf16 halve their memory, at an error of 0.03 % and 0.2 % (root mean square).
    """

    filter: FilterName = "ramp"
    cutoff: Annotated[float, Field(gt=0, le=1, description="a fraction of the Nyquist frequency, above 0 and at most 1")] = 1.0
    backend: str = "auto"
    storage: Literal["float32", "fp16", "bf16"] = "float32"


@method_function(FdkSettings)
def fdk(projections: Projections, grid: Grid, settings: FdkSettings, callbacks: Sequence[Callback]) -> Volume:
    """Reconstruct by filtered back-projection: volume [z, y, x] float32 in 1/mm on ``grid`` (default ``Grid.fit(projections.scan)``).

    Works for a full turn, a short scan and any subset of either, in any order: each view counts for its angular cell and each line
    for how often it was measured (see `redundancy`). All geometry is read from the scan's vectors. One detector row is fan beam, a
    distant source parallel beam. Off the mid-plane FDK is an approximation that gets worse with the cone angle (Feldkamp, Davis &
    Kress, J. Opt. Soc. Am. A 1 (1984) 612).

    Needs the volume and about 0.5 GiB beside the projections. Raises InputError for an unknown filter, a cutoff outside (0, 1], two
    views at the same angle, or too little memory, MissingBackendError for a backend without FDK; warns when the views cover less than
    pi + 2 asin(r / DSO) for the grid's radius r.
    """
    scan = projections.scan
    warn_of_gaps(scan, grid, stacklevel=4)
    chosen = {name: getattr(settings, name) for name in ("filter", "cutoff", "backend", "storage")}
    return filtered_backprojection(projections, grid, **chosen, callbacks=callbacks)


def filtered_backprojection(
    projections: Projections,
    grid: Grid,
    *,
    filter: str = "ramp",
    cutoff: float = 1.0,
    backend: str = "auto",
    storage: str = "float32",
    callbacks: Sequence[Callback] = (),
) -> Volume:
    """`fdk` without its warnings: for callers that know what their views cover, such as calibration and networks. Errors are the same."""
    scan = projections.scan
    filter, chosen = filter_name(filter), fdk_backend(backend)
    response = ramp_response(scan.shape[1], filter, cutoff)
    refuse_repeats(scan)

    def tell(views: int, volume: Volume | None) -> None:
        for call in callbacks:
            call(Progress(views, len(scan), volume, resolved={"filter": filter}))

    if chosen.fdk_on_card:
        return _on_card(projections, grid, filter, cutoff, storage, tell)
    if storage != "float32" or chosen.fdk_sum is None:
        raise InputError(
            f"storage={storage!r} with backend={chosen.name!r}", expected="float32 on a CPU", remedy="leave it out, or use a GPU"
        )
    orbit = Orbit.of(scan)
    covered = coverage(orbit.angle)
    _require_memory(scan, grid)
    volume = np.zeros(grid.shape, dtype=np.float32)
    blocks = view_blocks(scan)
    space = np.empty((min(len(scan), blocks[0].stop), *scan.shape), dtype=np.float32)
    for views in blocks:
        filtered = space[: views.stop - views.start]
        filtered_views(projections.values, scan, orbit, covered, response, views, filtered)
        chosen.fdk_sum(volume, scan[views], grid, filtered, covered.width[views])
        tell(views.stop, volume if views.stop == len(scan) else None)
    return volume


def _on_card(
    projections: Projections, grid: Grid, filter: str, cutoff: float, storage: str, tell: Callable[[int, Volume | None], None]
) -> Volume:
    """Filtered and summed on the GPU, in blocks that it has room for."""
    import torch

    from .feldkamp_on_card import CardFdk

    fdk_there = CardFdk(projections.scan, grid, torch.device("cuda", torch.cuda.current_device()), filter, cutoff, storage)
    volume = fdk_there.volume(projections.values, lambda views: tell(views, None) if views < len(projections.scan) else None)
    tell(len(projections.scan), volume)
    return volume


def view_blocks(scan: Scan) -> list[slice]:
    """The views that are filtered and summed at once, in blocks."""
    rows, cols = scan.shape
    size = max(_FEWEST_VIEWS, _BLOCK_BYTES // (4 * rows * cols))
    return [slice(i, min(i + size, len(scan))) for i in range(0, len(scan), size)]


def refuse_repeats(scan: Scan) -> None:
    """InputError where two views are at one angle."""
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


def _require_memory(scan: Scan, grid: Grid) -> None:
    """Refuse before allocating: the volume, one block of filtered views, and what the filter and numba need beside them."""
    block = view_blocks(scan)[0]
    needed = 4 * math.prod(grid.shape) + 4 * 2 * block.stop * math.prod(scan.shape) + _WORKING_BYTES
    what = f"FDK's volume of {' x '.join(map(str, grid.shape))} voxels and its working space"
    require_memory(needed, what, remedy=f"use larger voxels (grid.coarser(2) needs about {needed / 8 / 2**30:.1f} GiB) or a smaller grid")


def warn_of_gaps(scan: Scan, grid: Grid, stacklevel: int = 2) -> None:
    """Warn where the source leaves its circle, and where the covered range is below pi + 2 asin(r / DSO).

    The radius r is that of the grid or of the field of view, the smaller.
    """
    orbit = Orbit.of(scan)
    reach, half_height, _ = scan.field_of_view_mm
    climb = np.ptp(orbit.height_mm)
    if climb > 0.1 * half_height + 1e-9 * orbit.dso_mm.max():
        warnings.warn(f"the source moves by {climb:.4g} mm along the rotation axis: FDK is meant for a circle", stacklevel=stacklevel)
    dso, covered = float(orbit.dso_mm.mean()), coverage(orbit.angle)
    x, y, _ = grid.size_mm
    radius = min(max(x, y) / 2, reach, dso)
    needed = np.pi + 2 * np.arcsin(radius / dso)
    given = 0.0 if len(scan) == 1 else covered.range
    if (covered.full and len(scan) > 1) or given >= needed - 0.1 * np.median(covered.width):
        return
    inside = dso * np.sin((given - np.pi) / 2)
    rest = f"only what lies within {inside:.4g} mm of the axis is fully measured" if inside > 0 else "expect a limited-angle distortion"
    cover, need = np.degrees(given), np.degrees(needed)
    warnings.warn(
        f"the {len(scan)} views cover {cover:.2f} deg, but a radius of {radius:.4g} mm needs {need:.2f} deg: {rest}", stacklevel=stacklevel
    )
