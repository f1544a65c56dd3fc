"""Everything that touches the ASTRA toolbox (GPL-3, optional): the only file that imports it.

Without a CUDA device ASTRA's 3-D calls end the Python process, so each of them asks `require_cuda` first. Its 2-D projectors run anywhere.
Its CUDA 3-D pair is close to, but not exactly, a transpose pair.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, MissingBackendError
from ...geometry import Grid, Scan

Array = NDArray[np.float32]
_INSTALL = "pip install astra-toolbox (2.4 or later), or use backend='numba' or backend='torch'"


def load() -> Any:
    """The module ``astra``; MissingBackendError where it is not installed."""
    try:
        return importlib.import_module("astra")
    except ImportError as error:
        raise MissingBackendError(f"ASTRA cannot be imported ({error})", expected="the package astra-toolbox", remedy=_INSTALL) from error


def require_cuda() -> Any:
    """The module ``astra`` where it can use a CUDA device; MissingBackendError, never a dead process, where it cannot."""
    astra = load()
    if not astra.use_cuda():
        raise MissingBackendError(
            "ASTRA finds no CUDA device", expected="a CUDA device for its 3-D operations", remedy="use backend='numba' or backend='torch'"
        )
    return astra


def volume_geometry(grid: Grid) -> dict[str, Any]:
    """ASTRA's 3-D volume geometry of ``grid``; arrays are (z, y, x) as ours."""
    nz, ny, nx = grid.shape
    (x, y, z), (wide, deep, high) = grid.center_mm, (size / 2 for size in grid.size_mm)
    return load().create_vol_geom(ny, nx, nz, x - wide, x + wide, y - deep, y + deep, z - high, z + high)


def cone_geometry(scan: Scan) -> dict[str, Any]:
    """ASTRA's ``cone_vec`` geometry of ``scan``; its arrays are (row, view, col)."""
    vectors = np.concatenate([scan.source, scan.detector, scan.u, scan.v], axis=1)
    return load().create_proj_geom("cone_vec", *scan.shape, vectors)


def project(volume: Array, scan: Scan, grid: Grid) -> Array:
    """(nz, ny, nx) in 1/mm -> (view, row, col) line integrals, on the GPU."""
    astra = require_cuda()
    out = np.full((scan.shape[0], len(scan), scan.shape[1]), np.nan, np.float32)
    with _projector(astra, "cuda3d", cone_geometry(scan), volume_geometry(grid)) as projector:
        _experimental().direct_FP3D(projector, np.ascontiguousarray(volume), out)
    return _complete(np.ascontiguousarray(out.swapaxes(0, 1)), "forward projection")


def backproject(projections: Array, scan: Scan, grid: Grid) -> Array:
    """Line integrals (view, row, col) to a volume (nz, ny, nx) on the GPU, close to the transpose of `project`."""
    astra = require_cuda()
    out = np.full(grid.shape, np.nan, np.float32)
    with _projector(astra, "cuda3d", cone_geometry(scan), volume_geometry(grid)) as projector:
        _experimental().direct_BP3D(projector, out, np.ascontiguousarray(projections.swapaxes(0, 1)))
    return _complete(out, "back-projection")


def run_3d(
    algorithm: str,
    projections: Array,
    geometry: Mapping[str, Any],
    grid: Grid,
    options: Mapping[str, Any] | None = None,
    iterations: int = 1,
) -> Array:
    """Run one of ASTRA's CUDA algorithms (such as ``FDK_CUDA``) on (view, row, col) projections of an ASTRA ``geometry``.

    Returns the volume [z, y, x] in 1/mm. Raises InputError when ASTRA gave none (it swallows failures such as a full GPU).
    """
    astra = require_cuda()
    sinogram = np.ascontiguousarray(projections.swapaxes(0, 1), np.float32)
    with _Ids(astra.data3d) as data, _Ids(astra.algorithm) as algorithms:
        volume = data.keep(astra.data3d.create("-vol", volume_geometry(grid), np.nan))
        config = astra.astra_dict(algorithm)
        config["ReconstructionDataId"] = volume
        config["ProjectionDataId"] = data.keep(astra.data3d.create("-sino", dict(geometry), sinogram))
        config["option"] = dict(options or {})
        astra.algorithm.run(algorithms.keep(astra.algorithm.create(config)), iterations)
        return _complete(np.array(astra.data3d.get(volume)), algorithm)


def plane_geometry(grid: Grid) -> dict[str, Any]:
    """ASTRA's 2-D volume geometry of one slice of ``grid``; its row 0 is at the largest y."""
    _, ny, nx = grid.shape
    (x, y, _), (wide, deep, _) = grid.center_mm, (size / 2 for size in grid.size_mm)
    return load().create_vol_geom(ny, nx, x - wide, x + wide, y - deep, y + deep)


