"""The walnuts of Zhou et al. (Scientific Data 12 (2025) 1955): one cone-beam scan of a photon-counting detector, a folder for each height.

``Total/*.raw`` and ``High/*.raw`` are the counts above 15 and above 30 keV (uint16, columns first), ``Total/AcqPara.mat`` says where source
and panel were, and ``CalibrationTable/air_table_total.raw`` (``_high``, ``_low``), in the folder or above it, holds the open beam. The
numbers are used as the authors' scripts hand them to TIGRE (github.com/zezisme/WalnutPCCTReconCodes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.shapes import FloatImage, Image
from ....geometry import Scan
from ..raw import RawSource
from .matlab_file import read_matlab

Bin = Literal["total", "high", "low"]
GAP_ROWS = slice(251, 254)  # between the two halves of the panel, which count nothing
BAD_PIXELS = "badchannelIndexAll.data"  # float32, counted from 1, columns first
_ABOVE = 4  # folders in which the table of calibration is looked for
_PARAMETERS, _TABLE = Path("Total") / "AcqPara.mat", "CalibrationTable"


class _Counts:
    """Images [row, col] as an `ImageStack`: those of one folder, less those of another (the low bin is what is not in the high one)."""

    def __init__(self, files: Sequence[Path], less: Sequence[Path], panel: tuple[int, int]) -> None:
        self.files, self.less, self.shape, self.dtype = files, less, (len(files), *panel), np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image:
        image = _image(self.files[index], self.shape[1:])
        return image - _image(self.less[index], self.shape[1:]) if self.less else image

    def name(self, index: int) -> str:
        """The file of view ``index``."""
        return str(self.files[index])


def is_pcct_walnut(path: Path) -> bool:
    """Whether this is the folder of one height of a walnut."""
    return path.is_dir() and (path / _PARAMETERS).is_file()


def open_pcct_walnut(path: Path, *, energy: Bin = "total") -> RawSource:
    """The counts of one height, with its vectors and the open beam as its flat field.

    ``energy`` is the bin: above 15 keV (total), above 30 keV (high), or between them (low). Pixels that the authors list as bad, and the
    rows between the two halves of the panel, count as dead. Their correction of pixels that respond differently to other spectra (STEPC)
    is not applied. Raises FileNotFoundError for a missing table, and InputError naming the file and what it lacks.
    """
    parameters = _parameters(path / _PARAMETERS)
    panel = int(_number(parameters, "nSliceNum", path)), int(_number(parameters, "nChannelNum", path))
    files = {name: sorted((path / name).glob("*.raw")) for name in ("Total", "High")}
    scan = _scan(parameters, panel, path)
    for name, found in files.items():
        if len(found) != len(scan) and (name == "Total" or energy != "total"):
            raise InputError(f"{path / name} has {len(found)} files *.raw", expected=f"{len(scan)}, the angles of {_PARAMETERS.name}")
    stack = _Counts(files["High" if energy == "high" else "Total"], files["High"] if energy == "low" else (), panel)
    table = _calibration(path)
    flat = _image(table / f"air_table_{energy}.raw", panel)
    flat[GAP_ROWS] = 0
    bad = table / BAD_PIXELS
    if bad.is_file():
        flat.reshape(-1)[np.fromfile(bad, "<f4").astype(np.intp) - 1] = 0
    facts = {"format": "PCCT walnut", "source": str(path), "energy": energy, "assumptions": ["pixels respond alike to all spectra"]}
    return RawSource(stack, scan, flat, None, facts)


def _image(path: Path, panel: Sequence[int]) -> FloatImage:
    """Counts [row, col]; the file has the columns of the first row first."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    rows, cols = panel
    counts = np.fromfile(path, "<u2")
    if counts.size < rows * cols:
        raise InputError(f"{path} has {counts.size} numbers", expected=f"{rows * cols}, a panel of {cols} x {rows}")
    return counts[: rows * cols].reshape(rows, cols).astype(np.float32)


def _calibration(path: Path) -> Path:
    for folder in (path, *path.resolve().parents[:_ABOVE]):
        if (folder / _TABLE).is_dir():
            return folder / _TABLE
    raise FileNotFoundError(f"there is no folder {_TABLE} (with the open beam) in {path} or the {_ABOVE} folders above it")


def _parameters(path: Path) -> Mapping[str, Any]:
    content = read_matlab(path).get("AcqPara")
    if not isinstance(content, Mapping):
        raise InputError(f"{path} has no struct AcqPara", expected="the parameters of an acquisition")
    return content


def _number(parameters: Mapping[str, Any], name: str, path: Path) -> float:
    value = np.ravel(parameters.get(name, ())).astype(float)
    if value.size != 1 or not np.isfinite(value[0]):
        raise InputError(f"{path / _PARAMETERS}: {name} is {parameters.get(name, 'not there')}", expected="one number")
    return float(value[0])


def _scan(parameters: Mapping[str, Any], panel: tuple[int, int], path: Path) -> Scan:
    """TIGRE's geometry: at angle a the source is at SID (cos a, sin a), columns run along (-sin a, cos a) and rows upwards; the panel is
    turned in its plane by InpRot, and the ray through the axis at right angles meets it at (U0, V0), counted in pixels from its corner.
    """
    to_axis, to_panel, across, high, u0, v0, turn = (
        _number(parameters, name, path) for name in ("SID", "SDD", "fDetU", "fDetV", "U0", "V0", "InpRot")
    )
    angles = np.ravel(parameters.get("objViewAngle", ())).astype(float) - np.pi
    if not angles.size or not np.isfinite(angles).all():
        raise InputError(f"{path / _PARAMETERS}: objViewAngle has {angles.size} angles", expected="an angle in radians for each view")
    outward, along, up = _axes(angles)
    roll = np.radians(turn)
    u = across * (np.cos(roll) * along + np.sin(roll) * up)
    v = high * (np.cos(roll) * up - np.sin(roll) * along)
    detector = (to_axis - to_panel) * outward + (panel[1] / 2 - u0) * across * along + (panel[0] / 2 - v0) * high * up
    source = to_axis * outward
    return Scan(panel, source, detector, u, v, np.degrees(np.unwrap(np.arctan2(source[:, 0], -source[:, 1]))))


def _axes(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(from the axis to the source, across it, upwards), each (view, 3)."""
    c, s, zero = np.cos(angles), np.sin(angles), np.zeros_like(angles)
    return np.stack([c, s, zero], 1), np.stack([-s, c, zero], 1), np.stack([zero, zero, zero + 1], 1)
