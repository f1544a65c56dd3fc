"""The layout of R2-Gaussian (Zha et al., NeurIPS 2024): a folder with ``meta_data.json``, and one .npy or .tif of line integrals a view."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ....base import InputError
from ....base.memory import require_memory
from ....base.shapes import Image, Volume
from ....geometry import Grid, Scan
from ...images.image_files import read_image
from ...projections import Projections

META = "meta_data.json"


def is_r2(path: Path) -> bool:
    """Whether this is the folder of a scene, or its meta_data.json."""
    return (path / META).is_file() or (path.is_file() and path.name == META)


def open_r2(path: Path, *, part: Literal["train", "test"] = "train") -> Projections:
    """The views of ``part`` of a scene. The unit of length of the scene, which may be a unit cube, is taken as mm.

    At angle a the source is at DSO (cos a, sin a, 0), columns run along (-sin a, cos a, 0) and rows along -z. Raises InputError naming the
    file and key for what is missing, for a parallel beam, and for a detector that is shifted (its sign is not stated).
    """
    folder = path if path.is_dir() else path.parent
    meta = _meta(folder)
    scanner, frames = meta["scanner"], meta[f"proj_{part}"]
    if scanner.get("mode") != "cone" or any(scanner.get("offDetector", [0, 0])):
        raise InputError(
            f"{folder / META}: mode {scanner.get('mode')!r}, offDetector {scanner.get('offDetector')}",
            expected="a cone beam on a detector that is not shifted",
        )
    rows, cols = (int(n) for n in scanner["nDetector"])
    require_memory(4 * len(frames) * rows * cols, f"the {len(frames)} views of {folder}")
    values = np.empty((len(frames), rows, cols), np.float32)
    for place, frame in enumerate(frames):
        image = _image(folder / frame["file_path"])
        if image.shape != (rows, cols) or not np.isfinite(image).all():
            raise InputError(
                f"{folder / frame['file_path']} has shape {image.shape}", expected=f"finite line integrals of shape {(rows, cols)}"
            )
        values[place] = image
    scan = _scan(scanner, np.array([frame["angle"] for frame in frames], dtype=float), rows, cols)
    return Projections(values, scan, {"format": "R2-Gaussian", "source": str(folder), "part": part})


def truth_of_r2(path: Path) -> tuple[Volume, Grid]:
    """The ground truth [z, y, x] of a scene in 1/mm and its grid, which is that of the reconstructions that are compared."""
    folder = path if path.is_dir() else path.parent
    meta = _meta(folder)
    scanner, file = meta["scanner"], folder / str(meta.get("vol", "vol_gt.npy"))
    if not file.is_file():
        raise FileNotFoundError(f"the ground truth {file} is not there")
    volume = np.ascontiguousarray(np.load(file).astype(np.float32).transpose(2, 1, 0))
    sizes = np.array(scanner["sVoxel"], float) / np.array(scanner["nVoxel"], float)
    if volume.shape != tuple(int(n) for n in scanner["nVoxel"][::-1]) or np.ptp(sizes) > 1e-6 * sizes.max():
        raise InputError(
            f"{file} has shape {volume.shape[::-1]} (x, y, z), and voxels of {sizes.tolist()}", expected=f"{scanner['nVoxel']}, cubes"
        )
    x, y, z = (float(c) for c in scanner.get("offOrigin", (0, 0, 0)))
    nz, ny, nx = volume.shape
    return volume, Grid((nz, ny, nx), float(sizes[0]), (x, y, z))


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        scanner = meta["scanner"]
        for key in ("DSO", "DSD", "nDetector", "sDetector", "nVoxel", "sVoxel"):
            if np.min(scanner[key]) <= 0:
                raise ValueError(f"{key} is {scanner[key]}")
        if not meta["proj_train"]:
            raise ValueError("proj_train is empty")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / META} cannot be used ({error})", expected="what R2-Gaussian writes") from None
    return meta


def _image(path: Path) -> Image:
    if path.suffix.lower() != ".npy":
        return read_image(path)
    if not path.is_file():
        raise FileNotFoundError(f"view {path} is not there")
    return np.load(path)


def _scan(scanner: dict[str, Any], angles: np.ndarray, rows: int, cols: int) -> Scan:
    high, wide = (float(s) / n for s, n in zip(scanner["sDetector"], (rows, cols), strict=True))
    out = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    along = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], axis=1)
    down = np.tile([0.0, 0.0, -high], (len(angles), 1))
    source = float(scanner["DSO"]) * out
    return Scan((rows, cols), source, source - float(scanner["DSD"]) * out, wide * along, down, np.degrees(angles))
