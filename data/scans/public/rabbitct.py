"""RabbitCT (Rohkohl et al., Medical Physics 36 (2009) 3940): one file of C-arm views that are weighted and filtered already.

The file (``RabbitInput.rct``) begins with width, height and number of images (uint32) and two factors to
Hounsfield units (float32). Then come, for each view, twelve doubles, a 3 x 4 projection matrix column by column, and the image in float32.
The benchmark is the back-projection alone, summed with 1/w^2, so that its views are no line integrals (github.com/HPC-Dwarfs/RabbitCT).
The container of the competition itself (``rabbitct_512-v2.rctd``) has another header, and no document says what its numbers mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.shapes import Float, ViewValues
from ....geometry import Scan
from ...projections import Projections

ENDINGS = (".rct", ".rctd")
MARGIN = 3
_HEAD = np.dtype([("width", "<u4"), ("height", "<u4"), ("count", "<u4"), ("hounsfield", "<f4", 2)])


@dataclass(frozen=True)
class RabbitViews:
    """The filtered views of a file, still on the disk, with their ``scan``; ``hounsfield`` is (factor, offset) of a sum of them.

    The panel has ``MARGIN`` pixels of zeros on each side, because beside the panel the benchmark reads zeros.
    """

    path: Path
    scan: Scan
    hounsfield: tuple[float, float]

    def __getitem__(self, views: slice) -> ViewValues:
        """Some filtered views [view, row, col] with their margin."""
        rows, cols = (n - 2 * MARGIN for n in self.scan.shape)
        images = _records(self.path, len(self.scan), (rows, cols))["image"][views]
        return np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))


def is_rabbitct(path: Path) -> bool:
    """Whether this is a file of RabbitCT, by its ending."""
    return path.is_file() and path.suffix.lower() in ENDINGS


def open_rabbitct(path: Path) -> Projections:
    """InputError: what the file holds is filtered already, and `read` returns line integrals."""
    raise InputError(
        f"{path} is a file of RabbitCT, whose views are filtered already",
        expected="line integrals or counts",
        remedy=f"back-project it with: fewview bench board --name rabbitct --data {path.parent}",
    )


def rabbit_views(path: Path) -> RabbitViews:
    """The views of a file with the geometry that its matrices say. InputError for a file that is not as long as it states."""
    head = np.fromfile(path, _HEAD, 1)
    if len(head) != 1 or min(int(head[0][name]) for name in ("width", "height", "count")) < 1:
        raise InputError(f"{path} has no header of RabbitCT", expected="width, height and number of images")
    cols, rows, count = (int(head[0][name]) for name in ("width", "height", "count"))
    needed = _HEAD.itemsize + count * (12 * 8 + 4 * rows * cols)
    if path.stat().st_size != needed:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes",
            expected=f"{needed} for {count} images of {cols} x {rows}",
            remedy="take RabbitInput.rct (fewview data fetch rabbitct): a .rctd of the competition has another header",
        )
    matrices = np.array(_records(path, count, (rows, cols))["matrix"]).reshape(count, 4, 3).transpose(0, 2, 1)
    factor, offset = (float(n) for n in head[0]["hounsfield"])
    return RabbitViews(path, scan_of(matrices, rows, cols, MARGIN), (factor, offset))


def scan_of(matrices: Float[NDArray, "view 3 4"], rows: int, cols: int, margin: int = 0) -> Scan:
    """The scan of projection matrices that take (x, y, z, 1) in mm to (col w, row w, w), with ``margin`` more pixels on each side of the
    panel; its panels stand where w is 1.
    """
    inverse = np.linalg.inv(matrices[:, :, :3])  # its columns: column step, row step, and the way from the source to pixel [0, 0]
    source = -np.einsum("vij,vj->vi", inverse, matrices[:, :, 3])
    u, v, first = (inverse[:, :, k] for k in range(3))
    detector = source + first + (cols - 1) / 2 * u + (rows - 1) / 2 * v
    angles = np.degrees(np.unwrap(np.arctan2(source[:, 0], -source[:, 1])))
    return Scan((rows + 2 * margin, cols + 2 * margin), source, detector, u, v, angles)


def _records(path: Path, count: int, panel: tuple[int, int]) -> NDArray[Any]:
    kind = np.dtype([("matrix", "<f8", 12), ("image", "<f4", panel)])
    return np.memmap(path, kind, "r", _HEAD.itemsize, (count,))
