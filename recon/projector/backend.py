"""What a backend is: one record, found in the folder ``backends/``; `Operator`, `fdk`, `dottest` and `fewview doctor` read it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ...base import MissingBackendError, UnknownNameError

if TYPE_CHECKING:
    from ...geometry import Grid, Scan


class Prepared(Protocol):
    """The pair of one scan and grid, with what is worth keeping between calls. Values and results are on the same device."""

    def project(self, volume: Tensor) -> Tensor:
        """A volume [z, y, x] in 1/mm to line integrals [view, row, col]."""
        ...

    def backproject(self, projections: Tensor) -> Tensor:
        """Line integrals [view, row, col] to a volume [z, y, x], the transpose of `project`."""
        ...


@dataclass(frozen=True)
class Backend:
    """One implementation of the projector pair.

    ``project(volume, scan, grid)`` and ``backproject(projections, scan, grid)`` take and return contiguous tensors of a type and on a
    device that the backend has: ``home(device)`` is where values from ``device`` are computed, ``float64`` whether double precision is
    kept (otherwise float32 is computed). ``prepare(scan, grid, device, dtype)``, where there is one, makes what an `Operator` keeps for
    values of one device and type, and calls instead. ``fdk_sum(volume, scan, grid, views, weights)`` adds filtered views [view, row,
    col], each times its weight over the square of the voxel's depth, to a volume, as `fdk` wants it; with two more arguments, slices and
    rows, the volume holds only these slices of the grid and the views only these rows of the panel, at least those of ``fdk_rows(scan,
    grid, slices)``. ``fdk_on_card``: `fdk` filters and sums on the GPU; neither: no FDK.
    ``lacks()`` says in words what is missing on this machine, "" where it can be used; it loads nothing heavy. ``automatic(device)``
    says whether "auto" may choose it there; among several, the greater ``rank`` wins. ``where``, ``transpose``: for `fewview doctor`.
    """

    name: str
    where: str
    transpose: str
    project: Callable[[Tensor, Scan, Grid], Tensor]
    backproject: Callable[[Tensor, Scan, Grid], Tensor]
    lacks: Callable[[], str]
    needs: str
    automatic: Callable[[torch.device], bool]
    rank: int
    home: Callable[[torch.device], torch.device]
    float64: bool = False
    prepare: Callable[[Scan, Grid, torch.device, torch.dtype], Prepared] | None = None
    fdk_sum: Callable[..., None] | None = None
    fdk_rows: Callable[[Scan, Grid, slice], slice] | None = None
    fdk_on_card: bool = False

    def require(self) -> Backend:
        """Itself; MissingBackendError, which says what is missing and what can be used instead, where this machine lacks something."""
        if missing := self.lacks():
            others = [f"backend={b.name!r}" for b in backends().values() if not b.lacks()]
            raise MissingBackendError(
                f"backend {self.name} cannot be used: {missing}", expected=self.needs, remedy=f"use {' or '.join(others)}"
            )
        return self


@cache
def backends() -> Mapping[str, Backend]:
    """Name -> record of every backend, usable here or not."""
    folder = importlib.import_module(f"{__package__}.backends")
    modules = [importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]
    records: list[Any] = [getattr(module, "BACKEND", None) for module in modules]
    return {record.name: record for record in records if isinstance(record, Backend)}


def find_backend(name: str) -> Backend | None:
    """The record of a backend that can be used here; None for "auto". UnknownNameError, MissingBackendError."""
    if name == "auto":
        return None
    if name not in backends():
        raise UnknownNameError("backend", name, ["auto", *backends()])
    return backends()[name].require()


def automatic_backend(device: torch.device) -> Backend:
    """What "auto" means for values on ``device``: of the usable backends that may be chosen there, the one of the highest rank."""
    return max((b for b in backends().values() if b.automatic(device) and not b.lacks()), key=lambda b: b.rank)


def fdk_backend(name: str = "auto") -> Backend:
    """The backend that `fdk` uses, by its name; MissingBackendError for one that has no FDK."""
    able = [b for b in backends().values() if b.fdk_sum is not None or b.fdk_on_card]
    chosen = find_backend(name) or max((b for b in able if not b.lacks()), key=lambda b: b.rank)
    if chosen not in able:
        names = ", ".join(b.name for b in able)
        raise MissingBackendError(f"backend {name} has no filtered back-projection", expected=f"one of auto, {names}")
    return chosen
