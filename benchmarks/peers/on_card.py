"""The contenders of a race on a GPU with values that stay there, so that no transfer is timed: our own, and ASTRA's projectors."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...recon import Operator
from ...recon.analytic.feldkamp_on_card import CardFdk
from ...recon.projector import astra_backend
from ...recon.projector.backend import find_backend
from ...recon.projector.gpu.transfer import to_device
from .work import Contender, Work

NAME = "fewview, values on the GPU"
ASTRA = "ASTRA, values on the GPU"


def fewview_on_card(work: Work) -> list[Contender]:
    """Operator and FDK from tensors to tensors; FDK also with filtered views kept in fp16."""
    find_backend("triton")
    device = torch.device("cuda", torch.cuda.current_device())
    volume, lines = to_device(work.volume, device), to_device(work.projections, device)
    A = Operator(work.scan, work.grid, "triton")
    found = [
        Contender(NAME, "forward", work, _awaited(lambda: A(volume))),
        Contender(NAME, "adjoint", work, _awaited(lambda: A.T(lines))),
    ]
    for storage, name in (("float32", NAME), ("fp16", "the same, filtered views in fp16")):
        fdk = CardFdk(work.scan, work.grid, device, storage=storage)
        found.append(Contender(name, "fdk", work, _awaited(lambda fdk=fdk: fdk(lines))))
    return found


def astra_on_card(work: Work) -> list[Contender]:
    """ASTRA's direct calls; it wants views as (row, view, col), which is made before. Its FDK takes arrays of numpy only."""
    astra, direct = astra_backend.require_cuda(), importlib.import_module("astra.experimental")
    device = torch.device("cuda", torch.cuda.current_device())
    volume, lines = to_device(work.volume, device), to_device(work.projections, device).transpose(0, 1).contiguous()
    projector = astra.create_projector("cuda3d", astra_backend.cone_geometry(work.scan), astra_backend.volume_geometry(work.grid))

    def forward() -> Tensor:
        made = torch.empty_like(lines)
        direct.direct_FP3D(projector, volume, made)
        return made.transpose(0, 1)

    def adjoint() -> Tensor:
        made = torch.empty_like(volume)
        direct.direct_BP3D(projector, made, lines)
        return made

    return [Contender(ASTRA, "forward", work, _awaited(forward)), Contender(ASTRA, "adjoint", work, _awaited(adjoint))]


def _awaited(run: Callable[[], Any]) -> Callable[[], Any]:
    """``run``, and what it has begun on the GPU."""

    def awaited() -> Any:
        torch.cuda.synchronize()
        result = run()
        torch.cuda.synchronize()
        return result

    return awaited
