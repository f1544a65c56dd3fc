"""The room of one case: makes its inputs below one folder, and the words of the command line that meets them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from hostile_world import AIR, attenuation, counts_of, edited, log_text, parallel_integrals, sound_counts
from numpy.typing import NDArray

Words = list[str]
Log = dict[str, str | None]


def _tiff(image: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, photometric="minisblack")
    return stream.getvalue()


@cache
def _sound_tiffs() -> tuple[bytes, ...]:
    return tuple(map(_tiff, sound_counts()))


class Room:
    """``path``: the folder of the case, which is also the current folder; ``home`` is what the program takes for the user's home."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path / "home"
        self.home.mkdir()

    # ------------------------------------------------------------------ scans

    def scan(
        self,
        name: str = "scan",
        *,
        log: Log | None = None,
        counts: NDArray[Any] | None = None,
        text: str | bytes | None = None,
        then: Callable[[Path], object] | None = None,
        prefix: str = "souris_",
    ) -> Path:
        """A SkyScan folder: the sound one, with lines of the log changed, other counts, another log, or ``then`` done to the folder."""
        folder = self.path / name
        folder.mkdir(parents=True)
        written = edited(log_text(), log or {}) if text is None else text
        raw = written if isinstance(written, bytes) else written.replace("\n", "\r\n").encode("cp1252")
        (folder / f"{prefix}.log").write_bytes(raw)
        for view, content in enumerate(_sound_tiffs() if counts is None else map(_tiff, counts)):
            (folder / f"{prefix}{view:08d}.tif").write_bytes(content)
        if then:
            then(folder)
        return folder

    def exchange(self, name: str = "beam.h5", then: Callable[[h5py.File], object] | None = None) -> Path:
        """A Data Exchange file of 60 views over 180 deg, whole, with ``then`` done to it while it is open."""
        path = self.path / name
        with h5py.File(path, "w") as file:
            data = counts_of(parallel_integrals(), 50_000)
            file["exchange/data"] = data
            file["exchange/data_white"] = np.full((3, *data.shape[1:]), 50_000, np.uint16)
            file["exchange/data_dark"] = np.zeros((3, *data.shape[1:]), np.uint16)
            file["exchange/theta"] = np.arange(60) * 3.0
            file["exchange/theta"].attrs["units"] = "deg"
            file["measurement/instrument/detector/actual_pixel_size_x"] = 1.3
            file["measurement/instrument/detector/actual_pixel_size_x"].attrs["units"] = "mm"
            if then:
                then(file)
        return path

    def own(self, name: str = "own.h5", then: Callable[[h5py.File], object] | None = None) -> Path:
        """A file of line integrals as fewview keeps them, with ``then`` done to it."""
        from fewview.data import read, write_projections

        path = self.path / name
        source = self.scan(f"source_of_{path.stem}")
        write_projections(read(source), path)
        return self.change(path, then)

    def change(self, path: Path, then: Callable[[h5py.File], object] | None) -> Path:
        """The HDF5 file with ``then`` done to it."""
        if then:
            with h5py.File(path, "r+") as file:
                then(file)
        return path

    # ---------------------------------------------------------------- volumes

    def nifti(self, array: NDArray[Any] | None = None, name: str = "volume.nii.gz", *, voxel_mm: float = 1.3, then: Any = None) -> Path:
        """A NIfTI volume; ``then(image)`` changes header and affine before it is saved."""
        import nibabel

        values = attenuation() if array is None else array
        image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), np.diag([voxel_mm] * 3 + [1.0]))
        image.header.set_xyzt_units("mm")
        if then:
            then(image)
        nibabel.save(image, self.path / name)
        return self.path / name

    def ome(self, array: NDArray[Any] | None = None, name: str = "volume.ome.tif", then: Callable[[str], str] | None = None) -> Path:
        """An OME-TIFF; ``then(xml)`` gives the description to put in its place."""
        path = self.path / name
        facts: dict[str, Any] = {"axes": "ZYX"}
        for axis in "XYZ":
            facts |= {f"PhysicalSize{axis}": 1.3, f"PhysicalSize{axis}Unit": "mm"}
        tifffile.imwrite(path, attenuation() if array is None else array, ome=True, photometric="minisblack", metadata=facts)
        if then:
            with tifffile.TiffFile(path) as tif:
                xml = then(str(tif.ome_metadata))
            tifffile.tiffcomment(path, xml.encode())
        return path

    def tiff(self, array: NDArray[Any] | None = None, name: str = "stack.tif", **options: Any) -> Path:
        """A plain multi-page TIFF, or with ``imagej=True`` ImageJ's."""
        tifffile.imwrite(self.path / name, attenuation() if array is None else array, **{"photometric": "minisblack", **options})
        return self.path / name

    def h5_volume(self, name: str = "volume.h5", then: Callable[[h5py.File], object] | None = None) -> Path:
        """A volume as fewview keeps it, with ``then`` done to it."""
        return self.change(self._written(name), then)

    def zarr(self, name: str = "volume.ome.zarr", then: Callable[[Path], object] | None = None) -> Path:
        """An OME-Zarr of several chunks, with ``then`` done to the folder."""
        path = self._written(name, size=130, voxel_mm=0.16)
        if then:
            then(path)
        return path

    def slices(self, name: str = "slices", then: Callable[[Path], object] | None = None, **options: Any) -> Path:
        """A folder of slices with its log as fewview writes it, with ``then`` done to it."""
        path = self._written(name, **options)
        if then:
            then(path)
        return path

    def _written(self, name: str, size: int = 16, voxel_mm: float = 1.3, **options: Any) -> Path:
        from fewview.data import write_volume
        from fewview.geometry import Grid

        return write_volume(attenuation(size, voxel_mm), self.path / name, grid=Grid((size, size, size), voxel_mm), **options)

    def file(self, name: str, content: str | bytes) -> Path:
        """Any file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def documents(self, name: str = "papers") -> Path:
        """Somebody's folder of work that fewview has nothing to do with."""
        self.file(f"{name}/thesis.txt", "four years of work")
        self.file(f"{name}/settings.json", '{"mine": true}')
        self.file(f"{name}/notes/day1.txt", "more of it")
        return self.path / name

    def pictures(self, name: str = "microscope", log: str | None = None) -> Path:
        """Somebody's folder of TIFFs, and nothing else in it but perhaps a log."""
        for number in range(4):
            self.file(f"{name}/cell_{number:04d}.tif", b"")
            tifffile.imwrite(self.path / name / f"cell_{number:04d}.tif", np.full((8, 8), 300 + number, np.uint16))
        if log is not None:
            self.file(f"{name}/cell_rec.log", log)
        return self.path / name

    # ------------------------------------------------------------- command lines

    def recon(self, scan: object, *more: object, out: object = "out.h5") -> Words:
        """Reconstruct to ``out`` in the room."""
        return ["recon", str(scan), "--out", str(self.path / str(out)), *map(str, more)]

    def simulate(self, volume: object, *more: object, out: object = "out") -> Words:
        """Scan a volume with a small panel, one energy, no noise."""
        quick = ["--rows", "8", "--cols", "12", "--physics", "polychromatic=false", "photons=0", "rays=1"]
        return ["simulate", str(volume), "--out", str(self.path / str(out)), *quick, *map(str, more)]


def scaled(factor: float) -> NDArray[np.uint16]:
    """Counts that are all ``factor`` times as bright."""
    return np.clip(np.rint(sound_counts() * factor), 0, 65535).astype(np.uint16)


def with_view(index: int, image: NDArray[Any]) -> NDArray[Any]:
    """The sound counts with one view replaced."""
    counts = sound_counts().copy()
    counts[index] = image
    return counts


def noise(level: float = AIR, sd: float = 0.007, views: int | None = None, seed: int = 3) -> NDArray[np.uint16]:
    """Images of nothing but noise about a level."""
    shape = sound_counts().shape if views is None else (views, *sound_counts().shape[1:])
    return np.clip(np.random.default_rng(seed).normal(level, max(1.0, level * sd), shape), 1, 65535).astype(np.uint16)


def grey(kind: Any, scale: float = 1.0, shift: float = 0.0) -> Callable[[], Any]:
    """The balls on another grey scale: 0 to 1 times ``scale`` plus ``shift``."""
    return lambda: np.rint(attenuation() / attenuation().max() * scale + shift).astype(kind)
