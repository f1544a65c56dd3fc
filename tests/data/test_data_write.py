"""Writing volumes, scans and run records: round trips, refusals, and nothing half-written whatever happens."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ngff_zarr
import nibabel
import numpy as np
import pytest
import tifffile
from fewview.base.files import atomic_path
from fewview.base.record import make_record, record_path, sha256, write_record
from fewview.data import (
    Projections,
    RawScan,
    Reconstruction,
    read_raw,
    read_volume,
    write_bonemet_slices,
    write_bonemet_xray,
    write_projections,
    write_skyscan,
    write_volume,
)
from fewview.geometry import Grid, InputError, Scan, skyscan_1276
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = Grid((5, 6, 7), 0.0106, (1.25, -3.1, 0.2))
NAMES = ("a.ome.tif", "a.OME.TIFF", "a.nii", "a.nii.gz", "a.h5", "a.ome.zarr")


def volume(seed: int = 0, shape: tuple[int, ...] = GRID.shape) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.03, 0.02, shape).astype(np.float32)


def small_scan(views: int = 4) -> Scan:
    return Scan.circular(dso_mm=93, dsd_mm=93, rows=3, cols=4, pixel_mm=0.2, angles_deg=np.arange(views) * 10.0)


def counts(views: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(20_000, 57_000, (views, 3, 4)).astype(np.uint16)


def reconstruction() -> Reconstruction:
    history = ({"iteration": 1, "residual": np.float32(0.5)},)
    return Reconstruction(volume(), GRID, small_scan(), "fdk", {"filter": "hann", "cutoff": 0.9}, history, 1.5, std=volume(7))


# ---- round trips


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16, np.int16])
def test_every_format_keeps_values_type_voxel_and_place(tmp_path: Path, name: str, dtype: type) -> None:
    given = volume() if dtype is np.float32 else np.random.default_rng(2).integers(0, 200, GRID.shape).astype(dtype)
    path = write_volume(given, tmp_path / name, grid=GRID)
    back, grid, facts = read_volume(path)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, given)
    assert grid == GRID
    assert facts["source"] == str(path)


@settings(max_examples=15, deadline=None)
@given(
    voxel=st.floats(1e-3, 5.0),
    center=st.tuples(*[st.floats(-50, 50)] * 3),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    name=st.sampled_from([*NAMES, "slices"]),
)
def test_any_grid_comes_back(
    tmp_path_factory: pytest.TempPathFactory, voxel: float, center: tuple[float, float, float], shape: tuple[int, int, int], name: str
) -> None:
    given = Grid(shape, voxel, center)
    path = write_volume(np.ones(shape, np.float32), tmp_path_factory.mktemp("v") / name, grid=given)
    back, grid, _ = read_volume(path)
    assert back.shape == shape
    assert grid.voxel_mm == pytest.approx(voxel, rel=1e-6)
    np.testing.assert_allclose(grid.center_mm, center, atol=1e-3 * voxel + 1e-5)  # NIfTI keeps the place in float32


def test_other_programs_see_voxel_size_and_axes(tmp_path: Path) -> None:
    """Checked with each format's own library: x is the fastest axis, sizes are in the unit that the file states."""
    given = volume()
    nifti: Any = nibabel.load(write_volume(given, tmp_path / "a.nii.gz", grid=GRID))
    assert nifti.shape == GRID.shape[::-1]
    assert nifti.get_fdata()[6, 1, 2] == given[2, 1, 6]
    np.testing.assert_allclose(nifti.affine @ [0, 0, 0, 1], [*GRID.origin_mm, 1], atol=1e-6)
    np.testing.assert_allclose(np.diag(nifti.affine)[:3], GRID.voxel_mm, rtol=1e-6)
    with tifffile.TiffFile(write_volume(given, tmp_path / "a.ome.tif", grid=GRID)) as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("ZYX", GRID.shape)
        assert 'PhysicalSizeZ="0.0106" PhysicalSizeZUnit="mm"' in (tif.ome_metadata or "")
    image = ngff_zarr.from_ngff_zarr(write_volume(given, tmp_path / "a.ome.zarr", grid=GRID), validate=False).images[0]
    assert (tuple(image.dims), image.scale["y"], image.axes_units["x"]) == (("z", "y", "x"), 0.0106, "millimeter")
    with h5py.File(write_volume(given, tmp_path / "a.h5", grid=GRID)) as file:
        assert file["volume"].attrs["voxel_mm"] == 0.0106


