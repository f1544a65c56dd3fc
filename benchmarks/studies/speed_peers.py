"""Other implementations of the same work, each optional and imported only when asked for: itk-rtk, mbirjax, ASTRA, our own on a GPU.

Each gets the very rays and voxels of the `Work`; arrays are prepared, and results turned into fewview's axes, outside the timed call
where that costs more than a view of the array. `speed._likeness` then checks that the work done was the same.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import MissingBackendError
from ...data import Projections
from ...recon import Operator
from .speed import Contender, Work

Array = NDArray[np.float32]


def peer_contenders(work: Work) -> tuple[list[Contender], list[str]]:
    """The contenders of every implementation that is installed, and a remark for each that is not."""
    found, remarks = [], []
    makers: dict[str, Callable[[Work], list[Contender]]] = {
        "itk-rtk": _rtk,
        "mbirjax": _mbirjax,
        "ASTRA": _astra,
        "fewview by Triton": _triton,
    }
    for name, make in makers.items():
        try:
            found += make(work)
        except (ImportError, MissingBackendError) as error:
            remarks.append(f"{name} does not take part: {error}")
    return found, remarks


def _rtk(work: Work) -> list[Contender]:
    """RTK on the CPU, with as many threads as numba has. It turns about y: our (x, y, z) is its (x, z, -y)."""
    itk = importlib.import_module("itk")
    rtk = itk.RTK
    from numba import get_num_threads

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(get_num_threads())
    kind, geometry = itk.Image[itk.F, 3], _rtk_geometry(itk, rtk, work)
    voxel, pixel = (work.grid.voxel_mm,) * 3, (*(2 * float(np.linalg.norm(step[0])) for step in (work.scan.u, work.scan.v)), 1.0)
    volume = _rtk_image(itk, work.volume.transpose(1, 0, 2)[::-1], voxel)
    projections = _rtk_image(itk, work.projections, pixel)

    def empty(array: Array, spacing: tuple[float, ...]) -> Any:
        return _rtk_image(itk, np.zeros_like(array), spacing)

    def forward() -> Array:
        tool = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
        return run(tool, empty(work.projections, pixel), volume)

    def back(name: str) -> Callable[[], Array]:
        def job() -> Array:
            tool = getattr(rtk, name)[kind, kind].New()
            return ours(run(tool, empty(work.volume.transpose(1, 0, 2), voxel), projections))

        return job

    def reconstruct() -> Array:
        parker = rtk.ParkerShortScanImageFilter[kind].New()
        parker.SetInput(projections)
        parker.SetGeometry(geometry)
        parker.InPlaceOff()
        tool = rtk.FDKConeBeamReconstructionFilter[kind].New()
        return ours(run(tool, empty(work.volume.transpose(1, 0, 2), voxel), parker.GetOutput()))

    def run(tool: Any, first: Any, second: Any) -> Array:
        tool.SetInput(0, first)
        tool.SetInput(1, second)
        tool.SetGeometry(geometry)
        tool.Update()
        return itk.array_from_image(tool.GetOutput())

    def ours(array: Array) -> Array:
        return array[::-1].transpose(1, 0, 2)

    return [
        Contender("itk-rtk Joseph", "forward", work, forward),
        Contender("itk-rtk Joseph", "adjoint", work, back("JosephBackProjectionImageFilter")),
        Contender("itk-rtk voxel-driven, not matched", "adjoint", work, back("BackProjectionImageFilter"), needs_correlation=0.8),
        Contender("itk-rtk FDK with Parker weights", "fdk", work, reconstruct),
    ]


def _rtk_geometry(itk: Any, rtk: Any, work: Work) -> Any:
    """The panel is put at twice its distance, with twice the pitch: the same rays, and RTK's end behind the volume."""
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    point, vector, scan = itk.Point[itk.D, 3], itk.Vector[itk.D, 3], work.scan

    def turned(v: NDArray[np.float64]) -> tuple[float, float, float]:
        return float(v[0]), float(v[2]), float(-v[1])

    for source, panel, u, v in zip(scan.source, scan.detector, scan.u, scan.v, strict=True):
        ends = (point(turned(source)), point(turned(2 * panel - source)))
        if not geometry.AddProjection(*ends, *(vector(turned(step / np.linalg.norm(step))) for step in (u, v))):
            raise MissingBackendError("itk-rtk refuses the geometry of the scan")
    return geometry


def _rtk_image(itk: Any, array: Array, spacing: tuple[float, ...]) -> Any:
    image = itk.image_from_array(np.ascontiguousarray(array))
    image.SetSpacing(spacing)
    sizes = array.shape[::-1]
    image.SetOrigin([-(n - 1) / 2 * step for n, step in zip(sizes, spacing, strict=True)])
    return image


def _mbirjax(work: Work) -> list[Contender]:
    """mbirjax, from every fifth view (it is slow); it has no short-scan weights, so only the pair takes part."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mbirjax = importlib.import_module("mbirjax")
    part = work.every(5)
    scan, grid, (nz, ny, nx) = part.scan, part.grid, part.grid.shape
    angles = np.deg2rad(scan.angles_deg).astype(np.float32)
    model = mbirjax.ConeBeamModel(part.projections.shape, angles, source_detector_dist=scan.dsd_mm, source_iso_dist=scan.dso_mm)
    pitch = {"delta_det_channel": float(np.linalg.norm(scan.u[0])), "delta_det_row": float(np.linalg.norm(scan.v[0]))}
    model.set_params(**pitch, delta_voxel=grid.voxel_mm, recon_shape=(ny, nx, nz))
    volume = np.ascontiguousarray(part.volume.transpose(1, 2, 0)[::-1])

    def adjoint() -> Array:
        return np.asarray(model.back_project(part.projections))[::-1].transpose(2, 0, 1)

    return [
        Contender("mbirjax", "forward", part, lambda: np.asarray(model.forward_project(volume))),
        Contender("mbirjax", "adjoint", part, adjoint, needs_correlation=0.95),  # transpose of a projector with wider footprints
    ]


def _astra(work: Work) -> list[Contender]:
    """ASTRA, where there is a CUDA device."""
    from ...recon import METHODS
    from ...recon.projector import astra_backend

    astra_backend.require_cuda()
    measured, fdk = Projections(work.projections, work.scan), METHODS["fdk_astra"]
    return [
        Contender("ASTRA FDK_CUDA", "fdk", work, lambda: fdk.run(measured, work.grid, fdk.settings(), ())),
        Contender("ASTRA (CUDA)", "forward", work, lambda: astra_backend.project(work.volume, work.scan, work.grid)),
        Contender("ASTRA (CUDA)", "adjoint", work, lambda: astra_backend.backproject(work.projections, work.scan, work.grid)),
    ]


def _triton(work: Work) -> list[Contender]:
    """Our own pair on a CUDA device; like ASTRA's, its time includes the way there and back."""
    A = Operator(work.scan, work.grid, "triton")
    return [
        Contender("fewview (triton, CUDA)", "forward", work, lambda: A(work.volume)),
        Contender("fewview (triton, CUDA)", "adjoint", work, lambda: A.T(work.projections)),
    ]
