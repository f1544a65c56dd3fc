"""Images that a detector cannot have made, or that say something is wrong with the scan."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hostile_case import Case, refused, right, right_or_told, told, warned
from hostile_room import noise, scaled, with_view
from hostile_world import AIR, ROWS, VIEWS, cone_integrals, counts_of, log_text, sound_counts
from numpy.typing import NDArray


def images(name: str, counts: Callable[[], Any], kind: Callable[..., Case], *says: str) -> Case:
    """A case of the sound log with these images."""
    return kind(name, lambda r: r.recon(r.scan(counts=counts())), *says)


def folder(name: str, then: Callable[[Path], object], kind: Callable[..., Case], *says: str) -> Case:
    """A case of the sound scan with something done to its folder."""
    return kind(name, lambda r: r.recon(r.scan(then=then)), *says)


def one(path: Path, view: int = 7) -> Path:
    """The file of one view."""
    return path / f"souris_{view:08d}.tif"


def _indexed(index: Any) -> NDArray[Any]:
    return sound_counts()[np.asarray(index)]


def _repeat(first: int, last: int) -> NDArray[Any]:
    index = np.arange(VIEWS)
    index[first:last] = first
    return _indexed(index)


def _black_rows() -> NDArray[Any]:
    counts = sound_counts().copy()
    counts[5, :6] = 0
    return counts


def _nan_at_7() -> NDArray[Any]:
    counts = sound_counts().astype(np.float32)
    counts[7, 3, 4] = np.nan
    return counts


def _infinite() -> NDArray[Any]:
    counts = sound_counts().astype(np.float32)
    counts[7, 3, 4] = np.inf
    return counts


def _saturated() -> NDArray[Any]:
    return np.minimum(sound_counts().astype(np.int64) * 3, 65535).astype(np.uint16)


def _dimmed_inside() -> NDArray[Any]:
    """One view 30 % darker but at its border: something stood in the beam."""
    image = sound_counts()[7].astype(float)
    image[:, 3:-3] *= 0.7
    return with_view(7, image.astype(np.uint16))


def _colour(path: Path) -> None:
    grey = (sound_counts()[7] // 256).astype(np.uint8)
    tifffile.imwrite(one(path), np.stack([grey, grey // 2, grey], -1), photometric="rgb")


def _grey_rgb(path: Path) -> None:
    for view in range(VIEWS):
        image = sound_counts()[view]
        tifffile.imwrite(one(path, view), np.stack([image] * 3, -1), photometric="rgb")


def _pages(path: Path) -> None:
    tifffile.imwrite(one(path), sound_counts()[7:10], photometric="minisblack")


def _rewritten(**options: Any) -> Callable[[Path], None]:
    def then(path: Path) -> None:
        for view in range(VIEWS):
            tifffile.imwrite(one(path, view), sound_counts()[view], photometric="minisblack", **options)

    return then


def _linked(path: Path) -> None:
    away = path.parent / "archive"
    away.mkdir()
    for file in path.glob("*.tif"):
        file.rename(away / file.name)
        os.symlink(away / file.name, file)


def _whole_scan_in_one_file(path: Path) -> None:
    for file in path.glob("*.tif"):
        file.unlink()
    tifffile.imwrite(path / "souris_00000000.tif", sound_counts(), photometric="minisblack")


BEAM: list[Case] = [
    images("shutter closed in one view", lambda: with_view(7, noise(120, 0.03, 1)[0]), told, "7", "shutter|dark|beam"),
    images("shutter closed in all views", lambda: noise(120, 0.03), told, "shutter|dark|beam|object"),
    images("nothing in the beam", noise, told, "object|empty|air|beam"),
    images("open beam in one view", lambda: with_view(7, noise(views=1)[0]), told, "7", "object|air|beam|open"),
    images("the beam failed half way", lambda: np.concatenate([sound_counts()[:26], noise(120, 0.03)[26:]]), told, "26"),
    images("two views alike", lambda: _repeat(10, 12), told, "11", "repeat|same|identical|alike"),
    images("ten views alike", lambda: _repeat(20, 30), told, "20", "repeat|same|identical|alike"),
    images("a stage that never turned", lambda: _repeat(0, VIEWS), refused, "repeat|same|identical|alike|turn"),
    images("half of the views twice", lambda: _indexed(np.arange(VIEWS) // 2), told, "repeat|same|identical|alike"),
    images("the first half of the scan again", lambda: _indexed(np.arange(VIEWS) % 26), told, "repeat|same|identical|alike"),
    images("inverted contrast", lambda: 65535 - sound_counts(), told, "invert"),
    images("line integrals as floats", lambda: cone_integrals().astype(np.float32), told, "line integral"),
    images("line integrals as 16 bit", lambda: (cone_integrals() * 20_000).astype(np.uint16), told, "line integral|invert|negative|air"),
    images("transmission as floats", lambda: (sound_counts() / AIR).astype(np.float32), right_or_told, "air|Reference Intensity"),
    images("object wider than the panel", lambda: counts_of(cone_integrals(6.0)), told, "truncat|cut off|wider|covers the border"),
    images("object wider than the panel on one side", lambda: counts_of(cone_integrals(4.0)), told, "truncat|cut off|wider|covers|border"),
    images(
        "object wider than the panel in half of the views",
        lambda: counts_of(cone_integrals(2.7)),
        told,
        "truncat|cut off|wider|covers|border",
    ),
    images("one view 30 % darker", lambda: with_view(7, scaled(0.7)[7]), right_or_told, "7", "dark|bright"),
    images("one view twice as dark inside", _dimmed_inside, told, "7", "dark|bright|absor|attenu"),
    images("bytes in the wrong order", lambda: sound_counts().byteswap(), told, "byte|air|noise|object|beam"),
    images("saturated", _saturated, told, "saturat"),
    images(
        "exposure that fades to a half",
        lambda: (sound_counts() * np.linspace(1, 0.5, VIEWS)[:, None, None]).astype(np.uint16),
        right_or_told,
        "air|dark|bright|Reference Intensity",
    ),
    images("all zero", lambda: np.zeros_like(sound_counts()), refused, "souris_00000000.tif"),
    images("all alike", lambda: np.full_like(sound_counts(), 57_000), refused, "souris_00000000.tif"),
    images("one view all zero", lambda: with_view(7, np.zeros_like(sound_counts()[7])), refused, "souris_00000007.tif"),
    images("six black rows in a view", _black_rows, refused, "souris_00000005.tif"),
    images("not a number in a view", _nan_at_7, refused, "souris_00000007.tif", "row 3, col 4"),
    images("infinite in a view", _infinite, refused, "souris_00000007.tif"),
    images("negative counts", lambda: sound_counts().astype(np.int32) - 70_000, refused, "souris_00000000.tif"),
]

FILES: list[Case] = [
    images("counts as floats", lambda: sound_counts().astype(np.float32), right),
    images("counts as 32-bit whole numbers", lambda: sound_counts().astype(np.int32), right),
    images("counts in double precision", lambda: sound_counts().astype(np.float64), right),
    images("counts as 8 bit", lambda: (sound_counts() // 256).astype(np.uint8), right_or_told, "8"),
    images("complex numbers", lambda: sound_counts().astype(np.complex64), refused, "souris_00000000.tif"),
    images(
        "one view of another type",
        lambda: [*sound_counts()[:7], sound_counts()[7].astype(np.float32), *sound_counts()[8:]],
        refused,
        "souris_00000007.tif",
    ),
    images(
        "one view of another size",
        lambda: [*sound_counts()[:7], sound_counts()[7][:, :-1], *sound_counts()[8:]],
        refused,
        "souris_00000007.tif",
    ),
    images("turned on their sides", lambda: sound_counts().transpose(0, 2, 1), refused, "pixels"),
    folder("a view in colour", _colour, refused, "souris_00000007.tif"),
    folder("grey as colour", _grey_rgb, right),
    folder("three pages in a view", _pages, refused, "souris_00000007.tif"),
    folder("the whole scan in one file", _whole_scan_in_one_file, refused, "souris_"),
    folder("big-endian", _rewritten(byteorder=">"), right),
    folder("compressed", _rewritten(compression="zlib"), right),
    folder("in tiles", _rewritten(tile=(16, 16)), right),
    folder("links to an archive", _linked, right),
    folder("a link to nowhere", lambda f: (one(f).unlink(), os.symlink("gone.tif", one(f))), refused, "souris_00000007.tif"),
    folder("a view missing", lambda f: one(f).unlink(), refused, "souris_00000007.tif"),
    folder("the first view missing", lambda f: one(f, 0).unlink(), refused, "Number Of Files|souris_00000000.tif"),
    folder("the last view missing", lambda f: one(f, VIEWS - 1).unlink(), refused, "Number Of Files"),
    folder("a number twice", lambda f: (f / "souris_7.tif").write_bytes(one(f).read_bytes()), right_or_told, "same number"),
    folder("a view cut off", lambda f: one(f).write_bytes(one(f).read_bytes()[:700]), refused, "souris_00000007.tif"),
    folder("a view cut off in its pixels", lambda f: one(f).write_bytes(one(f).read_bytes()[:-200]), refused, "souris_00000007.tif"),
    folder("an empty view", lambda f: one(f).write_bytes(b""), refused, "souris_00000007.tif"),
    folder("a page of the web for a view", lambda f: one(f).write_bytes(b"<html>404 Not Found</html>"), refused, "souris_00000007.tif"),
    folder("the first view is no image", lambda f: one(f, 0).write_bytes(b"II*\0" + bytes(60)), refused, "souris_00000000.tif"),
    folder("a folder named like a view", lambda f: (one(f).unlink(), one(f).mkdir()), refused, "souris_00000007.tif"),
    folder("a stranger's TIFF beside them", lambda f: tifffile.imwrite(f / "holiday.tif", np.zeros((3, 3), np.uint8)), right),
    folder("a scout beside them", lambda f: tifffile.imwrite(f / "souris__spr.tif", np.zeros((3, 3), np.uint8)), right),
    folder(
        "files of a system beside them",
        lambda f: (
            (f / "Thumbs.db").write_bytes(b"x"),
            (f / "._souris_00000000.tif").write_bytes(b"x"),
            (f / "notes.log").write_text("hello"),
        ),
        right,
    ),
    refused("a file that is no scan", lambda r: r.recon(r.file("data.txt", "hello")), "data.txt"),
    refused("a scan that is not there", lambda r: r.recon(r.path / "nowhere"), "nowhere"),
    refused("TIFFs without a log", lambda r: r.recon(r.pictures()), "log"),
    warned(
        "the object in a tenth of the border",
        lambda r: r.recon(r.scan(counts=counts_of(cone_integrals(2.4)))),
        "truncat|cut off|covers|border",
    ),
]

CASES = [*BEAM, *FILES]
_ = (ROWS, log_text)