@settings(max_examples=20, deadline=None)
@given(
    bits=st.sampled_from([8, 16]),
    image=st.sampled_from(["tif", "png", "bmp"]),
    low=st.floats(-0.1, 0.0),
    width=st.floats(0.01, 2.0),
    seed=st.integers(0, 99),
)
def test_slices_are_exact_to_half_a_grey_level(
    tmp_path_factory: pytest.TempPathFactory, bits: int, image: str, low: float, width: float, seed: int
) -> None:
    bits = 8 if image == "bmp" else bits
    given = np.random.default_rng(seed).uniform(low, low + width, GRID.shape).astype(np.float32)
    path = write_volume(given, tmp_path_factory.mktemp("v") / "out", grid=GRID, window=(low, low + width), bits=bits, image=image)
    back, grid, facts = read_volume(path)
    level = width / (2**bits - 1)
    assert np.abs(back.astype(np.float64) - given).max() <= level / 2 + 1e-6 * (abs(low) + width)
    assert grid == GRID
    assert facts["units"] == "1/mm"
    assert len(list(path.glob(f"slice_rec*.{image}"))) == 5


def test_the_window_cuts_and_says_so(tmp_path: Path) -> None:
    given = np.zeros(GRID.shape, np.float32)
    given[0, 0, :3], given[1, 0, 0], given[2] = 0.2, -0.1, 0.02
    path = write_volume(given, tmp_path / "out", grid=GRID, window=(0.0, 0.05), bits=8)
    back, _, facts = read_volume(path)
    assert (back[0, 0, 0], back[1, 0, 0]) == (pytest.approx(0.05), 0.0)
    assert facts["log"]["fewview"]["Voxels above the window"] == "3"
    assert facts["log"]["fewview"]["Voxels below the window"] == "1"
    assert facts["log"]["Reconstruction"]["Maximum for CS to Image Conversion"] == "0.05"


def test_default_window_is_the_range_and_masks_stay_masks(tmp_path: Path) -> None:
    given = volume()
    back, _, facts = read_volume(write_volume(given, tmp_path / "out", grid=GRID))
    assert facts["window"] == (float(given.min()), float(given.max()))
    assert np.abs(back - given).max() <= (given.max() - given.min()) / 65535 / 2 * 1.001
    mask = given > 0.03
    back, _, facts = read_volume(write_volume(mask, tmp_path / "mask", grid=GRID, image="png"))
    assert facts["units"] == "grey levels"
    np.testing.assert_array_equal(back, mask)
    flat, _, _ = read_volume(write_volume(np.full(GRID.shape, 0.02, np.float32), tmp_path / "flat", grid=GRID))
    np.testing.assert_allclose(flat, 0.02, atol=1e-5)


def test_types_without_a_place_in_every_format(tmp_path: Path) -> None:
    for array, stored in (
        (volume().astype(np.float64), np.float32),
        (np.full(GRID.shape, 300), np.uint16),
        (np.full(GRID.shape, -3), np.int16),
    ):
        back, _, _ = read_volume(write_volume(array, tmp_path / f"{array.dtype}{array.flat[0]}.nii.gz", grid=GRID))
        assert back.dtype == stored
        np.testing.assert_allclose(back, array, rtol=1e-6)


def test_zlib_tiff_is_lossless(tmp_path: Path) -> None:
    path = write_volume(np.zeros(GRID.shape, np.float32), tmp_path / "a.ome.tif", grid=GRID, compression="zlib")
    assert read_volume(path)[0].max() == 0


# ---- a reconstruction and its record


