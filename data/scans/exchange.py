"""HDF5 Data Exchange files of synchrotron beamlines, with /exchange/data, data_white, data_dark and theta, of a parallel beam."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...base import InputError
from ...base.settings import Mm
from ...base.shapes import Angles
from ...geometry import Scan
from ..hdf5_access import h5_dataset, h5_link, open_h5
from ..volumes.voxel_size import unit_in_mm
from .raw import RawSource

Shift = Annotated[float, Field(ge=-1000, le=1000, description="a length in mm, from -1000 to 1000")]
WIDEST_MM = 1000.0  # the images of beamlines are far smaller
MOST_TURNS, LARGEST_STEP_DEG = 200, 120.0  # helical scans turn often; the coarsest step of a set of views is a third of a turn
NOTHING = 0.01  # share of the open beam; no detector's brightest pixel is so dark
DISTANT = 1e4  # source distance in panel widths; rays are then parallel to 1/20000 of the width
_PIXEL_PLACES = (
    "measurement/instrument/detector/actual_pixel_size_x",
    "measurement/instrument/detector/pixel_size_x",
    "measurement/instrument/detection_system/objective/resolution",
)


class H5Views:
    """The images of an HDF5 dataset [view, row, col] as an `ImageStack`. The file is opened for each read and closed again."""

    def __init__(self, path: Path, dataset: str) -> None:
        self.path, self.dataset = path, dataset
        with open_h5(path) as file:
            data = h5_dataset(file, dataset, path, expected="images (view, row, col)")
            count, rows, cols = data.shape
            self.shape, self.dtype = (count, rows, cols), data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[Any]:
        with open_h5(self.path) as file:
            return np.asarray(file[self.dataset][index])

    def name(self, index: int) -> str:
        """The file, the dataset and the number of the view."""
        return f"{self.path}, /{self.dataset}[{index}]"


def parallel_scan(rows: int, cols: int, pixel_mm: float, angles_deg: Any, axis_shift_mm: float = 0.0) -> Scan:
    """A parallel-beam scan, made as a circular one whose source is 10 000 panel widths away, with the panel at the axis."""
    far_mm = DISTANT * max(rows, cols) * pixel_mm
    return Scan.circular(
        dso_mm=far_mm, dsd_mm=far_mm, rows=rows, cols=cols, pixel_mm=pixel_mm, angles_deg=angles_deg, axis_shift_mm=axis_shift_mm
    )


def open_exchange(path: Path, *, pixel_mm: Mm | None = None, axis_shift_mm: Shift = 0.0) -> RawSource:
    """The projections of a Data Exchange file with its flats and darks.

    ``pixel_mm`` takes precedence over the pixel size in the file. Where neither is there, 1 mm is taken with a warning, so that lengths are
    in pixels. ``axis_shift_mm`` is explained at `Scan.circular`. Raises InputError without ``theta``, or where the number of angles is not
    that of the views.
    """
    with open_h5(path) as file:
        data = h5_dataset(file, "exchange/data", path, expected="images (view, row, col)")
        if data.ndim != 3:
            raise InputError(f"{path}: /exchange/data has shape {data.shape}", expected="(view, row, col)")
        if not h5_link(file, "exchange/theta", path):
            raise InputError(f"{path} has no /exchange/theta", expected="one angle for each view", remedy="add the angles to the file")
        angles = _degrees(h5_dataset(file, "exchange/theta", path, expected="angles"), path)
        count, rows, cols = data.shape
        if angles.size != count:
            raise InputError(f"{path}: {angles.size} angles in /exchange/theta", expected=f"{count}, the views of /exchange/data")
        flat, dark = (_frames(file, f"exchange/{name}", (rows, cols), path) for name in ("data_white", "data_dark"))
        _refuse_line_integrals(data, flat, path)
        found = _pixel(file, path) if pixel_mm is None else None
    assumptions = ["parallel beam: a circular scan from a source 10 000 panel widths away"]
    pixel = pixel_mm if pixel_mm is not None else found
    if pixel is None:
        pixel = 1.0
        assumptions.append("no pixel size in the file: 1 mm a pixel, so that lengths are in pixels")
        warnings.warn(f"{path} states no pixel size: 1 mm is taken; give pixel_mm=... for lengths in mm", stacklevel=2)
    if not 1e-6 <= pixel * max(rows, cols) <= WIDEST_MM:
        raise InputError(
            f"{path}: pixels of {pixel:g} mm make images of {cols * pixel:g} x {rows * pixel:g} mm",
            expected=f"images up to {WIDEST_MM:g} mm wide",
            remedy="correct the pixel size or its attribute 'units', or give pixel_mm=...",
        )
    scan = parallel_scan(rows, cols, float(pixel), angles, axis_shift_mm)
    if not axis_shift_mm:
        assumptions.append("the file does not say where the axis is: it is taken at the middle column (calibrate finds it)")
    if flat is None:
        assumptions.append("no /exchange/data_white: the images are taken as flat-corrected, with air at their left and right borders")
    assumptions.append("the angles are taken as counter-clockwise, and row 0 as the lowest z")
    meta = {"format": "Data Exchange", "source": str(path), "assumptions": assumptions}
    return RawSource(H5Views(path, "exchange/data"), scan, flat, dark, meta)


def _degrees(theta: Any, path: Path) -> Angles:
    """The angles in degrees, converted from radians where the file says so; InputError for another unit or for angles that no scan can
    have.
    """
    angles = np.asarray(theta[()], dtype=np.float64).ravel()
    units = _text(theta.attrs.get("units", ""))
    if not np.isfinite(angles).all():
        raise InputError(
            f"{path}: {np.count_nonzero(~np.isfinite(angles))} angles in {theta.name} are NaN or Inf", expected="finite angles"
        )
    if units and not units.lower().startswith(("deg", "rad", "°")):
        raise InputError(f"{path}: the unit of {theta.name} is {units!r}", expected="deg or rad, in its attribute 'units'")
    span = float(np.ptp(angles))
    half_turns = span * angles.size / max(1, angles.size - 1) / np.pi
    if not units and angles.size > 8 and 0.9 < half_turns < 2.1 and min(abs(half_turns - n) for n in (1, 2)) < 0.03:
        raise InputError(
            f"{path}: {theta.name} runs over {span:.5g}, which is {round(half_turns)} x pi, and states no unit",
            expected="degrees",
            remedy="say which in its attribute 'units': 'rad' or 'deg'",
        )
    angles = np.rad2deg(angles) if units.lower().startswith("rad") else angles
    span = float(np.ptp(angles))
    if angles.size > 1 and (span == 0 or span > 360 * MOST_TURNS):
        raise InputError(f"{path}: {theta.name} runs over {span:g} deg", expected=f"angles of a scan: above 0 and up to {MOST_TURNS} turns")
    step = float(np.median(np.abs(np.diff(angles)))) if angles.size > 1 else 0.0
    if step > LARGEST_STEP_DEG:
        raise InputError(f"{path}: {theta.name} goes in steps of {step:g} deg", expected=f"steps up to {LARGEST_STEP_DEG:g} deg")
    return angles


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refuse_line_integrals(data: Any, flat: NDArray[Any] | None, path: Path) -> None:
    """InputError for real numbers that are tiny compared with the open beam: they are not counts of the same detector."""
    if flat is None or data.dtype.kind != "f" or not len(data):
        return
    open_beam, most = float(np.median(flat)), float(np.max(data[len(data) // 2]))
    if most < NOTHING * open_beam:
        raise InputError(
            f"{path}: {data.name} goes up to {most:.4g} where the open beam of data_white is {open_beam:g}: these may be line integrals",
            expected="detector counts",
            remedy="leave data_white and data_dark out and store transmission, exp(-p), or use write_projections",
        )


def _frames(file: Any, name: str, panel: tuple[int, int], path: Path) -> NDArray[Any] | None:
    if not h5_link(file, name, path) or getattr(file[name], "size", 1) in (0, None):  # a group has no size, and is refused below
        return None
    frames = h5_dataset(file, name, path, expected="images")
    if frames.ndim not in (2, 3) or frames.shape[-2:] != panel:
        raise InputError(f"{path}: /{name} has shape {frames.shape}", expected=f"{panel} (row, col), the panel of /exchange/data")
    return np.asarray(frames[()])


def _pixel(file: Any, path: Path) -> float | None:
    for place in _PIXEL_PLACES:
        if h5_link(file, place, path):
            found = h5_dataset(file, place, path, expected="a length")
            units, value = _text(found.attrs.get("units", "m")), float(np.ravel(found[()])[0])
            try:
                return value * unit_in_mm(units, path) if value > 0 else None
            except InputError as error:
                raise InputError(error.given, expected=error.expected, remedy="give pixel_mm=... (--read-as pixel_mm=0.01)") from error
    return None
