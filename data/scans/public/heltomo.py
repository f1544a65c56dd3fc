"""Scans of the University of Helsinki as its toolbox HelTomo writes them: a .mat file with a struct ``CtData``.

The Helsinki Tomography Challenge 2022 has ``CtDataFull`` and ``CtDataLimited`` (fan beam). Scans of a photon-counting detector (PCD), such
as those of walnuts, have ``sinogramTotal``, ``sinogramLow`` and ``sinogramHigh`` (github.com/Diagonalizable/HelTomo).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ....base import InputError
from ....base.shapes import LineIntegrals
from ....geometry import Scan
from ...projections import Projections
from .matlab_file import read_matlab

Energy = Literal["total", "low", "high"]


def is_heltomo(path: Path) -> bool:
    """Whether this is a .mat file; its content is judged when it is read."""
    return path.is_file() and path.suffix.lower() == ".mat"


def open_heltomo(path: Path, *, energy: Energy = "total") -> Projections:
    """The line integrals of a HelTomo file; ``energy`` is the bin of a photon-counting detector.

    At angle a the source is at DSO (sin a, -cos a), as in ASTRA, which HelTomo hands its numbers to. Raises InputError naming the file and
    the field for what is missing or does not fit.
    """
    data = _struct(path)
    parameters = data.get("parameters")
    if not isinstance(parameters, Mapping):
        raise InputError(f"{path} has no parameters", expected="the struct that HelTomo writes")
    counting = str(parameters.get("detectorType", "EID")).upper() == "PCD"
    field = f"sinogram{energy.capitalize()}" if counting else "sinogram"
    if field not in data:
        raise InputError(
            f"{path} has no {field}", expected=f"one of {', '.join(name for name in data if name.startswith('sino')) or 'none'}"
        )
    sinogram = np.asarray(data[field], np.float32)
    flat = str(data.get("type", "2D")).upper() != "3D"
    if sinogram.ndim != (2 if flat else 3):
        raise InputError(f"{path}: {field} has shape {sinogram.shape}", expected="(views, detectors), or (columns, views, rows) in 3D")
    values = sinogram[:, None, :] if flat else sinogram.transpose(1, 2, 0)
    facts = {"format": "HelTomo", "source": str(path), **({"energy": energy} if counting else {})}
    return Projections(values, _scan(path, parameters, values), facts)


def pixel_at_axis_mm(scan: Scan) -> float:
    """HelTomo's effective pixel size, the pixel of its reconstructions."""
    return scan.field_of_view_mm.pixel_mm


def _struct(path: Path) -> Mapping[str, Any]:
    content = read_matlab(path)
    found = [name for name in content if name.startswith(("CtData", "ctData"))]
    if len(found) != 1 or not isinstance(content[found[0]], Mapping):
        raise InputError(f"{path} holds {', '.join(content) or 'nothing'}", expected="one struct CtData, CtDataFull or CtDataLimited")
    return content[found[0]]


def _scan(path: Path, parameters: Mapping[str, Any], values: LineIntegrals) -> Scan:
    def number(*names: str) -> float:
        for name in names:
            if name in parameters:
                value = np.ravel(parameters[name]).astype(float)
                if value.size == 1 and np.isfinite(value[0]) and value[0] > 0:
                    return float(value[0])
                raise InputError(f"{path}: {name} is {parameters[name]}", expected="one positive number")
        raise InputError(f"{path} does not state {names[0]}", expected=f"{names[0]} in its parameters")

    angles = np.ravel(parameters.get("angles", ())).astype(float)
    if angles.size != len(values):
        raise InputError(f"{path}: {angles.size} angles", expected=f"{len(values)}, the views of the sinogram")
    _, rows, cols = values.shape
    return Scan.circular(
        dso_mm=number("distanceSourceOrigin"),
        dsd_mm=number("distanceSourceDetector"),
        rows=rows,
        cols=cols,
        pixel_mm=number("pixelSizePost", "pixelSize"),
        angles_deg=angles,
    )