def test_a_reconstruction_leaves_a_record(tmp_path: Path) -> None:
    rec = reconstruction()
    path = rec.save(tmp_path / "out" / "a.h5")
    record = json.loads(record_path(path).read_text())
    assert record_path(path).name == "a.h5.record.json"
    assert (record["method"], record["settings"]["cutoff"], record["seconds"], record["views"]) == ("fdk", 0.9, 1.5, 4)
    assert record["grid"]["voxel_mm"] == 0.0106
    assert record["versions"]["numpy"] == np.__version__
    assert record["peak_memory_mib"] > 10
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["std"][()], rec.std)
        np.testing.assert_array_equal(file["scan/source"][()], rec.scan.source)
    assert read_volume(path)[2]["history"] == [{"iteration": 1, "residual": 0.5}]
    own = make_record("fewview recon scan", {"views": 26}, seconds=2.0)
    write_volume(rec, path, force=True, record=own)
    assert json.loads(record_path(path).read_text())["command"] == "fewview recon scan"
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.h5", "a.h5.record.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_names_a_volume_that_a_run_began_with_and_does_not_hold_it(name: str, tmp_path: Path) -> None:
    first = np.random.default_rng(2).normal(size=(10, 20, 30)).astype(np.float32)
    begun = dataclasses.replace(reconstruction(), settings={"start": first[:, :, ::-1], "cutoff": 0.9})
    path = begun.save(tmp_path / name)
    record = json.loads(record_path(path).read_text())
    digest = hashlib.sha256(np.flip(first, 2).tobytes()).hexdigest()  # tobytes is in C order, whatever the strides
    assert record["settings"] == {"start": {"array": "float32, 10 x 20 x 30", "sha256": digest}, "cutoff": 0.9}
    assert len(json.dumps(read_volume(path)[2])) < 10_000
    assert len(json.dumps(make_record("fewview", begun.settings))) < 10_000


def test_records_hash_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    (folder / "sub").mkdir(parents=True)
    (folder / "a_10.txt").write_bytes(b"ten")
    (folder / "sub" / "a_2.txt").write_bytes(b"two")
    record = make_record(["fewview", "recon"], {"x": np.arange(2)}, [folder, folder / "a_10.txt"], [tmp_path / "o"], 1.0, {"grid": GRID})
    ten, two = hashlib.sha256(b"ten").hexdigest(), hashlib.sha256(b"two").hexdigest()
    assert record["inputs"][1]["sha256"] == ten
    assert record["inputs"][0]["sha256"] == hashlib.sha256(f"{ten}  a_10.txt\n{two}  sub/a_2.txt\n".encode()).hexdigest()
    assert (record["command"], record["settings"], record["grid"]["shape"]) == ("fewview recon", {"x": [0, 1]}, [5, 6, 7])
    (folder / "a_10.txt").rename(folder / "a_11.txt")
    assert sha256(folder) != record["inputs"][0]["sha256"]
    assert json.loads(write_record(record, tmp_path / "o").read_text()) == record
    with pytest.raises(FileNotFoundError, match="input"):
        make_record("x", inputs=[tmp_path / "nowhere"])


# ---- refusals


@pytest.mark.parametrize("name", [*NAMES, "slices"])
def test_existing_output_is_kept_without_force(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"window": (-0.2, 0.2)} if name == "slices" else {}
    write_volume(volume(0), tmp_path / name, grid=GRID, **options)
    with pytest.raises(FileExistsError, match="--force"):
        write_volume(volume(1), tmp_path / name, grid=GRID)
    np.testing.assert_allclose(read_volume(tmp_path / name)[0], volume(0), atol=1e-5)
    write_volume(volume(1), tmp_path / name, grid=GRID, force=True)
    np.testing.assert_allclose(read_volume(tmp_path / name)[0], volume(1), atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["mine", "mine.ome.zarr"])
def test_force_never_replaces_a_folder_of_something_else(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "thesis").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="holds thesis, which fewview did not write"):
        write_volume(volume(), tmp_path / name, grid=GRID, force=True)
    assert (tmp_path / name / "thesis").is_dir()


