"""OME-Zarr volumes (a folder, OME-NGFF 0.4), written and read with ngff-zarr of the extra ``zarr``."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....base import InputError, MissingBackendError
from ....base.memory import require_memory
from ....base.shapes import AnyVolume
from ....geometry import Grid
from ..slabs.stored import StoredVolume
from ..slabs.zarr_pyramid import ZarrPyramid
from ..volume_format import Option, VolumeFormat, one_of
from ..voxel_size import SAY_VOXEL, center_of, grid_of, one_size, unit_in_mm

CHUNK = 128
_CHUNKS_STORED = "fewview_chunks_stored"


def _ngff() -> Any:
    try:
        import ngff_zarr
    except ImportError as error:
        raise MissingBackendError("OME-Zarr needs the package ngff-zarr", remedy="pip install 'fewview[zarr]'") from error
    return ngff_zarr


def write_ome_zarr(volume: AnyVolume, grid: Grid, path: Path) -> None:
    """Write a volume at one resolution in chunks of 128, with scale and translation (the centre of the first voxel) in mm."""
    ngff = _ngff()
    x, y, z = (float(c) for c in grid.origin_mm)
    image = ngff.to_ngff_image(
        volume,
        dims=["z", "y", "x"],
        scale=dict.fromkeys("zyx", grid.voxel_mm),
        translation={"z": z, "y": y, "x": x},
        name="volume",
        axes_units=dict.fromkeys("zyx", "millimeter"),
    )
    ngff.to_ngff_zarr(path, ngff.to_multiscales(image, scale_factors=[], chunks=CHUNK), version="0.4")
    absent, chunks = _absent_chunks(path)  # chunks of zeros are not stored; the number of the others tells a broken copy from a whole one
    _add_fact(path / ".zattrs", (), _CHUNKS_STORED, chunks - len(absent))
    _add_fact(path / ".zmetadata", ("metadata", ".zattrs"), _CHUNKS_STORED, chunks - len(absent))


def _add_fact(file: Path, place: tuple[str, ...], name: str, value: int) -> None:
    """Add a key to an object in a JSON file, if the file exists."""
    if file.exists():
        facts = json.loads(file.read_text(encoding="utf-8"))
        inner = facts
        for key in place:
            inner = inner[key]
        inner[name] = value
        file.write_text(json.dumps(facts, indent=4), encoding="utf-8")


def read_ome_zarr(path: Path, voxel_mm: float | None = None, *, missing: str = "refuse") -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume of the stored type, grid, facts) of the finest resolution. Axes of time and channel must have length 1.

    A chunk that is not there would read as its fill value. It may have been left out because it is empty, or be missing because a copy
    broke off. Nobody can tell, so it is an error unless ``missing`` is "fill".
    """
    stored, grid, facts = open_ome_zarr(path, voxel_mm, missing=missing)
    require_memory(2 * math.prod(stored.shape) * stored.dtype.itemsize, f"two copies of the volume of {path}")
    return stored[:], grid, facts


