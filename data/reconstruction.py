"""Reconstruction: a volume with all that is needed to say where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import InputError
from ..geometry import Grid, Scan
from .volumes.formats import Kept
from .volumes.writer import write_volume


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """``volume`` [z, y, x] float32 in 1/mm on ``grid``, made from ``scan`` by ``method`` with ``settings``.

    ``settings`` are those that were used (automatic choices resolved); ``history`` has one mapping an iteration
    (iteration, seconds, and what the method reports); ``seconds`` is the wall time; ``std`` a per-voxel standard deviation
    in 1/mm where one was asked for.
    """

    volume: NDArray[np.float32]
    grid: Grid
    scan: Scan
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    std: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name, array in (("volume", self.volume), ("std", self.std)):
            if array is not None and array.shape != self.grid.shape:
                raise InputError(f"the {name} of {self.method} has shape {array.shape}", expected=f"{self.grid.shape}, as the grid says")

    def kept(self) -> Kept:
        """What a file may keep beside the volume."""
        facts = {"method": self.method, "settings": self.settings, "seconds": self.seconds, "views": len(self.scan)}
        return Kept({**facts, "history": list(self.history)}, self.std, self.scan)

    def save(self, path: str | Path, *, force: bool = False, **options: Any) -> Path:
        """Write the volume, and the run record beside it, as `write_volume` does: the ending of ``path`` says the format."""
        return write_volume(self, path, force=force, **options)

    def __repr__(self) -> str:
        return f"Reconstruction({self.method} of {len(self.scan)} views on {self.grid}, {self.seconds:.3g} s)"
