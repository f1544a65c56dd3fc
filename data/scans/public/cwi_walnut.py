"""The walnuts of CWI (Der Sarkissian et al., Scientific Data 6 (2019) 215): folders ``Walnut1/Projections/tubeV1`` to ``tubeV3``.

An orbit has ``scan_000000.tif`` and so on, ``io*.tif`` (open beam), ``di*.tif`` (no beam) and ``scan_geom_corrected.geom``: a line a
view, source, centre of the panel, column step and row step in mm. The detector stood on its side, and its images are numbered against the
lines of the geometry, as the authors' scripts read them (github.com/cicwi/WalnutReconstructionCodes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....base import InputError
from ....base.shapes import FloatVolume, Image, Real
from ....geometry import Grid, Scan
from ...images.binning import bin_views
from ...images.image_files import ImageFiles, list_images, read_image
from ..raw import RawSource

GEOMETRY = "scan_geom_corrected.geom"
REFERENCE = "full_AGD_50_"  # Reconstructions/full_AGD_50_000000.tiff ...: from all three orbits, 50 iterations
REFERENCE_MM = 0.1
Orbit = Annotated[int, Field(ge=1, le=3, description="1 (high), 2 (middle) or 3 (low)")]


class _OnItsSide:
    """Images of a detector that stood on its side, as an `ImageStack` of upright ones."""

    def __init__(self, files: ImageFiles) -> None:
        count, rows, cols = files.shape
        self.files, self.shape, self.dtype = files, (count, cols, rows), files.dtype

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image:
        return _upright(self.files[index])

    def name(self, index: int) -> str:
        """The file of view ``index``."""
        return self.files.name(index)


def is_cwi(path: Path) -> bool:
    """Whether this is the folder of an orbit, or of a walnut with its orbits."""
    return path.is_dir() and ((path / GEOMETRY).is_file() or any((path / "Projections").glob(f"tubeV*/{GEOMETRY}")))


def open_cwi_walnut(path: Path, *, orbit: Orbit = 2) -> RawSource:
    """The counts of one orbit with its vectors, flats and dark; ``orbit`` counts where ``path`` is the folder of a walnut.

    View i is the image that is i-th from the end. A last view that repeats the place of the first is left out. Raises InputError for a
    number of images that is not that of the lines, and FileNotFoundError for a missing open beam or dark image.
    """
    folder = path if (path / GEOMETRY).is_file() else path / "Projections" / f"tubeV{orbit}"
    if not (folder / GEOMETRY).is_file():
        raise FileNotFoundError(f"the geometry {folder / GEOMETRY} is not there")
    vectors = _vectors(folder / GEOMETRY)
    images = list_images(folder)
    views, flats, darks = ([p for p in images if p.name.startswith(start)] for start in ("scan_", "io", "di"))
    for what, found in (("open beam io*.tif", flats), ("dark di*.tif", darks)):
        if not found:
            raise FileNotFoundError(f"{folder} has no {what}")
    if len(views) != len(vectors):
        raise InputError(f"{folder} has {len(views)} images scan_*.tif", expected=f"{len(vectors)}, the lines of {GEOMETRY}")
    closes = len(vectors) > 2 and np.linalg.norm(vectors[-1, :3] - vectors[0, :3]) < 0.1 * np.linalg.norm(vectors[1, :3] - vectors[0, :3])
    kept = len(vectors) - 1 if closes else len(vectors)
    stack = _OnItsSide(ImageFiles(views[::-1][:kept]))
    source, detector, u, v = (vectors[:kept, 3 * k : 3 * k + 3] for k in range(4))
    angles = np.degrees(np.unwrap(np.arctan2(source[:, 0], -source[:, 1])))
    flat, dark = (np.stack([_upright(read_image(p)) for p in found]).astype(np.float32) for found in (flats, darks))
    facts = {"format": "CWI walnut", "source": str(folder)}
    return RawSource(stack, Scan(stack.shape[1:], source, detector, u, v, angles), flat, dark, facts)


def cwi_reference(walnut: Path, binning: int = 1) -> tuple[FloatVolume, Grid]:
    """The authors' reconstruction from all three orbits in 1/mm, averaged over blocks of ``binning`` voxels, and its grid."""
    folder = walnut / "Reconstructions"
    found = [p for p in list_images(folder) if p.name.startswith(REFERENCE)] if folder.is_dir() else []
    if not found:
        raise FileNotFoundError(f"the reference {folder / (REFERENCE + '*.tiff')} is not there")
    files = ImageFiles(found)
    whole = [n // binning * binning for n in files.shape]
    volume = np.zeros([n // binning for n in whole], np.float32)
    for index in range(whole[0]):
        volume[index // binning] += bin_views(files[index][: whole[1], : whole[2]], binning) / np.float32(binning)
    z, y, x = (REFERENCE_MM * (w - n) / 2 for w, n in zip(whole, files.shape, strict=True))
    return volume, Grid((volume.shape[0], volume.shape[1], volume.shape[2]), REFERENCE_MM * binning, (x, y, z))


def _upright(image: Image) -> Real[NDArray, "col row"]:
    return np.ascontiguousarray(np.flipud(image).T)


def _vectors(path: Path) -> np.ndarray:
    try:
        vectors = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error})", expected="twelve numbers a line") from None
    if vectors.shape[1:] != (12,) or not np.isfinite(vectors).all():
        raise InputError(f"{path} has an array of shape {vectors.shape}", expected="twelve finite numbers a line")
    return vectors
