"""OME-TIFF volumes: one file with a plane for each slice. The voxel size is kept as PhysicalSize and as TIFF resolution, the centre of the
grid as a map annotation.

TIFFs of other programs are read too. Nothing is taken on trust: the pages must be there, and there must be as many as the metadata says.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.memory import require_memory
from ....base.outputs.ownership import SIGNATURE
from ....base.shapes import AnyVolume
from ....geometry import Grid
from ...images.image_files import resolution_tags
from ..slabs.contiguous import OnePiece, nothing_more
from ..slabs.contract import bytes_of
from ..volume_format import Option, VolumeFormat, one_of
from ..voxel_size import SAY_VOXEL, center_from, grid_of, one_size, unit_in_mm

_NAMESPACE = "fewview"
_OME_EDGES = ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ")
_IMAGEJ_EDGES = ("1/XResolution", "1/YResolution", "spacing of slices")
_LONGEST_XML = 64 * 2**20  # characters; the text for a thousand planes of Bio-Formats is below one MiB


def write_ome_tiff(volume: AnyVolume, grid: Grid, path: Path, *, compression: str | None = None) -> None:
    """Write a volume; ``compression`` is None or "zlib". Programs that do not know OME find the pixel size in the resolution tags."""
    import tifffile

    tifffile.imwrite(path, volume, compression=compression, **_arguments(grid, volume.nbytes))


def _arguments(grid: Grid, size: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"axes": "ZYX"}
    for axis in "XYZ":
        facts |= {f"PhysicalSize{axis}": grid.voxel_mm, f"PhysicalSize{axis}Unit": "mm"}
    facts["MapAnnotation"] = {"Namespace": _NAMESPACE, "center_mm": " ".join(repr(c) for c in grid.center_mm)}
    big = size > 2**32 - 2**26
    own = {"ome": True, "bigtiff": big, "photometric": "minisblack", "software": SIGNATURE}
    return {"metadata": facts, **own, **resolution_tags(grid.voxel_mm)}


def _make(path: Path, grid: Grid) -> None:
    """The file of a volume that is written later. Its UUID, which is random elsewhere, follows from the grid, so that the same volume makes
    the same file.
    """
    import tifffile

    tifffile.imwrite(path, shape=grid.shape, dtype=np.dtype("<f4"), byteorder="<", **_arguments(grid, bytes_of(grid)))
    before = _offset(path)
    with path.open("r+b") as file:
        for place, size in ((0, before), (before + bytes_of(grid), -1)):  # the text lies before the voxels or behind them
            file.seek(place)
            text = file.read(size)
            if found := re.search(rb'UUID="urn:uuid:([0-9a-f-]{36})"', text):
                file.seek(place + found.start(1))
                file.write(str(uuid.uuid5(uuid.NAMESPACE_URL, repr(grid))).encode())


def _offset(path: Path) -> int:
    import tifffile

    with tifffile.TiffFile(path, is_ome=False) as tif:
        first: Any = tif.pages[0]
        return int(first.dataoffsets[0])


def read_tiff_volume(path: Path, voxel_mm: float | None = None) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume of the file's type, grid, facts) of an OME-TIFF, an ImageJ TIFF or any multi-page TIFF.

    Raises InputError naming the file where it is broken, is not one volume, or does not state its voxel size and ``voxel_mm`` is not given.
    """
    return _read(path, voxel_mm, _loaded)


def open_tiff_volume(path: Path, voxel_mm: float | None = None) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """`read_tiff_volume`, but the voxels stay in the file (a memory map) where they lie there in one piece, as fewview writes them."""
    return _read(path, voxel_mm, lambda series: _mapped(series, path))


def _loaded(series: Any) -> NDArray[Any]:
    return series.asarray()


def _mapped(series: Any, path: Path) -> NDArray[Any]:
    """The voxels of one piece of uncompressed pages, left in the file; others are read."""
    if series.dataoffset is None:
        return series.asarray()
    order = series.keyframe.parent.byteorder
    return np.memmap(path, series.dtype.newbyteorder(order), "r", int(series.dataoffset), tuple(series.shape))


def _read(path: Path, voxel_mm: float | None, load: Callable[[Any], NDArray[Any]]) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    import tifffile

    try:
        with tifffile.TiffFile(path, is_ome=False) as tif:  # what tifffile makes of OME-XML allocates whatever that XML asks for
            first: Any = tif.pages[0] if len(tif.pages) else None
            if first is None:
                raise InputError(f"{path} holds no image", expected="a whole TIFF volume", remedy="copy it again from its source")
            ome = _parse_ome(first.description, path) if "<OME" in first.description[:4096] else None
            if ome is None and path.name.lower().endswith((".ome.tif", ".ome.tiff")):
                raise InputError(
                    f"{path} has no OME-XML that can be read", expected="a whole OME-TIFF", remedy="copy it again, or name it .tif"
                )
            _check_whole(tif, path)
            array = _read_planes(tif, path, load)
            if ome is not None:
                array = array[ome.order(len(array), array.shape, path)]
            sizes, center = _sizes(tif, ome, path, voxel_mm)
    except InputError:
        raise
    except Exception as error:  # tifffile, zlib and numpy each have their own ways to fail on a broken file
        raise InputError(f"{path} cannot be read ({error})", expected="a whole TIFF volume", remedy="copy it again") from error
    voxel = None if sizes is None else one_size(sizes, path, voxel_mm, _OME_EDGES if ome else _IMAGEJ_EDGES)
    grid = grid_of(array.shape, voxel, path, center_mm=center, given=voxel_mm)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")), grid, {"format": "OME-TIFF" if ome else "TIFF"}


