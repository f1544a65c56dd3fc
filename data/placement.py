"""Where the voxels of a volume on a grid of its own lie in the scan it belongs to, and what its grey levels mean: kept in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..base import InputError
from ..base.files import own_path
from ..base.plain import to_json
from ..base.shapes import NewVolume, VolumeMask
from ..geometry import Grid
from .volumes.block_means import read_blocks, slices_shape

FORMAT = "fewview placement 1"


@dataclass(frozen=True)
class Placement:
    """Index (z, y, x) in the slices = ``matrix`` @ (x, y, z in mm) + ``start``; attenuation in 1/mm = ``gain`` * level + ``offset``.

    How good that is: ``correlation`` with the volume made of the scan's own views, that of ``fine`` structure (which other animals lack),
    and ``scale``, the size of the voxels against what was stated. ``turn_deg`` is against the nearest straight orientation, ``facts`` say
    in words what was found, and ``doubts`` why it cannot be trusted; with a doubt the volume is not used. ``made_from`` is a hash of the
    files.
    """

    matrix: tuple[tuple[float, float, float], ...]
    start: tuple[float, float, float]
    gain: float
    offset: float
    correlation: float
    fine: float
    scale: float
    turn_deg: float
    facts: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    made_from: str = ""

    @property
    def voxel_mm(self) -> float:
        """The edge of a voxel of the slices."""
        return float(1 / np.linalg.norm(self.matrix, axis=1).mean())

    def on(self, grid: Grid, folder: Path) -> tuple[NewVolume, VolumeMask]:
        """The volume of the slices in ``folder`` in 1/mm on ``grid``, and which of its voxels the slices cover (0 in the others).

        Larger voxels are read as means over blocks, and interpolated linearly between them.
        """
        fits = max(1, int(grid.voxel_mm / self.voxel_mm + 1e-6))
        factor = max(1, min(fits, *(n // 2 for n in slices_shape(folder))))
        levels, first = read_blocks(folder, factor)
        matrix = np.array(self.matrix)[:, ::-1] * grid.voxel_mm / factor  # of (z, y, x) indices of the grid
        start = (np.array(self.matrix) @ grid.origin_mm + np.array(self.start) - first) / factor
        seen = ndimage.affine_transform(levels, matrix, start.tolist(), output_shape=grid.shape, order=1, cval=np.nan)  # type: ignore[arg-type]
        known = np.isfinite(seen)
        return np.where(known, np.float32(self.gain) * seen + np.float32(self.offset), 0).astype(np.float32), known

    def in_words(self) -> str:
        """One line for a table."""
        found = [f"correlation {self.correlation:.3f}", f"of fine structure {self.fine:.3f}", f"turned by {self.turn_deg:.2f} deg"]
        return ", ".join([*found, *self.facts, *self.doubts])


def write_placement(placement: Placement, path: Path) -> None:
    """Write a placement as JSON, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with own_path(path) as temporary:
        temporary.write_text(to_json({"format": FORMAT, **vars(placement)}, indent=1) + "\n", encoding="utf-8")


def read_placement(path: Path) -> Placement | None:
    """The placement in a file, or None where there is no file. InputError for a file that fewview did not write."""
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise ValueError("another format")
        matrix = np.array(found.pop("matrix"), dtype=float)
        start = np.array(found.pop("start"), dtype=float)
        if matrix.shape != (3, 3) or start.shape != (3,) or not np.isfinite(matrix).all():
            raise ValueError("a matrix of another shape")
        words = {name: tuple(found.pop(name)) for name in ("facts", "doubts")}
        rows = [tuple(float(v) for v in row) for row in matrix]
        return Placement(tuple(rows), tuple(float(v) for v in start), **words, **found)  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no placement that fewview wrote ({error})",
            expected=f"JSON of format {FORMAT!r}",
            remedy="delete it: it is made anew",
        ) from None
