"""itk-rtk on our rays and voxels. It turns about y, so that our (x, y, z) is its (x, z, -y)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import MissingBackendError
from ...base.shapes import Float
from ...geometry import Scan
from .work import Contender, Result, Work


def rtk_contenders(work: Work) -> list[Contender]:
    """RTK on the CPU, with as many threads as numba has."""
    itk = importlib.import_module("itk")
    rtk = itk.RTK
    from numba import get_num_threads

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(get_num_threads())
    kind, geometry = itk.Image[itk.F, 3], rtk_geometry(itk, rtk, work.scan)
    voxel, pixel = (work.grid.voxel_mm,) * 3, (*(2 * float(np.linalg.norm(step[0])) for step in (work.scan.u, work.scan.v)), 1.0)
    volume = rtk_image(itk, work.volume.transpose(1, 0, 2)[::-1], voxel)
    projections = rtk_image(itk, work.projections, pixel)

    def empty(array: Result, spacing: tuple[float, ...]) -> Any:
        return rtk_image(itk, np.zeros_like(array), spacing)

    def forward() -> Result:
        tool = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
        return run(tool, empty(work.projections, pixel), volume)

    def back(name: str) -> Callable[[], Result]:
        def job() -> Result:
            tool = getattr(rtk, name)[kind, kind].New()
            return ours(run(tool, empty(work.volume.transpose(1, 0, 2), voxel), projections))

        return job

    def reconstruct() -> Result:
        parker = rtk.ParkerShortScanImageFilter[kind].New()
        parker.SetInput(projections)
        parker.SetGeometry(geometry)
        parker.InPlaceOff()
        tool = rtk.FDKConeBeamReconstructionFilter[kind].New()
        return ours(run(tool, empty(work.volume.transpose(1, 0, 2), voxel), parker.GetOutput()))

    def run(tool: Any, first: Any, second: Any) -> Result:
        tool.SetInput(0, first)
        tool.SetInput(1, second)
        tool.SetGeometry(geometry)
        tool.Update()
        return itk.array_from_image(tool.GetOutput())

    def ours(array: Any) -> Result:
        return array[::-1].transpose(1, 0, 2)

    return [
        Contender("itk-rtk Joseph", "forward", work, forward),
        Contender("itk-rtk Joseph", "adjoint", work, back("JosephBackProjectionImageFilter")),
        Contender("itk-rtk voxel-driven, not matched", "adjoint", work, back("BackProjectionImageFilter"), needs_correlation=0.8),
        Contender("itk-rtk FDK with Parker weights", "fdk", work, reconstruct),
    ]


def rtk_geometry(itk: Any, rtk: Any, scan: Scan) -> Any:
    """The geometry for RTK, with the panel at twice its distance and twice the pitch: the rays are the same, and their end is behind the
    volume.
    """
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    point, vector = itk.Point[itk.D, 3], itk.Vector[itk.D, 3]

    def turned(v: NDArray[np.float64]) -> tuple[float, float, float]:
        return float(v[0]), float(v[2]), float(-v[1])

    for source, panel, u, v in zip(scan.source, scan.detector, scan.u, scan.v, strict=True):
        ends = (point(turned(source)), point(turned(2 * panel - source)))
        if not geometry.AddProjection(*ends, *(vector(turned(step / np.linalg.norm(step))) for step in (u, v))):
            raise MissingBackendError("itk-rtk refuses the geometry of the scan")
    return geometry


def rtk_image(itk: Any, array: Float[NDArray[np.float32], "_ _ _"], spacing: tuple[float, ...]) -> Any:
    """An array as an image of RTK with voxels or pixels of ``spacing`` in mm, whose middle is at the origin."""
    image = itk.image_from_array(np.ascontiguousarray(array))
    image.SetSpacing(spacing)
    sizes = array.shape[::-1]
    image.SetOrigin([-(n - 1) / 2 * step for n, step in zip(sizes, spacing, strict=True)])
    return image
