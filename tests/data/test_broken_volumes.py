"""Volumes that are broken, that contradict themselves, or that are no volumes: one error that names the file, never a wrong volume.

The command line's side of this is in tests/hostile; here are the cases that need a look inside the arrays.
"""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from fewview.data import read_volume, write_volume
from fewview.geometry import Grid, InputError

SHAPE = (20, 12, 10)
GRID = Grid(SHAPE, 0.1)
MM = {f"PhysicalSize{axis}{what}": value for axis in "XYZ" for what, value in (("", 0.1), ("Unit", "mm"))}


def noise() -> np.ndarray:
    return np.random.default_rng(5).random(SHAPE, dtype=np.float32)


def _pages(path: Path, **options: Any) -> None:
    """Every page written by itself, as most programs do: its tags, then its pixels."""
    with tifffile.TiffWriter(path) as writer:
        for plane in noise():
            writer.write(plane, contiguous=False, photometric="minisblack", metadata=None, **options)


WRITERS: dict[str, Callable[[Path], object]] = {
    "ours.ome.tif": lambda p: write_volume(noise(), p, grid=GRID),
    "zlib.ome.tif": lambda p: write_volume(noise(), p, grid=GRID, compression="zlib"),
    "imagej.tif": lambda p: tifffile.imwrite(
        p, noise(), imagej=True, resolution=(10, 10), metadata={"axes": "ZYX", "spacing": 0.1, "unit": "mm"}
    ),
    "pages.tif": _pages,
    "zipped.tif": lambda p: _pages(p, compression="zlib"),
    "a.nii": lambda p: write_volume(noise(), p, grid=GRID),
    "a.nii.gz": lambda p: write_volume(noise(), p, grid=GRID),
    "a.h5": lambda p: write_volume(noise(), p, grid=GRID),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_breaks_off_is_never_read_as_less(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_volume(path, voxel_mm=0.1)[0], noise())
    for share in (0.0, 0.01, 0.2, 0.5, 0.8, 0.95, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        if (name, share) == ("imagej.tif", 0.999):  # the last tag has nothing to do with the pixels
            np.testing.assert_array_equal(read_volume(path, voxel_mm=0.1)[0], noise())
            continue
        with pytest.raises(InputError, match=re.escape(name)):
            read_volume(path, voxel_mm=0.1)


def test_a_changed_byte_inside_a_gzip_is_seen(tmp_path: Path) -> None:
    path = write_volume((noise() * 255).astype(np.uint8), tmp_path / "a.nii.gz", grid=GRID)
    whole = path.read_bytes()
    for at in np.random.default_rng(1).integers(30, len(whole), 25):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(InputError, match=r"a\.nii\.gz"):
            read_volume(path)


# ---- OME-XML


def _with_xml(path: Path, change: Callable[[str], str]) -> Path:
    tifffile.imwrite(path, noise(), ome=True, photometric="minisblack", metadata={"axes": "ZYX", **MM})
    with tifffile.TiffFile(path) as tif:
        xml = str(tif.ome_metadata)
    tifffile.tiffcomment(path, change(xml).encode())
    return path


def test_entities_are_not_expanded_and_sizes_of_the_xml_not_allocated(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 20}">' for n in range(1, 9))
    bomb = f'<!DOCTYPE OME [<!ENTITY a0 "ha">{levels}]>'
    cases = {
        "bomb": lambda xml: re.sub(r"<\?xml[^>]*\?>", bomb, xml).replace('Name="Image0"', 'Name="&a8;"'),
        "outside": lambda xml: re.sub(r"<\?xml[^>]*\?>", '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/hostname">]>', xml),
        "huge": lambda xml: xml.replace('SizeZ="20"', 'SizeZ="2000000000"'),
        "wide": lambda xml: xml.replace('SizeX="10"', 'SizeX="2000000000"'),
        "many": lambda xml: re.sub(r"<TiffData[^>]*/>", '<TiffData IFD="0" PlaneCount="2000000000"/>', xml),
    }
    for name, change in cases.items():
        path = _with_xml(tmp_path / f"{name}.ome.tif", change)
        tracemalloc.start()
        with pytest.raises(InputError, match=f"{name}.ome.tif"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()


def test_planes_are_where_the_xml_says(tmp_path: Path) -> None:
    """Pages in reverse: the first plane is the last page. Channels, times and other files are refused."""
    turned = "".join(f'<TiffData FirstZ="{z}" IFD="{19 - z}" PlaneCount="1"/>' for z in range(20))
    other = '<TiffData><UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData>'
    path = _with_xml(tmp_path / "a.ome.tif", lambda xml: re.sub(r"<TiffData[^>]*/>", turned, xml))
    np.testing.assert_array_equal(read_volume(path)[0], noise()[::-1])
    for change, said in (
        (lambda xml: re.sub(r"<TiffData[^>]*/>", turned.replace('IFD="3"', 'IFD="4"'), xml), "each of 20 planes"),
        (lambda xml: xml.replace('SizeZ="20"', 'SizeZ="10"').replace('SizeC="1"', 'SizeC="2"'), "2 channels"),
        (
            lambda xml: re.sub(r"<TiffData[^>]*/>", other, xml),
            r"in b\.ome\.tif",
        ),
    ):
        with pytest.raises(InputError, match=said):
            read_volume(_with_xml(tmp_path / "b2.ome.tif", change))


def test_white_is_zero_is_turned_and_several_kinds_are_refused(tmp_path: Path) -> None:
    grey = (noise() * 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif", voxel_mm=1.0)[0], 255 - grey)
    for name, array, said in (("f.tif", noise(), "inverted"), ("c.tif", noise().astype(np.complex64), "complex64")):
        tifffile.imwrite(tmp_path / name, array, photometric="miniswhite" if name == "f.tif" else "minisblack")
        with pytest.raises(InputError, match=said):
            read_volume(tmp_path / name, voxel_mm=1.0)


# ---- NIfTI


def _nifti(path: Path, then: Callable[[Any], object]) -> Path:
    image = nibabel.Nifti1Image(noise(), np.diag([0.1, 0.1, 0.1, 1.0]))
    image.header.set_xyzt_units("mm")
    then(image)
    image.update_header = lambda: None
    nibabel.save(image, path)
    return path


def test_affine_and_pixdim_must_say_the_same(tmp_path: Path) -> None:
    def pixdim(image: Any) -> None:
        image.header["pixdim"][1:4] = 0.2

    path = _nifti(tmp_path / "a.nii", pixdim)
    with pytest.raises(InputError, match=r"a\.nii contradicts itself: voxels of 0\.1 x 0\.1 x 0\.1 by its sform and of 0\.2 x 0\.2 x 0\.2"):
        read_volume(path)
    volume, grid, _ = read_volume(path, voxel_mm=0.2)
    assert grid.voxel_mm == 0.2
    np.testing.assert_array_equal(volume, noise().transpose(2, 1, 0))
    sheared = np.diag([0.1, 0.1, 0.1, 1.0])
    sheared[0, 1] = 0.05
    nibabel.save(nibabel.Nifti1Image(noise(), sheared), tmp_path / "b.nii")
    with pytest.warns(UserWarning, match="no unit"), pytest.raises(InputError, match="right angles"):
        read_volume(tmp_path / "b.nii")


def test_what_follows_the_last_voxel_is_said(tmp_path: Path) -> None:
    """A header that speaks of 15 of the 20 columns: every voxel would be in another place."""
    path = _nifti(tmp_path / "a.nii", lambda image: None)
    data = path.read_bytes()
    shorter = data[:42] + (15).to_bytes(2, "little") + data[44:]
    path.write_bytes(shorter)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(shorter))
    for name in ("a.nii", "b.nii.gz"):
        with pytest.warns(UserWarning, match=rf"{5 * 12 * 10 * 4} bytes follow the last voxel of \(15, 12, 10\)"):
            read_volume(tmp_path / name)


def test_two_orientations_that_disagree_are_said(tmp_path: Path) -> None:
    def turned(image: Any) -> None:
        image.set_sform(np.diag([0.1, 0.1, 0.1, 1.0]), code=1)
        image.set_qform(np.diag([-0.1, -0.1, 0.1, 1.0]), code=1)

    with pytest.warns(UserWarning, match="sform and qform give its axes other directions; the sform is taken"):
        volume, _, _ = read_volume(_nifti(tmp_path / "a.nii", turned))
    np.testing.assert_array_equal(volume, noise().transpose(2, 1, 0))


# ---- HDF5 and Zarr


def test_a_virtual_dataset_without_its_source_is_not_zeros(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = noise()
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("source.h5", "x", shape=SHAPE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5", dataset="v", voxel_mm=1.0)[0], noise())
    (tmp_path / "source.h5").unlink()
    with pytest.raises(InputError, match=r"a\.h5: /v is put together from source\.h5, which is not there"):
        read_volume(tmp_path / "a.h5", dataset="v", voxel_mm=1.0)


def test_chunks_of_zarr_that_are_lost_are_counted(tmp_path: Path) -> None:
    """Two of the eight chunks hold nothing and are not stored, which is no loss; one that is lost is."""
    volume = np.zeros((140, 140, 140), np.float32)
    volume[130:] = 0.2
    volume[:10, :10, 135] = 0.1
    path = write_volume(volume, tmp_path / "a.ome.zarr", grid=Grid(volume.shape, 0.1))
    chunks = sorted(p for p in (path / "scale0").rglob("*") if p.is_file() and p.name.isdigit())
    assert len(chunks) < 8
    back, _, facts = read_volume(path)
    np.testing.assert_array_equal(back, volume)
    assert facts["missing_chunks"] == 0
    chunks[0].unlink()
    with pytest.raises(InputError, match=r"a\.ome\.zarr: 1 of 8 chunks are not there.*missing='fill'"):
        read_volume(path)
    assert read_volume(path, missing="fill")[2]["missing_chunks"] == 1
    chunks[1].write_bytes(b"no chunk")
    with pytest.raises(InputError, match=r"a\.ome\.zarr cannot be read"):
        read_volume(path, missing="fill")
    # A file of others does not say how many it has: each that is not there may be lost.
    for name in (".zattrs", ".zmetadata"):
        (path / name).write_text(json.dumps(json.loads((path / name).read_text().replace("fewview_chunks_stored", "x"))))
    with pytest.raises(InputError, match=r" of 8 chunks are not there"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.ome.tif", "a.h5", "slices"])
def test_nan_is_refused_with_a_count(tmp_path: Path, name: str) -> None:
    if name == "slices":
        (tmp_path / name).mkdir()
        for k in range(3):
            tifffile.imwrite(tmp_path / name / f"a_{k}.tif", np.full((4, 5), np.nan, np.float32))
    else:
        write_volume(noise(), tmp_path / name, grid=GRID)
        broken = noise()
        broken[3, 2, 1] = np.inf
        if name == "a.nii.gz":
            nibabel.save(nibabel.Nifti1Image(broken, np.eye(4)), tmp_path / name)
        elif name == "a.h5":
            with h5py.File(tmp_path / name, "r+") as file:
                file["volume"][...] = broken
        else:
            tifffile.imwrite(tmp_path / name, broken, ome=True, photometric="minisblack", metadata={"axes": "ZYX", **MM})
    with pytest.raises(InputError, match=f"{60 if name == 'slices' else 1} of {60 if name == 'slices' else 2400} voxels are NaN or Inf"):
        read_volume(tmp_path / name, voxel_mm=1.0)


@pytest.mark.parametrize("name", ["zlib.ome.tif", "imagej.tif", "a.nii", "a.h5"])
def test_bytes_changed_at_random_end_in_a_volume_or_in_an_error_of_ours(tmp_path: Path, name: str) -> None:
    """Tags, headers and tables lie at either end of these files; whatever they say then, no exception of a library comes through."""
    path, rng = tmp_path / name, np.random.default_rng(11)
    WRITERS[name](path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(60):
        changed = bytearray(whole)
        for at in rng.integers(0, 400, 3):
            changed[at if rng.random() < 0.5 else -1 - at] = rng.integers(256)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_volume(path, voxel_mm=0.1)[0].ndim == 3
            except InputError:
                refused += 1
    assert refused > 0
