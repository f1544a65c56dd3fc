"""OME-TIFF volumes: one file, a plane a slice, voxel size as PhysicalSize, the grid's centre as a map annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.memory import require_memory
from ...base.outputs.ownership import SIGNATURE
from ...geometry import Grid
from .voxel_size import grid_of, one_size, unit_in_mm

_NAMESPACE = "fewview"


def write_ome_tiff(volume: NDArray[Any], grid: Grid, path: Path, *, compression: str | None = None) -> None:
    """Write [z, y, x]; ``compression`` is any lossless scheme of tifffile, such as "zlib"."""
    import tifffile

    facts: dict[str, Any] = {"axes": "ZYX"}
    for axis in "XYZ":
        facts |= {f"PhysicalSize{axis}": grid.voxel_mm, f"PhysicalSize{axis}Unit": "mm"}
    facts["MapAnnotation"] = {"Namespace": _NAMESPACE, "center_mm": " ".join(repr(c) for c in grid.center_mm)}
    big = volume.nbytes > 2**32 - 2**26
    tifffile.imwrite(
        path, volume, ome=True, bigtiff=big, photometric="minisblack", compression=compression, metadata=facts, software=SIGNATURE
    )


def read_tiff_volume(path: Path, voxel_mm: float | None = None) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """(volume [z, y, x] of the file's type, grid, facts) of an OME-TIFF, an ImageJ TIFF or any multi-page TIFF.

    Raises InputError naming the file where it is broken, not one volume, or says nothing of its voxel size and ``voxel_mm`` is not given.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            ome, imagej = tif.ome_metadata, tif.imagej_metadata
            if len(tif.series) != 1:
                raise InputError(f"{path} holds {len(tif.series)} images", expected="one volume")
            require_memory(tif.series[0].nbytes, f"the volume of {path}")
            array = _planes(tif.series[0].asarray(), tif.series[0].axes, path)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read ({error})", expected="a whole TIFF volume", remedy="copy it again") from error
    voxel, center = _from_ome(ome, path, voxel_mm) if ome else (_from_imagej(imagej), (0.0, 0.0, 0.0))
    grid = grid_of(array.shape, voxel, path, center_mm=center, given=voxel_mm)
    return np.ascontiguousarray(array), grid, {"format": "OME-TIFF" if ome else "TIFF"}


def _planes(array: NDArray[Any], axes: str, path: Path) -> NDArray[Any]:
    """[z, y, x] of a TIFF series: pages of any kind are z, one page is one slice."""
    long = [(n, axis) for n, axis in zip(array.shape, axes, strict=True) if n != 1 and axis not in "YX"]
    if axes[-2:] != "YX" or len(long) > 1 or any(axis not in "ZIQ" for _, axis in long):
        raise InputError(f"{path} holds an array {array.shape} with the axes {axes}", expected="one volume (z, y, x)")
    return array.reshape(-1, *array.shape[-2:])


def _from_ome(xml: str, path: Path, given: float | None) -> tuple[float | None, tuple[float, ...]]:
    root = ElementTree.fromstring(xml)
    tag = root.tag.removesuffix("OME")
    pixels = root.find(f".//{tag}Pixels")
    center = root.find(f".//{tag}MapAnnotation[@Namespace='{_NAMESPACE}']/{tag}Value/{tag}M[@K='center_mm']")
    at = tuple(float(c) for c in (center.text or "").split()) if center is not None else (0.0, 0.0, 0.0)
    if pixels is None or any(f"PhysicalSize{axis}" not in pixels.attrib for axis in "XYZ"):
        return None, at
    sizes = [float(pixels.attrib[f"PhysicalSize{a}"]) * unit_in_mm(pixels.attrib.get(f"PhysicalSize{a}Unit", "µm"), path) for a in "XYZ"]
    return one_size(sizes, path, given), at


def _from_imagej(facts: dict[str, Any] | None) -> float | None:
    """ImageJ states the slice spacing with a unit; the in-plane size is taken to be the same."""
    if not facts or "spacing" not in facts or "unit" not in facts:
        return None
    return float(facts["spacing"]) * unit_in_mm(str(facts["unit"]), Path("ImageJ metadata"))
