"""NIfTI and TIFF volumes whose size, place, grey scale or whole content is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hostile_case import Case, fine, refused, told
from hostile_room import Room, grey
from hostile_world import attenuation


def nifti(
    name: str, then: Callable[[Any], object] | None, kind: Callable[..., Case], *says: str, array: Callable[[], Any] | None = None
) -> Case:
    """A case of a NIfTI file."""
    return kind(f"nifti: {name}", lambda r: r.simulate(r.nifti(array() if array else None, then=then)), *says)


def ome(name: str, then: Callable[[str], str], kind: Callable[..., Case], *says: str) -> Case:
    """A case of an OME-TIFF with another description."""
    return kind(f"ome: {name}", lambda r: r.simulate(r.ome(then=then)), *says)


def tiff(name: str, kind: Callable[..., Case], *says: str, array: Callable[[], Any] | None = None, **options: Any) -> Case:
    """A case of a TIFF of another program."""
    return kind(f"tiff: {name}", lambda r: r.simulate(r.tiff(array() if array else None, **options)), *says)


def _sform(image: Any) -> None:
    """The affine of a copy that was resampled while the voxel size stayed."""
    affine = np.diag([0.65, 0.65, 0.65, 1.0])
    image.header["sform_code"] = 1
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = affine[row]
    image._affine = affine
    image.header["qform_code"] = 0
    image.header["pixdim"][1:4] = 1.3
    image.update_header = lambda: None


def header(**fields: Any) -> Callable[[Any], None]:
    """Fields of the NIfTI header as they must not be, kept through saving."""

    def then(image: Any) -> None:
        for name, value in fields.items():
            image.header[name] = value
        image.update_header = lambda: None

    return then


def replace(old: str, new: str) -> Callable[[str], str]:
    """Change the OME-XML."""
    return lambda xml: re.sub(old, new, xml)


BOMB = "<!DOCTYPE OME [" + '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9)) + "]>"
OUTSIDE = '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


def _bomb(declaration: str, use: str) -> Callable[[str], str]:
    return lambda xml: re.sub(r"<\?xml[^>]*\?>", "", declaration + xml).replace('Name="', f'Name="{use}', 1)


NIFTI = [
    nifti("sound", None, fine),
    nifti("sform and pixdim disagree", _sform, told, "sform|affine", "pixdim"),
    nifti("no unit at all", lambda i: i.header.set_xyzt_units("unknown"), told, "unit"),
    nifti("voxels of 1.3 m", lambda i: i.header.set_xyzt_units("meter"), told, "volume.nii.gz", "1300|metre|meter|unit"),
    nifti("voxels of 1.3 um", lambda i: i.header.set_xyzt_units("micron"), fine),
    nifti("pixdim of 0", header(pixdim=np.zeros(8, np.float32)), refused, "volume.nii.gz"),
    nifti("pixdim not a number", header(pixdim=np.full(8, np.nan, np.float32)), refused, "volume.nii.gz"),
    nifti("sform not a number", header(srow_x=np.full(4, np.nan, np.float32)), refused, "volume.nii.gz"),
    nifti(
        "sform all zero",
        header(srow_x=np.zeros(4, np.float32), srow_y=np.zeros(4, np.float32), srow_z=np.zeros(4, np.float32)),
        refused,
        "volume.nii.gz",
    ),
    nifti("no voxels", None, refused, "volume.nii.gz", array=lambda: np.zeros((0, 16, 16), np.float32)),
    nifti("in colour", None, refused, "volume.nii.gz", array=lambda: np.zeros((16, 16, 16), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
    nifti("slope not a number", lambda i: i.header.set_slope_inter(np.nan, np.nan), fine),
    nifti("complex numbers", None, refused, "volume.nii.gz", array=lambda: attenuation().astype(np.complex64)),
    nifti(
        "not a number inside",
        None,
        refused,
        "volume.nii.gz",
        "nan|finite",
        array=lambda: np.where(attenuation() > 0.1, np.nan, attenuation()),
    ),
    nifti("all zero", None, refused, "volume.nii.gz", array=lambda: np.zeros((16, 16, 16), np.float32)),
    nifti("negative throughout", None, refused, "volume.nii.gz", array=lambda: -1 - attenuation()),
    nifti(
        "Hounsfield units, air at -1000, 16 bit",
        None,
        refused,
        "volume.nii.gz",
        "Hounsfield",
        "--window|--mu",
        array=grey(np.int16, 3000, -1000),
    ),
    nifti(
        "Hounsfield units, air at -1000, floats",
        None,
        refused,
        "volume.nii.gz",
        "Hounsfield",
        "--window|--mu",
        array=grey(np.float32, 3000, -1000),
    ),
    nifti(
        "Hounsfield units, air at -1024, 32 bit",
        None,
        refused,
        "volume.nii.gz",
        "Hounsfield",
        "--window|--mu",
        array=grey(np.int32, 3000, -1024),
    ),
    nifti("12 bit in uint16", None, told, "volume.nii.gz", "4095|12", "--window|--mu", array=grey(np.uint16, 4095)),
    nifti("10 bit in int16", None, told, "volume.nii.gz", "1023|10", "--window|--mu", array=grey(np.int16, 1023)),
    nifti("labels 0 1 2", None, refused, "volume.nii.gz", "label", array=lambda: np.digitize(attenuation(), [0.01, 0.05]).astype(np.uint8)),
    nifti(
        "labels 0 1 2 as floats",
        None,
        refused,
        "volume.nii.gz",
        "label",
        array=lambda: np.digitize(attenuation(), [0.01, 0.05]).astype(np.float32),
    ),
    nifti("a mask", None, told, "volume.nii.gz", "label|mask", array=lambda: (attenuation() > 0.01).astype(np.uint8)),
    nifti("attenuation in 1/cm", None, told, "volume.nii.gz", "1/cm|1/mm|--window|--mu", array=lambda: attenuation() * 10),
    nifti("attenuation of metal", None, told, "volume.nii.gz", "1/mm", array=lambda: attenuation() * 80),
    refused(
        "nifti: cut off",
        lambda r: (lambda p: (p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), r.simulate(p))[1])(r.nifti()),
        "volume.nii.gz",
    ),
    refused("nifti: text", lambda r: r.simulate(r.file("volume.nii", "hello")), "volume.nii"),
    refused("nifti: empty", lambda r: r.simulate(r.file("volume.nii.gz", b"")), "volume.nii.gz"),
    refused(
        "nifti: not isotropic",
        lambda r: r.simulate(r.nifti(then=lambda i: i.header.set_zooms((1.3, 1.3, 5.0)))),
        "volume.nii.gz",
        "isotropic|pixdim",
    ),
]

TIFF = [
    tiff("no voxel size", refused, "stack.tif", "voxel"),
    tiff("ImageJ without a unit", refused, "stack.tif", "voxel|unit", imagej=True, metadata={"spacing": 1.3, "axes": "ZYX"}),
    tiff(
        "ImageJ slices of another spacing",
        told,
        "stack.tif",
        "spacing",
        imagej=True,
        resolution=(1 / 1.3, 1 / 1.3),
        metadata={"spacing": 5.0, "unit": "mm", "axes": "ZYX"},
    ),
    tiff(
        "ImageJ pixels that are not square",
        told,
        "stack.tif",
        imagej=True,
        resolution=(1 / 1.3, 1 / 5),
        metadata={"spacing": 1.3, "unit": "mm", "axes": "ZYX"},
    ),
    tiff("ImageJ, sound", fine, imagej=True, resolution=(1 / 1.3, 1 / 1.3), metadata={"spacing": 1.3, "unit": "mm", "axes": "ZYX"}),
    tiff("ImageJ in furlongs", refused, "stack.tif", "furlong", imagej=True, metadata={"spacing": 1.3, "unit": "furlong", "axes": "ZYX"}),
    tiff("ImageJ spacing of 0", refused, "stack.tif", "spacing|voxel", imagej=True, metadata={"spacing": 0.0, "unit": "mm", "axes": "ZYX"}),
    tiff(
        "ImageJ spacing not a number",
        refused,
        "stack.tif",
        "spacing|voxel",
        imagej=True,
        metadata={"spacing": float("nan"), "unit": "mm", "axes": "ZYX"},
    ),
    tiff("in colour", refused, "stack.tif", array=lambda: np.stack([attenuation()] * 3, -1), photometric="rgb"),
    tiff("complex numbers", refused, "stack.tif", array=lambda: attenuation().astype(np.complex64), metadata={"spacing": 1.3}),
    refused("tiff: a single picture", lambda r: r.simulate(r.tiff(attenuation()[8])), "stack.tif"),
    refused("tiff: text", lambda r: r.simulate(r.file("stack.tif", "hello")), "stack.tif"),
    refused("tiff: cut off", lambda r: (lambda p: (p.write_bytes(p.read_bytes()[:3000]), r.simulate(p))[1])(r.tiff()), "stack.tif"),
    refused(
        "tiff: two pictures of two sizes",
        lambda r: (lambda p: (tifffile.imwrite(p, np.zeros((4, 4), np.uint8), append=True), r.simulate(p))[1])(r.tiff()),
        "stack.tif",
    ),
    ome("sound", lambda xml: xml, fine),
    ome("a billion laughs", _bomb(BOMB, "&a9;"), refused, "volume.ome.tif"),
    ome("an entity from outside", _bomb(OUTSIDE, "&x;"), refused, "volume.ome.tif"),
    ome("XML cut off", lambda xml: xml[: len(xml) // 2], refused, "volume.ome.tif"),
    ome("not XML", lambda xml: "OME? no.", refused, "volume.ome.tif"),
    ome("size negative", replace('PhysicalSizeX="[^"]*"', 'PhysicalSizeX="-1.3"'), refused, "volume.ome.tif", "PhysicalSizeX"),
    ome("size zero", replace('PhysicalSizeZ="[^"]*"', 'PhysicalSizeZ="0"'), refused, "volume.ome.tif", "PhysicalSizeZ"),
    ome("size not a number", replace('PhysicalSizeX="[^"]*"', 'PhysicalSizeX="nan"'), refused, "volume.ome.tif", "PhysicalSizeX"),
    ome("size in words", replace('PhysicalSizeX="[^"]*"', 'PhysicalSizeX="fine"'), refused, "volume.ome.tif", "PhysicalSizeX"),
    ome("size in parsec", replace('PhysicalSizeXUnit="[^"]*"', 'PhysicalSizeXUnit="pc"'), refused, "volume.ome.tif", "pc"),
    ome("size of one axis missing", replace('PhysicalSizeZ="[^"]*"', ""), refused, "volume.ome.tif", "PhysicalSizeZ|voxel"),
    ome("no unit: OME says micrometres", replace('PhysicalSize.Unit="[^"]*"', ""), fine),
    ome("another count of slices", replace('SizeZ="16"', 'SizeZ="99"'), refused, "volume.ome.tif"),
    ome("no pixels", replace("Pixels", "Voxels"), refused, "volume.ome.tif"),
    refused(
        "ome: in colour",
        lambda r: r.simulate(r.tiff(np.zeros((4, 16, 16, 3), np.uint8) + 9, "volume.ome.tif", ome=True, photometric="rgb")),
        "volume.ome.tif",
    ),
    refused(
        "ome: times, not slices",
        lambda r: r.simulate(r.ome(then=replace('SizeZ="16"(.*)SizeT="1"', r'SizeZ="1"\1SizeT="16"'))),
        "volume.ome.tif",
    ),
    refused("ome: a centre in words", lambda r: r.simulate(_centre(r, "left")), "volume.ome.tif", "center_mm"),
    refused("ome: a centre of two numbers", lambda r: r.simulate(_centre(r, "1 2")), "volume.ome.tif", "center_mm"),
    refused("ome: a centre not a number", lambda r: r.simulate(_centre(r, "nan 0 0")), "volume.ome.tif", "center_mm"),
]


def _centre(room: Room, text: str) -> Path:
    path = room.slices("own.ome.tif")
    with tifffile.TiffFile(path) as tif:
        xml = re.sub(r'(K="center_mm"[^>]*>)[^<]*', rf"\g<1>{text}", str(tif.ome_metadata))
    tifffile.tiffcomment(path, xml.encode())
    return path.rename(room.path / "volume.ome.tif")


CASES: list[Case] = [*NIFTI, *TIFF]
