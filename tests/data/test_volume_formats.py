"""The table of volume formats: what a row promises is so for every row, and nothing that a format does not know is passed over."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from fewview.cli.main import main
from fewview.data import RawScan, read_volume, write_bonemet_xray, write_skyscan, write_volume
from fewview.data.images import image_files
from fewview.data.images.image_files import ImageFiles, image_header, read_image, write_image
from fewview.data.images.stack import ArrayStack, ImageStack
from fewview.data.images.view_subset import Subset
from fewview.data.scans.exchange import H5Views
from fewview.data.scans.reader import open_scan
from fewview.data.volumes import volume_format
from fewview.data.volumes.volume_format import Option, VolumeFormat, formats, readable, text, written
from fewview.geometry import Grid, InputError, Scan, skyscan_1276

FORMATS = formats()
GRID = Grid((5, 6, 7), 0.0106, (1.25, -3.1, 0.2))
ENDINGS = [(form, ending) for form in FORMATS for ending in form.endings or ("",)]
SAMPLES: dict[str, Any] = {"window": (0.0, 0.1), "bits": 8, "image": "png", "compression": "zlib"}
UNFIT: dict[str, Any] = {"window": (1.0, 0.0), "bits": 12, "image": "jpg", "compression": "jpeg", "dataset": 3, "prefix": 1, "component": 2,
                         "animal": -1, "week": "two", "part": 5, "missing": "guess"}  # fmt: skip


def ramp() -> np.ndarray:
    return np.linspace(0, 0.1, 210, dtype=np.float32).reshape(GRID.shape)


@pytest.mark.parametrize(("form", "ending"), ENDINGS, ids=[form.name + ending for form, ending in ENDINGS])
def test_each_row_writes_what_it_reads(tmp_path: Path, form: VolumeFormat, ending: str) -> None:
    path = write_volume(ramp(), tmp_path / f"a{ending}", grid=GRID)
    volume, grid, facts = read_volume(path)
    assert (facts["format"], grid, path.is_dir()) == (form.name, GRID, form.folder)
    np.testing.assert_allclose(volume, ramp(), atol=0.1 / 65535)
    for option in form.write_options:
        again = write_volume(ramp(), tmp_path / f"{option.name}{ending}", grid=GRID, **{option.name: SAMPLES[option.name]})
        np.testing.assert_allclose(read_volume(again)[0], ramp(), atol=0.1 / 255)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_option_that_a_format_has_not_is_refused_by_name(tmp_path: Path, form: VolumeFormat) -> None:
    path = tmp_path / f"a{form.endings[0] if form.endings else ''}"
    written, read = {o.name for o in form.write_options}, {o.name for o in form.read_options}
    for name in sorted({o.name for other in FORMATS for o in other.write_options} - written):
        owner = next(other for other in FORMATS if name in {o.name for o in other.write_options})
        with pytest.raises(InputError, match=f"^{name}=.*has no such option.*{name} is an option of {owner.name}"):
            write_volume(ramp(), path, grid=GRID, **{name: SAMPLES[name]})
    for name in written:
        with pytest.raises(InputError, match=f"^{name} is .*; expected"):
            write_volume(ramp(), path, grid=GRID, **{name: UNFIT[name]})
    assert not list(tmp_path.iterdir())
    write_volume(ramp(), path, grid=GRID)
    for name in sorted({o.name for other in FORMATS for o in other.read_options} - read):
        with pytest.raises(InputError, match=f"^{name}=.*has no such option"):
            read_volume(path, **{name: "x"})
    for name in read:
        with pytest.raises(InputError, match=f"^{name} is .*; expected"):
            read_volume(path, **{name: UNFIT[name]})


def test_messages_name_every_format(tmp_path: Path) -> None:
    for form in FORMATS:
        assert (form.endings[0] if form.endings else "a folder name") in written()
        assert all(ending in readable() for ending in (*form.endings, *form.also_read))
    with pytest.raises(InputError) as caught:
        write_volume(ramp(), tmp_path / "a.stl", grid=GRID)
    assert written() in str(caught.value)
    (tmp_path / "a.stl").write_text("solid")
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "a.stl")
    assert readable() in str(caught.value)
    for wrong, said in (("a.nii.gz", "is a folder; expected NIfTI"), ("b.ome.zarr", "is a file; expected OME-Zarr")):
        (tmp_path / wrong).mkdir() if wrong.startswith("a") else (tmp_path / wrong).write_text("")
        with pytest.raises(InputError, match=said):
            read_volume(tmp_path / wrong)
    assert sum(not form.endings for form in FORMATS) == 1


def test_every_module_of_the_folder_is_a_row() -> None:
    """A format whose row was forgotten would be neither read nor written, and nothing would say so."""
    folder = importlib.import_module("fewview.data.volumes.formats")
    modules = [importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]
    assert [module.FORMAT for module in modules] == list(FORMATS)
    endings = [ending for form in FORMATS for ending in (*form.endings, *form.also_read)]
    assert len(endings) == len(set(endings))


def test_a_row_is_all_that_a_format_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def write(volume: np.ndarray, grid: Grid, path: Path, kept: object, *, note: str = "") -> None:
        np.savez(path.with_suffix(""), volume=volume, voxel=grid.voxel_mm, note=note)
        path.with_suffix(".npz").rename(path)

    def load(path: Path, voxel_mm: float | None) -> tuple[np.ndarray, Grid, dict[str, Any]]:
        with np.load(path) as file:
            return file["volume"], Grid(file["volume"].shape, float(file["voxel"])), {"note": str(file["note"])}

    row = VolumeFormat("NumPy", (".vol",), load, write, "values", write_options=(Option("note", "any words", text),))
    monkeypatch.setattr(volume_format, "formats", lambda: (*FORMATS, row))
    volume, grid, facts = read_volume(write_volume(ramp(), tmp_path / "a.vol", grid=Grid(GRID.shape, 0.5), note="mine"))
    np.testing.assert_array_equal(volume, ramp())
    assert (grid.voxel_mm, facts["note"]) == (0.5, "mine")
    assert ".vol" in written()
    with pytest.raises(InputError, match=r"note is an option of NumPy"):
        write_volume(ramp(), tmp_path / "a.nii", grid=GRID, note="mine")
    assert main(["recon", "--help"]) == main(["simulate", "--help"]) == 0
    shown = re.sub(r"[^\w.]+", " ", capsys.readouterr().out)
    for ending in [ending for form in FORMATS for ending in form.endings[:1]]:
        assert shown.count(ending) >= 2, ending


# ---- stacks of images


def stacks(folder: Path) -> tuple[np.ndarray, dict[str, ImageStack]]:
    images = np.random.default_rng(0).integers(0, 60_000, (4, 6, 8)).astype(np.uint16)
    files = [folder / f"a{k}.tif" for k in range(4)]
    for file, image in zip(files, images, strict=True):
        write_image(file, image)
    with h5py.File(folder / "a.h5", "w") as file:
        file["data"] = images
    array = ArrayStack(images, "somewhere")
    return images, {
        "files": ImageFiles(files),
        "hdf5": H5Views(folder / "a.h5", "data"),
        "array": array,
        "subset": Subset(array, np.arange(4), 1),
    }


def test_every_stack_answers_alike(tmp_path: Path) -> None:
    images, found = stacks(tmp_path)
    for name, stack in found.items():
        assert isinstance(stack, ImageStack), name
        assert (stack.shape, stack.dtype, len(stack)) == ((4, 6, 8), np.uint16, 4), name
        np.testing.assert_array_equal(stack[2], images[2])
        assert any(part in stack.name(2) for part in ("a2.tif", "data[2]", "somewhere")), name
    assert not isinstance(images, ImageStack)  # an array does not say where its images came from: ArrayStack does


@pytest.mark.parametrize("ending", [".tif", ".png", ".bmp"])
def test_a_header_says_what_the_pixels_say(tmp_path: Path, ending: str) -> None:
    types = (np.uint8,) if ending == ".bmp" else (np.uint8, np.uint16)
    for dtype in types:
        path = tmp_path / f"{np.dtype(dtype)}{ending}"
        write_image(path, np.zeros((3, 5), dtype))
        assert image_header(path) == ((3, 5), read_image(path).dtype) == ((3, 5), np.dtype(dtype))
    (tmp_path / f"broken{ending}").write_bytes(b"no image at all")
    with pytest.raises(InputError, match=f"broken{ending} (cannot be read|was not written to its end)"):
        image_header(tmp_path / f"broken{ending}")


def test_the_geometry_of_a_scan_reads_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Scan.circular(dso_mm=93, dsd_mm=93, rows=3, cols=4, pixel_mm=0.2, angles_deg=np.arange(5) * 10.0)
    counts = np.random.default_rng(1).integers(20_000, 57_000, (5, 3, 4)).astype(np.uint16)
    folder = write_skyscan(RawScan(counts, scan), tmp_path / "scan")
    whole = skyscan_1276(3, 4, 0.2)
    rays = write_bonemet_xray(RawScan(np.resize(counts, (260, 3, 4)), whole), tmp_path / "bonemet", 1, 0)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["exchange/data"], file["exchange/theta"] = counts, np.arange(5.0)
        file["measurement/instrument/detector/pixel_size_x"] = 1e-5

    def read(*_: object, **__: object) -> None:
        raise AssertionError("pixels were read")

    monkeypatch.setattr(image_files, "read_image", read)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", read)
    monkeypatch.setattr("imageio.v3.imread", read)
    monkeypatch.setattr(H5Views, "__getitem__", read)
    for path, views in ((folder, 5), (rays, 260), (tmp_path / "x.h5", 5)):
        found = open_scan(path)
        assert (len(found.scan), found.scan.shape) == (views, (3, 4))
