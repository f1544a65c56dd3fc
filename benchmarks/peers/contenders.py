"""Other implementations of the same work, each optional and imported only when asked for: itk-rtk, mbirjax, ASTRA, and our own on a GPU.

Each gets exactly the rays and voxels of the `Work`. Arrays are prepared, and results turned into fewview's axes, outside the timed call
where that costs more than a view of the array. `studies.speed` then checks that all have done the same work.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable

import numpy as np

from ...base import MissingBackendError
from ...data import Projections
from ...recon import Operator, fdk
from .rtk import rtk_contenders
from .work import Contender, Result, Work


def peer_contenders(work: Work) -> tuple[list[Contender], list[str]]:
    """The contenders of every implementation that is installed, a remark for each that is not; of a fan beam only those with one."""
    found, remarks = [], []
    makers: dict[str, Callable[[Work], list[Contender]]] = {"ASTRA": _astra_2d, "fewview by Triton": _triton}
    if work.scan.shape[0] > 1:
        makers = {"itk-rtk": rtk_contenders, "mbirjax": _mbirjax, "ASTRA": _astra, "fewview by Triton": _triton}
    if work.backend == "triton":
        makers = {"ASTRA": _astra, "ASTRA on the GPU": _astra_on_card, "fewview on the GPU": _on_card}
    for name, make in makers.items():
        try:
            found += make(work)
        except (ImportError, MissingBackendError) as error:
            remarks.append(f"{name} does not take part: {error}")
    return found, remarks


def _mbirjax(work: Work) -> list[Contender]:
    """mbirjax, from every fifth view because it is slow. It has no short-scan weights, so only the projection pair takes part."""
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

    def adjoint() -> Result:
        return np.asarray(model.back_project(part.projections))[::-1].transpose(2, 0, 1)

    return [
        Contender("mbirjax", "forward", part, lambda: np.asarray(model.forward_project(volume))),
        Contender("mbirjax", "adjoint", part, adjoint, needs_correlation=0.95),  # the transpose of a projector with wider footprints
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


def _astra_2d(work: Work) -> list[Contender]:
    """ASTRA's 2-D projector for fan beams, on one core of the CPU, and its FBP after rebinning to a parallel beam, all that it takes."""
    from ...recon import METHODS
    from ...recon.projector import astra_backend

    geometry = astra_backend.fan_geometry(work.scan)
    measured, fbp = Projections(work.projections, work.scan), METHODS["fbp_astra"]

    def adjoint() -> Result:
        return astra_backend.run_2d("BP", work.projections[:, 0], geometry, work.grid, "line_fanflat")[None]

    return [
        Contender(
            "ASTRA line_fanflat (1 core)", "forward", work, lambda: astra_backend.project_2d(work.volume[0], work.scan, work.grid)[:, None]
        ),
        Contender("ASTRA line_fanflat (1 core)", "adjoint", work, adjoint),
        Contender(
            "ASTRA FBP, rebinned (1 core)", "fdk", work, lambda: fbp.run(measured, work.grid, fbp.settings(), ()), needs_correlation=0.98
        ),
    ]


def _astra_on_card(work: Work) -> list[Contender]:
    from .on_card import astra_on_card  # needs Triton

    return astra_on_card(work)


def _on_card(work: Work) -> list[Contender]:
    from .on_card import fewview_on_card  # needs Triton

    return fewview_on_card(work)


def _triton(work: Work) -> list[Contender]:
    """Our own pair on a CUDA device. As for ASTRA, its time includes the transfers to the device and back."""
    A, measured = Operator(work.scan, work.grid, "triton"), Projections(work.projections, work.scan)
    return [
        Contender("fewview (triton, CUDA)", "forward", work, lambda: A(work.volume)),
        Contender("fewview (triton, CUDA)", "adjoint", work, lambda: A.T(work.projections)),
        Contender("fewview (triton, CUDA)", "fdk", work, lambda: fdk(measured, work.grid, backend="triton")),
    ]