def fan_geometry(scan: Scan) -> dict[str, Any]:
    """ASTRA's ``fanflat_vec`` geometry of the middle row of a scan about z: sinograms are (view, col)."""
    rise = max(float(np.abs(part).max()) for part in (scan.u[:, 2] * scan.shape[1], (scan.detector - scan.source)[:, 2]))
    if rise > 1e-6 * float(np.linalg.norm(scan.detector - scan.source, axis=1).max()):
        raise InputError(f"the middle row of the scan climbs {rise:.3g} mm along z", expected="a detector row that lies in one plane z")
    vectors = np.concatenate([scan.source[:, :2], scan.detector[:, :2], scan.u[:, :2]], axis=1)
    return load().create_proj_geom("fanflat_vec", scan.shape[1], vectors)


def parallel_geometry(cols: int, pixel_mm: float, angles_deg: NDArray[np.float64]) -> dict[str, Any]:
    """ASTRA's 2-D parallel beam at ``angles_deg`` (n,), all that its ``FBP`` on the CPU takes; angle b as in `Scan.circular`, columns along
    (cos b, sin b).
    """
    return load().create_proj_geom("parallel", pixel_mm, cols, np.deg2rad(angles_deg))


def project_2d(image: Array, scan: Scan, grid: Grid, projector: str = "line_fanflat") -> Array:
    """Line integrals (view, col) of one slice (ny, nx) in 1/mm in the fan of the middle row, on the CPU."""
    astra = load()
    with (
        _projector(astra, projector, fan_geometry(scan), plane_geometry(grid)) as projector_id,
        _Ids(astra.data2d) as data,
        _Ids(astra.algorithm) as algorithms,
    ):
        sinogram = data.keep(astra.data2d.create("-sino", fan_geometry(scan)))
        config = astra.astra_dict("FP")
        config |= {"ProjectorId": projector_id, "ProjectionDataId": sinogram}
        config["VolumeDataId"] = data.keep(astra.data2d.create("-vol", plane_geometry(grid), np.ascontiguousarray(image[::-1])))
        astra.algorithm.run(algorithms.keep(astra.algorithm.create(config)))
        return np.array(astra.data2d.get(sinogram))


def run_2d(
    algorithm: str,
    sinogram: Array,
    geometry: Mapping[str, Any],
    grid: Grid,
    projector: str,
    options: Mapping[str, Any] | None = None,
) -> Array:
    """Run one of ASTRA's 2-D algorithms (such as ``FBP``) on a sinogram (view, col) of an ASTRA ``geometry``; returns (ny, nx) in 1/mm.

    ``projector`` names a CPU projector (``line_fanflat``, ``linear``), or ``cuda`` for the algorithms that end in ``_CUDA``.
    """
    astra = require_cuda() if algorithm.endswith("_CUDA") else load()
    with (
        _projector(astra, projector, dict(geometry), plane_geometry(grid)) as projector_id,
        _Ids(astra.data2d) as data,
        _Ids(astra.algorithm) as algorithms,
    ):
        image = data.keep(astra.data2d.create("-vol", plane_geometry(grid), 0.0))
        config = astra.astra_dict(algorithm)
        config |= {"ProjectorId": projector_id, "ReconstructionDataId": image, "option": dict(options or {})}
        config["ProjectionDataId"] = data.keep(astra.data2d.create("-sino", dict(geometry), np.ascontiguousarray(sinogram, np.float32)))
        astra.algorithm.run(algorithms.keep(astra.algorithm.create(config)))
        return np.ascontiguousarray(_complete(np.array(astra.data2d.get(image)), algorithm)[::-1])


def _experimental() -> Any:
    """The module of ASTRA's direct 3-D calls, which ``import astra`` does not load."""
    return importlib.import_module("astra.experimental")


class _Ids:
    """Frees ASTRA's integer handles on the way out."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.held = kind, []

    def keep(self, handle: int) -> int:
        self.held.append(handle)
        return handle

    def __enter__(self) -> _Ids:
        return self

    def __exit__(self, *_: object) -> None:
        if self.held:
            self.kind.delete(self.held)


@contextmanager
def _projector(astra: Any, kind: str, projections: dict[str, Any], volume: dict[str, Any]) -> Iterator[int]:
    handle = astra.create_projector(kind, projections, volume)
    try:
        yield handle
    finally:
        astra.projector.delete(handle)


def _complete(result: Array, what: str) -> Array:
    """ASTRA swallows failures and leaves its output untouched; outputs start as NaN, so that this shows."""
    if np.isnan(result).any():
        raise InputError(
            f"ASTRA's {what} gave no complete result", expected="finite input and enough GPU memory", remedy="use a smaller grid"
        )
    return result