def test_force_never_replaces_home_or_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in (".", "..", str(tmp_path), str(Path.home())):
        with pytest.raises(FileExistsError, match="never replaces"):
            write_skyscan(RawScan(counts(), small_scan()), path, force=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.tif", r"expected .*\.ome\.tif, .*; give a\.ome\.tif"),
        ("a.npy", r"ends in '\.npy'; expected .*\.ome\.tif"),
        ("a.zarr", r"give a\.ome\.zarr"),
        ("a.gz", r"ends in '\.gz'"),
    ],
)
def test_unknown_endings_name_the_accepted_ones(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        write_volume(volume(), tmp_path / name, grid=GRID)


def test_bad_volumes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    broken = volume()
    broken[1, 2, 3] = np.nan
    for array, grid, said in (
        (broken, GRID, "1 voxels are NaN or Inf"),
        (volume(shape=(5, 6, 8)), GRID, r"shape \(5, 6, 8\); expected \(5, 6, 7\)"),
        (volume(), None, "no voxel size"),
        (volume().astype(complex), GRID, "complex"),
    ):
        with pytest.raises(InputError, match=said):
            write_volume(array, tmp_path / "a.nii.gz", grid=grid)
    for options, said in (({"bits": 12}, "bits is 12"), ({"image": "jpg"}, "image is 'jpg'"), ({"image": "bmp"}, "bits is 16 for BMP"),
                          ({"window": (1.0, 0.0)}, "grey window")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            write_volume(volume(), tmp_path / "out", grid=GRID, **options)
    assert list(tmp_path.iterdir()) == []


def test_raw_scans_that_a_skyscan_folder_cannot_hold(tmp_path: Path) -> None:
    scan = small_scan()
    cases = (
        (RawScan(counts().astype(np.float32) * 10, scan), "scale the counts"),
        (RawScan(counts() / np.float32(57_000), scan), "more than 8 bits"),
        (RawScan(np.full((4, 3, 4), 5_000, np.uint16), scan), "view 0: all pixels"),
        (RawScan(counts(3), scan[[0, 1, 3]]), "not equally spaced"),
    )
    for raw, said in cases:
        with pytest.raises(InputError, match=said):
            write_skyscan(raw, tmp_path / "scan")
    assert list(tmp_path.iterdir()) == []


def test_flats_are_applied_when_a_skyscan_folder_is_written(tmp_path: Path) -> None:
    from fewview.data import prepare, read

    line = np.random.default_rng(0).uniform(0.1, 2, (4, 3, 4))
    line[:, :, 0] = 0
    flat = np.random.default_rng(1).uniform(3000, 4000, (3, 4))
    raw = RawScan((flat * np.exp(-line) + 50).astype(np.float32), small_scan(), flat + 50, np.full((3, 4), 50.0))
    folder = write_skyscan(raw, tmp_path / "scan")
    back = read(folder, air=57_500)
    np.testing.assert_allclose(back.values, line, atol=2e-4)
    np.testing.assert_allclose(prepare(raw, air=1.0).values, line, atol=1e-5)
    assert back.meta["air_level"] == 57_500


# ---- failures in the middle of writing


def _half_then(error: BaseException, path: Path) -> None:
    """What a full disk or Ctrl-C leaves: a part of the output, and the error."""
    if path.suffix == ".zarr":
        path.mkdir(exist_ok=True)
        path = path / "half"
    path.write_bytes(b"half of the fi")
    raise error


Breaker = Callable[[pytest.MonkeyPatch, BaseException], None]


def _break_function(module: Any, name: str, at: int) -> Breaker:
    """Replace a library's writer by one that fails in mid-write; ``at`` is its argument that is the path."""

    def breaker(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(module, name, lambda *arguments, **_: _half_then(error, Path(arguments[at])))

    return breaker


def _break_third_image(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    from fewview.data.images import image_files as images
    from fewview.data.scans import bonemet as bonemet_rays
    from fewview.data.scans import skyscan as skyscan_folder
    from fewview.data.volumes import bonemet as bonemet_slices
    from fewview.data.volumes import slices

    calls = []

    def failing(path: Path, image: np.ndarray, *_: object) -> None:
        calls.append(path)
        if len(calls) == 3:
            _half_then(error, path)
        images.write_image(path, image)

    for module in (bonemet_rays, bonemet_slices, skyscan_folder, slices):
        monkeypatch.setattr(module, "write_image", failing)


def _break_h5(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("fewview.data.volumes.formats.hdf5.to_json", failing)
    monkeypatch.setattr("fewview.data.scans.projections_file.to_json", failing)


WRITERS: dict[str, tuple[Callable[[Path], Any], str, Breaker]] = {
    "ome.tif": (lambda p: write_volume(volume(1), p, grid=GRID, force=True), "a.ome.tif", _break_function(tifffile, "imwrite", 0)),
    "nii.gz": (lambda p: write_volume(volume(1), p, grid=GRID, force=True), "a.nii.gz", _break_function(nibabel, "save", 1)),
    "ome.zarr": (lambda p: write_volume(volume(1), p, grid=GRID, force=True), "a.ome.zarr", _break_function(ngff_zarr, "to_ngff_zarr", 0)),
    "h5": (lambda p: write_volume(volume(1), p, grid=GRID, force=True), "a.h5", _break_h5),
    "slices": (lambda p: write_volume(volume(1), p, grid=GRID, force=True), "out", _break_third_image),
    "projections": (lambda p: write_projections(Projections(counts() / 1e5, small_scan()), p, force=True), "p.h5", _break_h5),
    "skyscan": (lambda p: write_skyscan(RawScan(counts(), small_scan()), p, force=True), "scan", _break_third_image),
}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "replacing"])
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_half_written_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, existing: bool, error: BaseException
) -> None:
    write, name, breaker = WRITERS[writer]
    if existing:
        write(tmp_path / name)
    before = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    breaker(monkeypatch, type(error)(*error.args))  # a new one: the parameter is shared by all cases
    with pytest.raises(type(error)) as caught:
        write(tmp_path / name)
    if isinstance(caught.value, OSError):
        assert name in str(caught.value)  # what did not fit
    after = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before
    assert [p.name for p in tmp_path.iterdir()] == ([name] if existing else [])


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_bonemet_writers_leave_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    scan = skyscan_1276(3, 4, 0.2)
    raw = RawScan(np.random.default_rng(0).integers(1, 60_000, (260, 3, 4)).astype(np.uint16), scan)
    for write in (
        lambda: write_bonemet_xray(raw, tmp_path, 1, 0),
        lambda: write_bonemet_slices(volume(), tmp_path, "Recon-CT", 1, 0, (0, 0.1)),
    ):
        with monkeypatch.context() as patch:
            _break_third_image(patch, error)
            with pytest.raises(type(error)):
                write()
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]
        assert not list(tmp_path.rglob("week 0"))


_REALLY_FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from fewview.data import write_volume
from fewview.geometry import Grid
write_volume(np.zeros((2, 2, 2), np.float32), Path(sys.argv[1]) / ("warm" + sys.argv[2]), grid=Grid((2, 2, 2), 1.0))  # load the libraries
volume = np.random.default_rng(0).random((40, 60, 60), dtype=np.float32)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    write_volume(volume, Path(sys.argv[1]) / sys.argv[2], grid=Grid(volume.shape, 0.01))
except Exception as error:
    print("refused:", type(error).__name__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of Unix")
@pytest.mark.parametrize("name", [".ome.tif", ".nii.gz", ".h5"])
def test_a_real_limit_on_the_file_size(tmp_path: Path, name: str) -> None:
    """No stand-in: the operating system refuses the bytes, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", _REALLY_FULL, str(tmp_path), name], capture_output=True, text=True, timeout=120, check=False
    )
    assert "refused:" in done.stdout, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["warm" + name]


def test_atomic_path_restores_a_folder_when_the_last_step_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    final = tmp_path / "out"
    with atomic_path(final) as temporary:
        temporary.mkdir()
        (temporary / "old.txt").write_text("old")
    real, calls = os.replace, []

    def failing(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="Input/output"), atomic_path(final, force=True) as temporary:
        temporary.mkdir()
    assert (final / "old.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ngff_zarr", None)
    with pytest.raises(InputError, match=r"ngff-zarr; pip install 'fewview\[zarr\]'"):
        write_volume(volume(), tmp_path / "a.ome.zarr", grid=GRID)
    assert list(tmp_path.iterdir()) == []


def test_the_beam_survives_a_skyscan_folder(tmp_path: Path) -> None:
    for millimetres in (0.5, 0.0):
        scan = skyscan_1276(rows=4, cols=6, voxel_mm=1.0)
        counts = np.random.default_rng(0).integers(40_000, 57_000, (260, 4, 6)).astype(np.uint16)
        raw = RawScan(counts, scan, meta={"voltage_kv": 50.0, "filter_mm_al": millimetres})
        found = read_raw(write_skyscan(raw, tmp_path / f"{millimetres}")).meta
        assert (found["voltage_kv"], found["filter_mm_al"]) == (50.0, millimetres)
