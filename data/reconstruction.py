"""Reconstruction: a volume with everything that is needed to say how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError
from ..base.plain import with_arrays_named
from ..base.shapes import Volume
from ..geometry import Grid, Scan
from .self_check import SelfCheck
from .volumes.volume_format import Kept
from .volumes.writer import write_volume


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A ``volume`` [z, y, x], float32 in 1/mm, on ``grid``, reconstructed from ``scan`` by ``method`` with ``settings``.

    ``settings`` are those that were used, with automatic choices resolved. ``history`` has one mapping for each iteration (iteration,
    seconds, and what the method reports), and ``seconds`` is the wall time. ``std`` is the standard deviation of each voxel in 1/mm, where
    it was asked for. ``check`` says how well volume and views agree; it is None where no check was asked for.
    """

    volume: Volume
    grid: Grid
    scan: Scan
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    std: Volume | None = None
    check: SelfCheck | None = None

    def __post_init__(self) -> None:
        for name, array in (("volume", self.volume), ("std", self.std)):
            if array is not None and array.shape != self.grid.shape:
                raise InputError(f"the {name} of {self.method} has shape {array.shape}", expected=f"{self.grid.shape}, as the grid says")

    def kept(self) -> Kept:
        """The facts that a file may keep beside the volume."""
        settings = with_arrays_named(self.settings)
        facts: dict[str, Any] = {"method": self.method, "settings": settings, "seconds": self.seconds, "views": len(self.scan)}
        if self.check is not None:
            facts["check"] = self.check.as_record()
        return Kept({**facts, "history": list(self.history)}, self.std, self.scan)

    def save(self, path: str | Path, *, force: bool = False, **options: Any) -> Path:
        """Write the volume with its run record beside it, as `write_volume` does. The ending of ``path`` decides the format."""
        return write_volume(self, path, force=force, **options)

    def _repr_html_(self) -> str:
        from ..base.notebook import Picture, card

        nz, ny, nx = self.grid.shape
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items() if isinstance(value, bool | int | float | str))
        facts = {
            "views": f"{len(self.scan)}",
            "voxels": f"{nx} x {ny} x {nz} of {self.grid.voxel_mm:.6g} mm",
            "values": f"{self.volume.min():.4g} to {self.volume.max():.4g} 1/mm",
            "settings": settings[:300],
            "seconds": f"{self.seconds:.3g}",
        }
        top = float(np.percentile(self.volume[nz // 2], 99.9))
        cuts = {"z": self.volume[nz // 2], "y": self.volume[:, ny // 2], "x": self.volume[:, :, nx // 2]}
        shown = {f"middle slice along {name}, 0 to {top:.3g} 1/mm": Picture(image, 0.0, top) for name, image in cuts.items()}
        return card(f"Reconstruction by {self.method}", facts, shown)

    def __repr__(self) -> str:
        return f"Reconstruction({self.method} of {len(self.scan)} views on {self.grid}, {self.seconds:.3g} s)"
