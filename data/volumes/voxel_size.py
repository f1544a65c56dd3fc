"""Voxel sizes as files state them: units converted to mm, and three edges to one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ...base import InputError
from ...geometry import Grid

SAY_VOXEL = "give voxel_mm=... (on the command line --volume-voxel-mm)"
"""What to do about a voxel size that a file does not state, or that is not to be believed."""

_LIKELY_MM = (1e-5, 20.0)  # mm, from the finest nano-CT to the coarsest scan of a person

# The names of units in OME (tif, zarr), NIfTI, ImageJ and HDF5 files, in lower case.
_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1e3, "meter": 1e3, "metre": 1e3, "meters": 1e3,
    "µm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3, "nm": 1e-6, "nanometer": 1e-6,
    "inch": 25.4,
}  # fmt: skip


def unit_in_mm(unit: str, path: Path) -> float:
    """The number of mm in a unit of length; InputError naming the file for an unknown unit.

    >>> unit_in_mm("µm", Path("a.ome.tif"))
    0.001
    """
    plain = unit.strip().lower().replace("μ", "µ").replace("\\u00b5", "µ")
    if plain not in _MM:
        raise InputError(f"{path}: unit of length {unit!r}", expected="mm, µm, nm, cm or m", remedy=SAY_VOXEL)
    return _MM[plain]


def one_size(sizes_mm: Sequence[float], path: Path, given: float | None = None, named: Sequence[str] = ("x", "y", "z")) -> float:
    """The edge of a voxel from its three edges (x, y, z): their geometric mean, which keeps the volume of the whole.

    Edges that differ by more than 0.1 % are worth a warning, by more than 2 % an InputError that names the file and what the edges are
    ``named`` in it. With ``given`` neither happens.
    """
    if given is not None:
        return float(given)
    sizes = np.asarray(sizes_mm, dtype=np.float64)
    for name, size in zip(named, sizes.tolist(), strict=True):
        if not (math.isfinite(size) and size > 0):
            raise InputError(f"{path}: the voxel size {name} is {size:g} mm", expected="a positive length", remedy=SAY_VOXEL)
    ratio, edges = sizes.max() / sizes.min(), " x ".join(f"{s:g}" for s in sizes)
    if ratio > 1.02:
        raise InputError(
            f"{path}: voxels of {edges} mm ({', '.join(named)})",
            expected="isotropic voxels",
            remedy=f"resample the volume to cubes, or {SAY_VOXEL}",
        )
    if ratio <= 1.001:
        return float(sizes[0])
    mean = float(f"{np.cbrt(sizes.prod()):.7g}")
    warnings.warn(f"{path}: voxels of {edges} mm are taken as cubes of {mean:g} mm; {SAY_VOXEL} to decide otherwise", stacklevel=4)
    return mean


def grid_of(
    shape: tuple[int, ...], voxel_mm: float | None, path: Path, *, center_mm: Sequence[float] = (0, 0, 0), given: float | None = None
) -> Grid:
    """The grid of a volume that was read. ``given`` is the caller's voxel size and takes precedence over the file's ``voxel_mm``."""
    if len(shape) != 3:
        raise InputError(f"{path} holds an array of shape {tuple(shape)}", expected="a volume (z, y, x)")
    voxel = voxel_mm if given is None else given
    if voxel is None:
        raise InputError(f"{path} does not state its voxel size", remedy=SAY_VOXEL)
    center = [float(c) for c in center_mm]
    if not (math.isfinite(voxel) and voxel > 0) or not all(map(math.isfinite, center)):
        raise InputError(
            f"{path}: voxels of {voxel} mm about {tuple(center)} mm", expected="a positive length and a finite centre", remedy=SAY_VOXEL
        )
    if given is None and not _LIKELY_MM[0] <= voxel <= _LIKELY_MM[1]:
        warnings.warn(f"{path}: voxels of {voxel:g} mm; is the unit right? {SAY_VOXEL} to decide otherwise", stacklevel=4)
    x, y, z = center
    nz, ny, nx = (int(n) for n in shape)
    return Grid((nz, ny, nx), float(voxel), (x, y, z))


def center_from(text: str, path: Path, name: str) -> tuple[float, float, float]:
    """(x, y, z) in mm from a text; InputError naming the file and where in it the text is."""
    try:
        x, y, z = (float(part) for part in text.split())
        if all(map(math.isfinite, (x, y, z))):
            return x, y, z
    except ValueError:
        pass
    raise InputError(f"{path}: {name} is {text!r}", expected="three lengths (x, y, z) in mm", remedy="copy it again from its source")


def center_of(origin_mm: ArrayLike, shape: tuple[int, ...], voxel_mm: float) -> tuple[float, float, float]:
    """The middle (x, y, z) of a volume from the centre of its voxel [0, 0, 0], both in mm; the inverse of `Grid.origin_mm`.

    Noise far below a voxel, which files with float32 leave, is rounded away.
    """
    center = np.asarray(origin_mm, dtype=np.float64) + (np.array(shape[::-1]) - 1) / 2 * voxel_mm
    digits = math.ceil(4 - math.log10(voxel_mm))
    x, y, z = (round(float(c), digits) + 0.0 for c in center)
    return x, y, z
