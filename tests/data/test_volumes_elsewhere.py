"""What other programs see in our volumes: values, order of slices, voxel size, origin. Each file is read by a library that is not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import ngff_zarr
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from fewview.data import read_volume, write_volume
from fewview.geometry import Grid

GRID = Grid((5, 6, 7), 0.0106, (1.25, -3.1, 0.2))
TYPES = (np.float32, np.uint8, np.uint16, np.int16)


def ramp(dtype: Any = np.float32) -> np.ndarray:
    """Every voxel has its own value, so that no turn or exchange of axes goes unseen."""
    whole = np.arange(210, dtype=dtype).reshape(GRID.shape)
    return whole / np.float32(1000) if dtype is np.float32 else whole


@pytest.mark.parametrize("dtype", TYPES)
def test_simpleitk_reads_nifti_where_it_lies(tmp_path: Path, dtype: Any) -> None:
    image = SimpleITK.ReadImage(str(write_volume(ramp(dtype), tmp_path / "a.nii.gz", grid=GRID)))
    assert image.GetSpacing() == pytest.approx((0.0106,) * 3, rel=1e-6)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), ramp(dtype))
    for z, y, x in ((0, 0, 0), (4, 0, 6), (2, 5, 1)):  # SimpleITK's patient axes are LPS: x and y of NIfTI's RAS, negated
        left, posterior, superior = image.TransformIndexToPhysicalPoint((x, y, z))
        assert (-left, -posterior, superior) == pytest.approx((GRID.x_mm[x], GRID.y_mm[y], GRID.z_mm[z]), abs=1e-6)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", TYPES)
def test_simpleitk_reads_ome_tiff_with_its_pixel_size(tmp_path: Path, dtype: Any, compression: str | None) -> None:
    """ITK takes pixel sizes from the TIFF tags, and 1 for the distance of pages whatever they say."""
    image = SimpleITK.ReadImage(str(write_volume(ramp(dtype), tmp_path / "a.ome.tif", grid=GRID, compression=compression)))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), ramp(dtype))
    assert image.GetSpacing()[:2] == pytest.approx((0.0106, 0.0106), rel=1e-6)


@pytest.mark.parametrize("voxel", [1e-5, 0.0106, 0.1411134, 1 / 3, 7.0])
def test_tiff_tags_and_ome_xml_say_the_same_size(tmp_path: Path, voxel: float) -> None:
    path = write_volume(ramp(), tmp_path / "a.ome.tif", grid=Grid(GRID.shape, voxel))
    with tifffile.TiffFile(path) as tif:
        tags, ome = tif.pages[0].tags, tifffile.xml2dict(str(tif.ome_metadata))["OME"]["Image"]["Pixels"]
    assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
    for name in ("XResolution", "YResolution"):
        pixels, centimetres = tags[name].value
        assert 10 * centimetres / pixels == pytest.approx(voxel, rel=1e-6)
    for axis in "XYZ":
        assert (float(ome[f"PhysicalSize{axis}"]), ome[f"PhysicalSize{axis}Unit"]) == (pytest.approx(voxel, rel=1e-12), "mm")
    assert read_volume(path)[1].voxel_mm == pytest.approx(voxel, rel=1e-12)


def test_tifffile_and_imagej_see_a_stack_of_slices(tmp_path: Path) -> None:
    path = write_volume(ramp(), tmp_path / "a.ome.tif", grid=GRID)
    with tifffile.TiffFile(path) as tif:
        assert (tif.series[0].axes, tif.series[0].shape, len(tif.pages)) == ("ZYX", GRID.shape, 5)
        np.testing.assert_array_equal(tif.pages[3].asarray(), ramp()[3])
    # The other way: a stack as ImageJ saves it.
    spacing = {"axes": "ZYX", "spacing": 10.6, "unit": "micron"}
    tifffile.imwrite(tmp_path / "b.tif", ramp(), imagej=True, resolution=(1 / 10.6, 1 / 10.6), metadata=spacing)
    volume, grid, _ = read_volume(tmp_path / "b.tif")
    np.testing.assert_array_equal(volume, ramp())
    assert grid == Grid(GRID.shape, 0.0106)


def test_nibabel_sees_size_place_and_unit(tmp_path: Path) -> None:
    image: Any = nibabel.load(write_volume(ramp(), tmp_path / "a.nii.gz", grid=GRID))
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_zooms() == pytest.approx((0.0106,) * 3, rel=1e-6)
    np.testing.assert_allclose(image.affine @ [6, 1, 2, 1], [GRID.x_mm[6], GRID.y_mm[1], GRID.z_mm[2], 1], atol=1e-6)
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), ramp().transpose(2, 1, 0))


def test_zarr_is_what_its_specification_says(tmp_path: Path) -> None:
    """OME-NGFF 0.4 by its JSON alone, and by ngff-zarr."""
    path = write_volume(ramp(), tmp_path / "a.ome.zarr", grid=GRID)
    scales = json.loads((path / ".zattrs").read_text())["multiscales"][0]
    assert [(axis["name"], axis["type"], axis["unit"]) for axis in scales["axes"]] == [(axis, "space", "millimeter") for axis in "zyx"]
    changes = {kind: step[kind] for step in scales["datasets"][0]["coordinateTransformations"] for kind in step if kind != "type"}
    assert changes["scale"] == [0.0106] * 3
    assert changes["translation"] == pytest.approx(GRID.origin_mm[::-1].tolist())
    facts = json.loads((path / scales["datasets"][0]["path"] / ".zarray").read_text())
    assert (facts["zarr_format"], facts["shape"], facts["dtype"]) == (2, list(GRID.shape), "<f4")
    image = ngff_zarr.from_ngff_zarr(path).images[0]
    np.testing.assert_array_equal(np.asarray(image.data), ramp())


def test_hdf5_needs_no_reader_of_ours(tmp_path: Path) -> None:
    with h5py.File(write_volume(ramp(), tmp_path / "a.h5", grid=GRID)) as file:
        np.testing.assert_array_equal(file["volume"], ramp())
        assert (file["volume"].attrs["voxel_mm"], file["volume"].attrs["units"]) == (0.0106, "1/mm (z y x)")
        np.testing.assert_array_equal(file["volume"].attrs["center_mm"], GRID.center_mm)


@pytest.mark.parametrize("image", ["tif", "png", "bmp"])
def test_slices_open_as_a_series_in_order(tmp_path: Path, image: str) -> None:
    folder = write_volume(ramp(np.uint8), tmp_path / "s", grid=GRID, image=image)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(sorted(map(str, folder.glob(f"*.{image}"))))
    series = reader.Execute()
    array = SimpleITK.GetArrayFromImage(series)
    np.testing.assert_array_equal(
        array if image != "bmp" else array[..., 0], ramp(np.uint8)
    )  # ITK reads a grey BMP as three equal channels
    if image == "tif":
        assert series.GetSpacing()[:2] == pytest.approx((0.0106, 0.0106), rel=1e-6)
