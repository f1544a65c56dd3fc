"""Folders of slices, our own HDF5 volumes and OME-Zarr whose size, place, grey scale or whole content is in doubt."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hostile_case import Case, fine, refused, told
from hostile_hdf5 import attr, drop, group, put
from hostile_room import grey


def slices(name: str, then: Callable[[Path], object], kind: Callable[..., Case], *says: str) -> Case:
    """A case of a folder of slices."""
    return kind(f"slices: {name}", lambda r: r.simulate(r.slices(then=then)), *says)


def own(name: str, then: Callable[[Any], object], kind: Callable[..., Case], *says: str) -> Case:
    """A case of our own HDF5 volume."""
    return kind(f"h5: {name}", lambda r: r.simulate(r.h5_volume(then=then)), *says)


def zarr(name: str, then: Callable[[Path], object], kind: Callable[..., Case], *says: str) -> Case:
    """A case of an OME-Zarr folder."""
    return kind(f"zarr: {name}", lambda r: r.simulate(r.zarr(then=then)), *says)


def _log(changes: dict[str, str]) -> Callable[[Path], None]:
    def then(folder: Path) -> None:
        path = next(folder.glob("*_rec.log"))
        text = path.read_text()
        for key, value in changes.items():
            text = re.sub(rf"(?m)^{re.escape(key)}=.*$", f"{key}={value}", text)
        path.write_text(text)

    return then


def _twelve_bit(folder: Path) -> None:
    for index, plane in enumerate(grey(np.uint16, 4095)()):
        tifffile.imwrite(folder / f"slice_rec{index:04d}.tif", plane, photometric="minisblack")
    _log({"Minimum for CS to Image Conversion": "", "Maximum for CS to Image Conversion": ""})(folder)


def _zattrs(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def then(folder: Path) -> None:
        path = folder / ".zattrs"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return then


def _scale(value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = value

    return change


def _unit(content: dict[str, Any]) -> None:
    for axis in content["multiscales"][0]["axes"]:
        axis["unit"] = "parsec"


def _no_units(content: dict[str, Any]) -> None:
    for axis in content["multiscales"][0]["axes"]:
        axis.pop("unit", None)


def _chunks(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and re.fullmatch(r"[\d.]+", path.name)]


def _without_chunks(folder: Path) -> None:
    for path in _chunks(folder)[::2]:
        path.unlink()


def _without_any_chunk(folder: Path) -> None:
    for path in _chunks(folder):
        path.unlink()


def _chunk_of_zeros(folder: Path) -> None:
    path = _chunks(folder)[0]
    path.write_bytes(bytes(path.stat().st_size))


SLICES = [
    slices("sound", lambda f: None, fine),
    slices("one missing", lambda f: (f / "slice_rec0007.tif").unlink(), refused, "0007|number 7|first number"),
    slices(
        "one of another size",
        lambda f: tifffile.imwrite(f / "slice_rec0007.tif", np.zeros((4, 4), np.uint16)),
        refused,
        "slice_rec0007.tif",
    ),
    slices("one cut off", lambda f: (f / "slice_rec0007.tif").write_bytes(b"II*\0"), refused, "slice_rec0007.tif"),
    slices(
        "two series", lambda f: [shutil.copy(p, f / p.name.replace("slice", "other")) for p in list(f.glob("*.tif"))], refused, "2 series"
    ),
    slices("voxel size not a number", _log({"Pixel Size (um)": "nan"}), refused, "slice_rec.log|slices", "Pixel Size (um)"),
    slices("voxel size of 0", _log({"Pixel Size (um)": "0"}), refused, "slice_rec.log|slices", "Pixel Size (um)"),
    slices("voxel size in words", _log({"Pixel Size (um)": "fine"}), refused, "slice_rec.log", "Pixel Size (um)"),
    slices("voxel size missing", lambda f: (f / "slice_rec.log").unlink(), refused, "slices", "voxel"),
    slices("voxel size in mm, said so", _log({"Pixel Size (um)": "1.3 mm"}), told, "Pixel Size (um)"),
    slices(
        "window the wrong way round",
        _log({"Maximum for CS to Image Conversion": "-1"}),
        refused,
        "slice_rec.log|slices",
        "CS to Image Conversion",
    ),
    slices("window in words", _log({"Maximum for CS to Image Conversion": "bright"}), refused, "slice_rec.log", "CS to Image Conversion"),
    slices("window of 1e9", _log({"Maximum for CS to Image Conversion": "1e9"}), told, "CS to Image Conversion|1/mm"),
    slices("centre in words", _log({"Center (mm)": "left"}), refused, "slice_rec.log|slices", "Center (mm)"),
    slices("centre of two numbers", _log({"Center (mm)": "1 2"}), refused, "slice_rec.log|slices", "Center (mm)"),
    slices("12 bit in uint16, no window", _twelve_bit, told, "4095|12", "--window|--mu"),
    slices("fewer than the log says", lambda f: (f / "slice_rec0015.tif").unlink(), told, "Sections Count"),
    refused("slices: an empty folder", lambda r: r.simulate(r.home), "home"),
    refused("slices: a folder of documents", lambda r: r.simulate(r.documents()), "papers"),
]

OWN = [
    own("sound", lambda f: None, fine),
    own("a group for the volume", group("volume"), refused, "volume.h5", "volume"),
    own("no volume", drop("volume"), refused, "volume.h5", "volume"),
    own("no facts", drop("facts"), refused, "volume.h5", "facts"),
    own("facts not JSON", put("facts", "{"), refused, "volume.h5", "facts"),
    own("facts a list", put("facts", "[1]"), refused, "volume.h5", "facts"),
    own("facts a number", put("facts", 4), refused, "volume.h5", "facts"),
    own("a group for the facts", group("facts"), refused, "volume.h5", "facts"),
    own("no voxel size", attr("volume", "voxel_mm", None), refused, "volume.h5", "voxel_mm"),
    own("voxel size in words", attr("volume", "voxel_mm", "fine"), refused, "volume.h5", "voxel_mm"),
    own("voxel size not a number", attr("volume", "voxel_mm", float("nan")), refused, "volume.h5", "voxel_mm"),
    own("voxel size of three numbers", attr("volume", "voxel_mm", (1.3, 1.3, 5.0)), refused, "volume.h5", "voxel_mm"),
    own("centre of two numbers", attr("volume", "center_mm", (1.0, 2.0)), refused, "volume.h5", "center_mm"),
    own("centre in words", attr("volume", "center_mm", "left"), refused, "volume.h5", "center_mm"),
    own("two dimensions", put("volume", np.zeros((4, 4), np.float32)), refused, "volume.h5"),
    own("words", put("volume", np.full((4, 4, 4), b"a")), refused, "volume.h5"),
    own("records", put("volume", np.zeros((4, 4, 4), [("a", "f4")])), refused, "volume.h5"),
]

ZARR = [
    zarr("sound", lambda f: None, fine),
    zarr("chunks missing", _without_chunks, refused, "volume.ome.zarr", "chunk|missing"),
    zarr("no chunk at all", _without_any_chunk, refused, "volume.ome.zarr", "chunk|missing"),
    zarr("a chunk of zeros", _chunk_of_zeros, refused, "volume.ome.zarr"),
    zarr("no description", lambda f: (f / ".zattrs").unlink(), refused, "volume.ome.zarr"),
    zarr("description not JSON", lambda f: (f / ".zattrs").write_text("{"), refused, "volume.ome.zarr"),
    zarr("scale zero", _zattrs(_scale([0, 0, 0])), refused, "volume.ome.zarr", "scale|voxel"),
    zarr("scale negative", _zattrs(_scale([-1.0, -1.0, -1.0])), refused, "volume.ome.zarr", "scale|voxel"),
    zarr("scale in words", _zattrs(_scale(["a", "b", "c"])), refused, "volume.ome.zarr"),
    zarr("scale of one number", _zattrs(_scale([1.0])), refused, "volume.ome.zarr"),
    zarr("in parsec", _zattrs(_unit), refused, "volume.ome.zarr", "parsec"),
    zarr("no unit at all", _zattrs(_no_units), told, "volume.ome.zarr", "unit"),
    zarr("no datasets", _zattrs(lambda c: c["multiscales"][0].update(datasets=[])), refused, "volume.ome.zarr"),
    refused("zarr: an empty folder", lambda r: ((r.path / "x.zarr").mkdir(), r.simulate(r.path / "x.zarr"))[1], "x.zarr"),
]


CASES: list[Case] = [*SLICES, *OWN, *ZARR]
