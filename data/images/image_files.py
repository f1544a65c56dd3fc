"""Single grey images on disk (TIFF, PNG, BMP), read whole or only their headers, and a series of them as a stack."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.natural_key import natural_key
from ...base.shapes import Image

TIFF_ENDINGS = (".tif", ".tiff")
IMAGE_ENDINGS = (*TIFF_ENDINGS, ".png", ".bmp")
_TIFF_MM = (1e-6, 1e5)  # limits of a TIFF, which states pixels per centimetre as a fraction of two 32-bit numbers


def list_images(folder: Path, endings: Sequence[str] = IMAGE_ENDINGS) -> list[Path]:
    """The image files of a folder in natural order; hidden files are left out."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith(".") and p.is_file()]
    return sorted(found, key=lambda p: natural_key(p.name))


def read_image(path: str | Path) -> Image:
    """One grey image [row, col] of 8-bit, 16-bit or float values, as the file has them. A colour image with equal channels counts as grey.

    Raises FileNotFoundError, and InputError naming the file for one that is truncated, not an image, in colour, or of several pages.
    """
    path = Path(path)
    with _decoding(path) as is_tiff:
        image = _read_tiff(path) if is_tiff else _read_with_imageio(path)
    return _one_channel(image, path)


def image_header(path: str | Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """((rows, cols), type) of a grey image from its header, without reading pixels. The errors are those of `read_image`."""
    path = Path(path)
    with _decoding(path) as is_tiff:
        shape, dtype = _tiff_header(path) if is_tiff else _imageio_header(path)
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape or dtype.kind not in "uif":
        raise InputError(f"{path} holds an image of shape {shape}, {dtype}", expected="a grey image (row, col)")
    return (shape[0], shape[1]), dtype.newbyteorder("=")


@contextmanager
def _decoding(path: Path) -> Iterator[bool]:
    """Whether the file is a TIFF. Each decoder has its own exceptions; here all of them mean that the file cannot be read."""
    if not path.is_file():
        raise FileNotFoundError(f"image {path} is not there")
    if path.suffix.lower() not in IMAGE_ENDINGS:
        raise InputError(f"{path} ends in {path.suffix!r}", expected=f"one of {', '.join(IMAGE_ENDINGS)}")
    try:
        yield path.suffix.lower() in TIFF_ENDINGS
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be read ({error})", expected="a whole image file", remedy="copy it again from its source"
        ) from error


@contextmanager
def _only_page(path: Path) -> Iterator[Any]:
    import tifffile

    with tifffile.TiffFile(path) as tif:
        if len(tif.pages) > 1:
            raise InputError(
                f"{path} has {len(tif.pages)} pages", expected="one image per file", remedy="read a multi-page TIFF as a volume"
            )
        page: Any = tif.pages[0] if len(tif.pages) else None
        if page is None or not page.databytecounts or not all(page.databytecounts):  # tifffile would fill what was never written with zeros
            raise InputError(f"{path} was not written to its end", expected="a whole TIFF", remedy="copy it again from its source")
        yield page


def _read_tiff(path: Path) -> NDArray[Any]:
    with _only_page(path) as page:
        return np.asarray(page.asarray())


def _tiff_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with _only_page(path) as page:
        if page.dtype is None:
            raise InputError(f"{path} holds {page.bitspersample} bits per pixel", expected="8 or 16 bits, or real numbers")
        return tuple(int(n) for n in page.shape), np.dtype(page.dtype)


def _read_with_imageio(path: Path) -> NDArray[Any]:
    import imageio.v3 as iio

    return np.asarray(iio.imread(path))


def _imageio_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    import imageio.v3 as iio

    found = iio.improps(path)
    return tuple(int(n) for n in found.shape), np.dtype(found.dtype)


def _one_channel(image: NDArray[Any], path: Path) -> NDArray[Any]:
    if image.ndim == 3 and image.shape[2] in (3, 4) and (image[..., :3] == image[..., :1]).all():
        image = image[..., 0]
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "uif":
        raise InputError(f"{path} holds an image of shape {image.shape}, {image.dtype}", expected="a grey image (row, col)")
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def write_image(path: Path, image: Image, pixel_mm: float | None = None) -> None:
    """Write one grey image of uint8 or uint16 (BMP: only uint8) in the format that the ending states. A TIFF keeps the pixel size."""
    if path.suffix.lower() in TIFF_ENDINGS:
        import tifffile

        tifffile.imwrite(path, image, photometric="minisblack", **resolution_tags(pixel_mm))
    else:
        import imageio.v3 as iio

        iio.imwrite(path, image)


def resolution_tags(pixel_mm: float | None) -> dict[str, Any]:
    """Arguments for tifffile that write a pixel size into the tags that every TIFF reader knows; none for a size that does not fit them."""
    if pixel_mm is None or not _TIFF_MM[0] <= pixel_mm <= _TIFF_MM[1]:
        return {}
    return {"resolution": (10 / pixel_mm, 10 / pixel_mm), "resolutionunit": "CENTIMETER"}


def _warn_of_odd_lengths(files: Sequence[Path], pixel_bytes: int) -> None:
    """Warn of the few files whose length differs among uncompressed TIFFs of one length: added or lost bytes shift the pixels.

    Each such image still decodes by itself (one shorter than its ``pixel_bytes`` does not, and raises an error when it is read). Lengths
    that differ in many files come from the texts in their headers.
    """
    lengths = [path.stat().st_size if path.is_file() else 0 for path in files]
    (usual, _), *_ = Counter(lengths).most_common(1)
    odd = [index for index, length in enumerate(lengths) if length not in (usual, 0)]
    if (
        usual < pixel_bytes
        or not odd
        or len(odd) > max(1, len(files) // 50)
        or files[0].suffix.lower() not in TIFF_ENDINGS
        or _compressed(files[0])
    ):
        return
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    warnings.warn(
        f"{files[odd[0]]}{more}: {lengths[odd[0]]} bytes, where the other images have {usual}: bytes were added or lost, which shifts the "
        "pixels after them; copy the file again from its source, or leave the view out",
        stacklevel=3,
    )


def _compressed(path: Path) -> bool:
    with _decoding(path), _only_page(path) as page:
        return int(page.compression) != 1


class ImageFiles:
    """Image files as an `ImageStack`: ``files[i]`` reads file i and compares it with the first, of which only the header is read.

    Raises InputError naming the file whose size or type differs.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise InputError("no image file was given", expected="at least one")
        self.files = tuple(files)
        (rows, cols), self.dtype = image_header(self.files[0])
        self.shape = (len(self.files), rows, cols)
        _warn_of_odd_lengths(self.files, rows * cols * self.dtype.itemsize)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image:
        image = read_image(self.files[index])
        if image.shape != self.shape[1:] or image.dtype != self.dtype:
            raise InputError(
                f"{self.files[index]} is {image.shape} {image.dtype}",
                expected=f"{self.shape[1:]} {self.dtype} (row, col) like {self.files[0].name}",
                remedy="keep the images of one scan in one folder",
            )
        return image

    def name(self, index: int) -> str:
        """The file of image ``index``."""
        return str(self.files[index])