def _check_whole(tif: Any, path: Path) -> None:
    """InputError for a file that ends before its pages or pixels do; tifffile would leave them out or fill them with zeros."""
    size, last = tif.filehandle.size, tif.pages[-1]
    tif.filehandle.seek(last.offset)
    (tags,) = struct.unpack(tif.tiff.tagnoformat, tif.filehandle.read(tif.tiff.tagnosize))
    tif.filehandle.seek(last.offset + tif.tiff.tagnosize + tags * tif.tiff.tagsize)
    (following,) = struct.unpack(tif.tiff.offsetformat, tif.filehandle.read(tif.tiff.offsetsize))
    ends = [offset + count for page in tif.pages for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    empty = any(not page.databytecounts or 0 in page.databytecounts for page in tif.pages)
    if following or empty or max(ends) > size:
        raise InputError(
            f"{path} ends too early: {size} bytes and {len(tif.pages)} pages are there, but more should follow",
            expected="a whole TIFF volume",
            remedy="copy it again from its source",
        )


def _read_planes(tif: Any, path: Path, load: Callable[[Any], NDArray[Any]]) -> AnyVolume:
    """The volume of all pages, with pages of any kind along z. InputError for colour, several kinds of images, or more than three axes."""
    page = tif.pages[0]
    if page.samplesperpixel != 1 or page.photometric not in (0, 1):
        raise InputError(
            f"{path} holds colour images ({page.samplesperpixel} values per pixel, {getattr(page.photometric, 'name', page.photometric)})",
            expected="grey values",
            remedy="convert it to 8 or 16 bit grey (ImageJ: Image, Type)",
        )
    if page.dtype is None or page.dtype.kind not in "buif":
        raise InputError(f"{path} holds values of type {page.dtype or f'{page.bitspersample} bit'}", expected="real numbers")
    kinds = {(series.shape, series.axes, series.dtype) for series in tif.series}
    if len(kinds) > 1:
        raise InputError(f"{path} holds {len(tif.series)} images of {len(kinds)} kinds", expected="one volume")
    if load is _loaded or len(tif.series) > 1:
        require_memory(sum(series.nbytes for series in tif.series), f"the volume of {path}")
    planes = [_planes(load(series), series.axes, path) for series in tif.series]
    array = planes[0] if len(planes) == 1 else np.concatenate(planes)
    stated = (tif.imagej_metadata or {}).get("images", len(array)) if tif.is_imagej else len(array)
    if stated != len(array):
        lost = f"{path} ends too early: {len(array)} of {stated} slices are there"
        raise InputError(lost, expected="a whole TIFF", remedy="copy it again")
    if page.photometric == 0:  # white is zero
        if array.dtype.kind != "u":
            raise InputError(f"{path} has inverted values (WhiteIsZero) of type {array.dtype}", expected="grey values")
        array = np.iinfo(array.dtype).max - array
    return array.astype(np.uint8) if array.dtype == bool else array


def _planes(array: NDArray[Any], axes: str, path: Path) -> NDArray[Any]:
    long = [(n, axis) for n, axis in zip(array.shape, axes, strict=True) if n != 1 and axis not in "YX"]
    if axes[-2:] != "YX" or len(long) > 1 or any(axis not in "ZIQ" for _, axis in long):
        raise InputError(f"{path} holds an array {array.shape} with the axes {axes}", expected="one volume (z, y, x)")
    return array.reshape(-1, *array.shape[-2:])


@dataclass(frozen=True)
class _Ome:
    """The facts in OME-XML: the sizes of the axes, the page of each plane, the edges of a voxel (as text, with units), and the centre in
    mm.
    """

    size: dict[str, int]
    pages: tuple[tuple[int, int, int], ...]
    """(first plane, first page, planes) of each TiffData; empty where they are in order."""
    edges: tuple[tuple[str, str], ...]
    center_mm: tuple[float, ...]

    def order(self, pages: int, shape: tuple[int, ...], path: Path) -> NDArray[np.intp] | slice:
        """The page of each plane; InputError where the pages are not as many or not as large as the metadata says."""
        z, y, x = (self.size[axis] for axis in "ZYX")
        if self.size["C"] != 1 or self.size["T"] != 1:
            raise InputError(f"{path} holds {self.size['C']} channels and {self.size['T']} times", expected="one volume (z, y, x)")
        if (z, y, x) != (pages, *shape[1:]):
            raise InputError(
                f"{path} holds {pages} pages of {shape[1]} x {shape[2]}",
                expected=f"{z} of {y} x {x}, as its OME-XML says",
                remedy="copy it again from its source",
            )
        if not self.pages:
            return slice(None)
        place = np.full(z, -1, dtype=np.intp)
        for plane, page, count in self.pages:
            if min(plane, page, count) < 0 or max(plane, page) + count > z:
                raise InputError(f"{path}: its OME-XML puts {count} planes on page {page}", expected=f"pages 0 to {z - 1}")
            place[plane : plane + count] = np.arange(page, page + count)
        if not np.array_equal(np.sort(place), np.arange(z)):
            raise InputError(f"{path}: its OME-XML does not say on which page each of {z} planes is", expected="each page once")
        return slice(None) if np.array_equal(place, np.arange(z)) else place


def _parse_ome(xml: str, path: Path) -> _Ome:
    """The facts in OME-XML; InputError for XML that is broken, defines entities, or refers to other files."""
    if len(xml) > _LONGEST_XML or re.search(r"<!\s*(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise InputError(
            f"{path}: its OME-XML defines entities or is very long", expected="plain OME-XML", remedy="write it again with Fiji"
        )
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME-XML cannot be parsed ({error})", expected="OME-XML", remedy="copy it again") from error
    tag = root.tag.removesuffix("OME")
    images = root.findall(f"{tag}Image/{tag}Pixels")
    if len(images) != 1:
        raise InputError(f"{path}: its OME-XML describes {len(images)} images", expected="one volume")
    own = root.attrib.get("UUID")
    for place in images[0].iter(f"{tag}UUID"):
        if "FileName" in place.attrib and (own is None or (place.text or "").strip() != own) and place.attrib["FileName"] != path.name:
            raise InputError(
                f"{path} is one of several files: a plane is in {place.attrib['FileName']}",
                expected="a volume in one file",
                remedy="save it as one OME-TIFF (Bio-Formats Exporter), or give the folder of slices",
            )
    center = root.find(f".//{tag}MapAnnotation[@Namespace='{_NAMESPACE}']/{tag}Value/{tag}M[@K='center_mm']")
    facts, data = images[0].attrib, images[0].findall(f"{tag}TiffData")
    try:
        size = {axis: int(facts[f"Size{axis}"]) for axis in "XYZCT"}
        pages = tuple(
            (int(d.get("FirstZ", 0)), int(d.get("IFD", 0)), int(d.get("PlaneCount", 1 if "IFD" in d.attrib else size["Z"]))) for d in data
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: its OME-XML lacks a size, or has one that is no number ({error})", expected="OME-XML") from error
    edges = tuple((facts.get(f"PhysicalSize{axis}", ""), facts.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XYZ")
    return _Ome(size, pages, edges, (0.0, 0.0, 0.0) if center is None else center_from(center.text or "", path, "center_mm"))


def _sizes(tif: Any, ome: _Ome | None, path: Path, given: float | None) -> tuple[list[float] | None, tuple[float, ...]]:
    """The edges (x, y, z) of a voxel in mm, or None where they are not stated, and the centre."""
    if given is not None or ome is None:
        return (None if given is not None else _imagej_edges(tif, path)), (0.0, 0.0, 0.0) if ome is None else ome.center_mm
    if not all(text for text, _ in ome.edges):
        return None, ome.center_mm
    return [_length(text, path, axis) * unit_in_mm(unit, path) for axis, (text, unit) in zip("XYZ", ome.edges, strict=True)], ome.center_mm


def _length(text: str, path: Path, axis: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: its OME-XML has PhysicalSize{axis}={text!r}", expected="a length", remedy=SAY_VOXEL) from error


def _imagej_edges(tif: Any, path: Path) -> list[float] | None:
    """The edges of a voxel in an ImageJ file, which keeps slice spacing and unit in its description and pixels per unit in the resolution
    tags.
    """
    facts, tags = (tif.imagej_metadata or {}) if tif.is_imagej else {}, tif.pages[0].tags
    if "spacing" not in facts or facts.get("unit", "pixel") in ("pixel", "") or "XResolution" not in tags or "YResolution" not in tags:
        return None
    mm = unit_in_mm(str(facts["unit"]), path)
    edges = []
    for name in ("XResolution", "YResolution"):
        above, below = tags[name].value
        if not above or not below:
            return None
        edges.append(below / above * mm)
    spacing = float(facts["spacing"]) * mm
    near = spacing > 0 and all(abs(edge / spacing - 1) < 1e-4 for edge in edges)  # text is exact, a fraction of whole numbers is not
    return [spacing] * 3 if near else [*edges, spacing]


FORMAT = VolumeFormat(
    "OME-TIFF",
    (".ome.tif", ".ome.tiff"),
    read_tiff_volume,
    lambda volume, grid, path, kept, **options: write_ome_tiff(volume, grid, path, **options),
    "values, voxel size, centre",
    also_read=(".tif", ".tiff"),
    write_options=(Option("compression", "a lossless scheme", one_of("zlib", None)),),
    slabs=lambda path, grid, height: OnePiece(path, grid, _make, _offset, nothing_more),
    open=open_tiff_volume,
)