def open_ome_zarr(path: Path, voxel_mm: float | None = None, *, missing: str = "refuse") -> tuple[StoredVolume, Grid, dict[str, Any]]:
    """`read_ome_zarr`, but slices are read when they are asked for."""
    ngff = _ngff()
    try:
        image = ngff.from_ngff_zarr(path).images[0]
        lazy = image.data
    except Exception as error:
        raise InputError(f"{path} cannot be read ({error})", expected="an OME-Zarr volume", remedy="copy it again") from error
    shape, dims = tuple(int(n) for n in lazy.shape), tuple(image.dims)
    extra = [n for n, axis in zip(shape, dims, strict=True) if axis not in "zyx"]
    if [axis for axis in dims if axis in "zyx"] != ["z", "y", "x"] or any(n != 1 for n in extra) or 0 in shape:
        raise InputError(f"{path} has the axes {dims} of {shape}", expected="one volume (z, y, x)")
    if lazy.dtype.kind not in "biuf":
        raise InputError(f"{path} holds values of type {lazy.dtype}", expected="real numbers")
    absent, chunks = _absent_chunks(path)
    stored = _attributes(path).get(_CHUNKS_STORED)
    lost = len(absent) if stored is None else int(stored) - (chunks - len(absent))
    if lost > 0 and missing == "refuse":
        raise InputError(
            f"{path}: {lost} of {chunks} chunks are not there ({absent[0]} is the first)",
            expected="every chunk: those that a broken copy lacks would read as zeros",
            remedy="copy it again; if they are not there because they are empty, read it with missing='fill' (--read-as missing=fill)",
        )
    size = tuple(n for n, axis in zip(shape, dims, strict=True) if axis in "zyx")
    mm = _units(image.axes_units or {}, path, voxel_mm)
    try:
        edges = [float(image.scale[axis]) * mm[axis] for axis in "xyz"]
        origin = [float(image.translation.get(axis, 0.0)) * mm[axis] for axis in "xyz"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: its scale or translation is not three numbers ({error})", expected="lengths", remedy=SAY_VOXEL
        ) from error
    voxel = one_size(edges, path, voxel_mm, ("scale x", "scale y", "scale z"))
    grid = grid_of(size, voxel, path, center_mm=center_of(origin, size, voxel), given=voxel_mm)
    dtype = lazy.dtype.newbyteorder("=")

    def read(first: int, last: int) -> AnyVolume:
        part = tuple(slice(first, last) if axis == "z" else slice(None) for axis in dims)
        try:
            return np.ascontiguousarray(lazy[part], dtype=dtype).reshape(-1, *size[1:])
        except Exception as error:
            raise InputError(f"{path} cannot be read ({error})", expected="whole chunks", remedy="copy it again") from error

    return StoredVolume(path, grid.shape, dtype, read), grid, {"format": "OME-Zarr", "missing_chunks": max(lost, 0)}


def _units(stated: Mapping[str, Any], path: Path, given: float | None) -> dict[str, float]:
    """Axis -> mm in a unit; where no unit is stated, mm is taken with a warning."""
    silent = [axis for axis in "zyx" if not stated.get(axis)]
    if silent and given is None:
        warnings.warn(
            f"{path} states no unit of length for {', '.join(silent)}: mm is taken; {SAY_VOXEL} to decide otherwise", stacklevel=4
        )
    return {axis: unit_in_mm(str(stated.get(axis) or "mm"), path) for axis in "zyx"}


def _absent_chunks(path: Path) -> tuple[list[str], int]:
    """The names of the chunk files of the finest resolution that are missing, and the number of all chunks, from the metadata of zarr 2 or
    3.
    """
    try:
        array = path / _finest(path)
        if (array / ".zarray").exists():
            facts = json.loads((array / ".zarray").read_text(encoding="utf-8"))
            sizes, join, start = facts["chunks"], facts.get("dimension_separator", "."), ""
        else:
            facts = json.loads((array / "zarr.json").read_text(encoding="utf-8"))
            sizes, key = facts["chunk_grid"]["configuration"]["chunk_shape"], facts["chunk_key_encoding"]
            default = key["name"] == "default"
            join, start = key.get("configuration", {}).get("separator", "/" if default else "."), "c" if default else ""
        counts = [-(-int(n) // int(size)) for n, size in zip(facts["shape"], sizes, strict=True)]
        keys = (join.join([start, *map(str, place)] if start else map(str, place)) for place in itertools.product(*map(range, counts)))
        return [key for key in keys if not (array / key).exists()], math.prod(counts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its metadata cannot be read ({error})", expected="an OME-Zarr volume", remedy="copy it again") from error


def _finest(path: Path) -> str:
    """The folder of the finest resolution, which the metadata names."""
    return str(_attributes(path)["multiscales"][0]["datasets"][0]["path"])


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of the group, in zarr 2 or 3."""
    if (path / ".zattrs").exists():
        return json.loads((path / ".zattrs").read_text(encoding="utf-8"))
    facts = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    return facts.get("ome", facts)


FORMAT = VolumeFormat(
    "OME-Zarr",
    (".ome.zarr",),
    read_ome_zarr,
    lambda volume, grid, path, kept: write_ome_zarr(volume, grid, path),
    "values, voxel size, centre",
    also_read=(".zarr",),
    read_options=(Option("missing", "what to do about chunks that are not there", one_of("refuse", "fill")),),
    slabs=ZarrPyramid,
    open=open_ome_zarr,
    extra="zarr",
    folder=True,
)
