"""HDF5 files that are broken, or say what cannot be: our own and those of a beamline."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hostile_case import Case, fine, refused, right, told, warned
from hostile_room import Room
from hostile_world import cone_integrals, parallel_integrals

PIXEL = "measurement/instrument/detector/actual_pixel_size_x"


def put(name: str, value: Any, **attrs: Any) -> Callable[[h5py.File], None]:
    """Put a value in place of an item."""

    def then(file: h5py.File) -> None:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file[name] = value
        for key, item in {**kept, **attrs}.items():
            file[name].attrs[key] = item

    return then


def drop(name: str) -> Callable[[h5py.File], None]:
    """Take an item out."""

    def then(file: h5py.File) -> None:
        del file[name]

    return then


def group(name: str) -> Callable[[h5py.File], None]:
    """A group where a dataset belongs."""

    def then(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)["x"] = 1

    return then


def attr(name: str, key: str, value: Any) -> Callable[[h5py.File], None]:
    """Change an attribute; None takes it out."""

    def then(file: h5py.File) -> None:
        if value is None:
            del file[name].attrs[key]
        else:
            file[name].attrs[key] = value

    return then


def link(name: str, target: Any) -> Callable[[h5py.File], None]:
    """A link in place of an item."""

    def then(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return then


def _circle(name: str) -> Callable[[h5py.File], None]:
    def then(file: h5py.File) -> None:
        del file[name]
        file[name] = h5py.SoftLink("/circle")
        file["circle"] = h5py.SoftLink(f"/{name}")

    return then


def _each_other(room: Room, name: str, make: Callable[[], Path]) -> list[str]:
    """Two files whose links point at each other."""
    path = make()
    with h5py.File(room.path / "other.h5", "w") as file:
        file["there"] = h5py.ExternalLink(str(path), f"/{name}")
    room.change(path, link(name, h5py.ExternalLink(str(room.path / "other.h5"), "/there")))
    return room.recon(path)


def _huge(name: str) -> Callable[[h5py.File], None]:
    def then(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape=(60, 1_000_000, 1_000_000), dtype="u2", chunks=(1, 1024, 1024))

    return then


def _vector(name: str, value: float) -> Callable[[h5py.File], None]:
    def then(file: h5py.File) -> None:
        file[f"scan/{name}"][...] = value

    return then


def own(name: str, then: Callable[[h5py.File], None], kind: Callable[..., Case], *says: str) -> Case:
    """A case of our own file of line integrals."""
    return kind(f"own: {name}", lambda r: r.recon(r.own(then=then)), *says)


def beam(name: str, then: Callable[[h5py.File], None], kind: Callable[..., Case], *says: str) -> Case:
    """A case of a Data Exchange file."""
    return kind(f"beamline: {name}", lambda r: r.recon(r.exchange(then=then)), *says)


def broken(name: str, content: bytes, *says: str) -> Case:
    """A file that is not HDF5."""
    return refused(name, lambda r: r.recon(r.file("scan.h5", content)), "scan.h5", *says)


def _cut(room: Room) -> list[str]:
    path = room.exchange()
    path.write_bytes(path.read_bytes()[:50_000])
    return room.recon(path)


def _no_group(file: h5py.File) -> None:
    del file["exchange"]
    file["exchange"] = 5


def _radians(file: h5py.File) -> None:
    put("exchange/theta", np.radians(np.arange(60) * 3.0))(file)
    if "units" in file["exchange/theta"].attrs:
        del file["exchange/theta"].attrs["units"]


OWN = [
    own("a group for the values", group("values"), refused, "own.h5", "values"),
    own("no values", drop("values"), refused, "own.h5", "values"),
    own("values in two dimensions", put("values", np.zeros((4, 4), np.float32)), refused, "own.h5", "values|projections"),
    own("values in words", put("values", np.array([b"a", b"b"])), refused, "own.h5", "values"),
    own("values of records", put("values", np.zeros((52, 16, 32), [("a", "f4"), ("b", "i4")])), refused, "own.h5", "values"),
    own("values complex", put("values", np.zeros((52, 16, 32), np.complex64)), refused, "own.h5", "values"),
    own("values of another count", put("values", np.zeros((51, 16, 32), np.float32)), refused, "own.h5", "51"),
    own("values not a number", put("values", np.full((52, 16, 32), np.nan, np.float32)), refused, "own.h5", "NaN"),
    own("values all zero", put("values", np.zeros((52, 16, 32), np.float32)), told, "own.h5", "0|zero|nothing"),
    own(
        "values that are counts",
        put("values", (57_000 * np.exp(-cone_integrals())).astype(np.float32)),
        told,
        "own.h5",
        "line integral|count",
    ),
    own("values with the wrong sign", put("values", -cone_integrals().astype(np.float32)), told, "own.h5", "negative"),
    own("values of 100 TB", _huge("values"), refused, "own.h5", "memory|GiB|values"),
    own("values elsewhere", link("values", h5py.ExternalLink("gone.h5", "/values")), refused, "own.h5", "values"),
    own("values in a circle", _circle("values"), refused, "own.h5", "values"),
    own("values behind a link to nothing", link("values", h5py.SoftLink("/nothing")), refused, "own.h5", "values"),
    refused("own: two files that point at each other", lambda r: _each_other(r, "values", r.own), "own.h5", "values"),
    own("no meta", drop("meta"), refused, "own.h5", "meta"),
    own("meta not JSON", put("meta", "{not json"), refused, "own.h5", "meta"),
    own("meta a list", put("meta", "[1, 2]"), refused, "own.h5", "meta"),
    own("meta a number", put("meta", 3.0), refused, "own.h5", "meta"),
    own("meta ten thousand brackets deep", put("meta", "[" * 10_000 + "]" * 10_000), refused, "own.h5", "meta"),
    own("meta that names an array that is not there", put("meta", '{"x": {"dataset in meta_data": "9999"}}'), refused, "own.h5", "9999"),
    own("meta with infinity", put("meta", '{"prepare": {"air_level": Infinity}}'), right),
    own("assumptions a number", put("meta", '{"assumptions": 5}'), refused, "own.h5", "assumptions"),
    own("warnings a word", put("meta", '{"warnings": "oops"}'), refused, "own.h5", "warnings"),
    own("facts of views a word", put("meta", '{"per_view": "x"}'), refused, "own.h5", "per_view"),
    own("facts of fewer views", put("meta", '{"per_view": {"air_level": [1, 2]}}'), refused, "own.h5", "air_level", "52"),
    own("corrections a number", put("meta", '{"corrections": 7}'), refused, "own.h5", "corrections"),
    own("voltage in words", put("meta", '{"voltage_kv": "fifty"}'), refused, "own.h5", "voltage_kv"),
    own("no meta_data", drop("meta_data"), refused, "own.h5", "meta_data"),
    own("no scan", drop("scan"), refused, "own.h5", "scan"),
    own("scan a number", put("scan", 5), refused, "own.h5", "scan"),
    own("no scan/u", drop("scan/u"), refused, "own.h5", "u"),
    own("scan/u of another length", put("scan/u", np.zeros((3, 3))), refused, "own.h5", "u"),
    own("scan/u all zero", _vector("u", 0.0), refused, "own.h5", "u"),
    own("scan/source in the middle of the object", _vector("source", 0.0), refused, "own.h5", "source"),
    own("scan/source not a number", _vector("source", np.nan), refused, "own.h5", "source"),
    own("scan/source 1e300 mm away", _vector("source", 1e300), refused, "own.h5", "source"),
    own("scan/detector in words", put("scan/detector", np.array([[b"a"] * 3] * 52)), refused, "own.h5", "detector"),
    own("no angles", drop("scan/angles_deg"), refused, "own.h5", "angles_deg"),
    own("no shape", attr("scan", "shape", None), refused, "own.h5", "shape"),
    own("shape in words", attr("scan", "shape", "large"), refused, "own.h5", "shape"),
    own("another shape", attr("scan", "shape", (8, 8)), refused, "own.h5", "(8, 8)|8 x 8|shape"),
    own("format of the future", attr("/", "format", "fewview projections 2"), refused, "own.h5", "projections 2"),
    own("format in bytes", attr("/", "format", np.bytes_(b"fewview projections 1")), right),
    own("format a number", attr("/", "format", 7), refused, "own.h5"),
    own("no format", attr("/", "format", None), refused, "own.h5"),
    right("own: sound", lambda r: r.recon(r.own())),
    refused("own: the volume for the scan", lambda r: r.recon(r.h5_volume()), "volume.h5", "volume"),
]

BEAM = [
    beam("sound", lambda file: None, fine, "middle|axis"),
    beam("no theta", drop("exchange/theta"), refused, "beam.h5", "theta"),
    beam("a group for theta", group("exchange/theta"), refused, "beam.h5", "theta"),
    beam("theta in words", put("exchange/theta", np.array([b"a"] * 60)), refused, "beam.h5", "theta"),
    beam("theta not a number", put("exchange/theta", np.full(60, np.nan)), refused, "beam.h5", "theta"),
    beam("theta all zero", put("exchange/theta", np.zeros(60)), refused, "beam.h5", "theta"),
    beam("theta of 1e9", put("exchange/theta", np.arange(60) * 1e9), refused, "beam.h5", "theta"),
    beam("theta in steps of 400 deg", put("exchange/theta", np.arange(60) * 400.0), told, "theta"),
    beam("theta of another count", put("exchange/theta", np.arange(59) * 3.0), refused, "beam.h5", "theta", "59"),
    beam("theta in radians, not said", _radians, told, "theta", "rad"),
    beam("theta with a unit of 5", attr("exchange/theta", "units", 5), told, "theta"),
    beam("theta in furlongs", attr("exchange/theta", "units", "furlong"), told, "theta", "furlong"),
    beam("a group for data", group("exchange/data"), refused, "beam.h5", "exchange/data"),
    beam("data a number", put("exchange/data", 5), refused, "beam.h5", "exchange/data"),
    beam("data in two dimensions", put("exchange/data", np.zeros((60, 32), np.uint16)), refused, "beam.h5", "exchange/data"),
    beam("data in four dimensions", put("exchange/data", np.zeros((1, 60, 16, 32), np.uint16)), refused, "beam.h5", "exchange/data"),
    beam("data in words", put("exchange/data", np.full((60, 16, 32), b"a")), refused, "beam.h5", "exchange/data"),
    beam("data empty", put("exchange/data", np.zeros((60, 0, 32), np.uint16)), refused, "beam.h5", "exchange/data"),
    beam("data not a number", put("exchange/data", np.full((60, 16, 32), np.nan, np.float32)), refused, "beam.h5", "exchange/data"),
    beam("data of 100 TB", _huge("exchange/data"), refused, "beam.h5|memory"),
    beam("data that are line integrals", put("exchange/data", parallel_integrals().astype(np.float32)), told, "beam.h5", "line integral"),
    beam("data elsewhere", link("exchange/data", h5py.ExternalLink("gone.h5", "/data")), refused, "beam.h5", "exchange/data"),
    beam("data in a circle", _circle("exchange/data"), refused, "beam.h5", "exchange/data"),
    refused(
        "beamline: two files that point at each other", lambda r: _each_other(r, "exchange/data", r.exchange), "beam.h5", "exchange/data"
    ),
    beam("exchange a number", _no_group, refused, "beam.h5", "exchange"),
    beam(
        "white of another size",
        put("exchange/data_white", np.full((3, 8, 8), 50_000, np.uint16)),
        refused,
        "beam.h5|data_white",
        "white|flat",
    ),
    beam("white all zero", put("exchange/data_white", np.zeros((3, 16, 32), np.uint16)), refused, "white|flat"),
    beam("white darker than the dark", put("exchange/data_dark", np.full((3, 16, 32), 60_000, np.uint16)), refused, "white|flat", "dark"),
    beam("white not a number", put("exchange/data_white", np.full((3, 16, 32), np.nan, np.float32)), refused, "white|flat"),
    beam("a group for white", group("exchange/data_white"), refused, "beam.h5", "data_white"),
    beam("a group for dark", group("exchange/data_dark"), refused, "beam.h5", "data_dark"),
    beam("white in words", put("exchange/data_white", np.full((3, 16, 32), b"a")), refused, "beam.h5|data_white", "white|flat"),
    beam("no white at all", drop("exchange/data_white"), fine, "data_white|flat|white"),
    beam(
        "white and dark exchanged",
        lambda f: (
            put("exchange/data_white", np.zeros((3, 16, 32), np.uint16))(f),
            put("exchange/data_dark", np.full((3, 16, 32), 50_000, np.uint16))(f),
        ),
        refused,
        "exchanged|dark",
    ),
    beam("a group for the pixel size", group(PIXEL), refused, "beam.h5", "pixel"),
    beam("pixel size in words", put(PIXEL, b"small"), refused, "beam.h5", "pixel"),
    beam("pixel size of 0", put(PIXEL, 0.0), told, "beam.h5", "pixel"),
    beam("pixel size negative", put(PIXEL, -1.3), told, "beam.h5", "pixel"),
    beam("pixel size not a number", put(PIXEL, np.nan), told, "beam.h5", "pixel"),
    beam("pixel size empty", put(PIXEL, np.zeros(0)), told, "beam.h5", "pixel"),
    beam("pixel size of 1.3 m", attr(PIXEL, "units", "m"), told, "pixel"),
    beam("pixel size in parsec", attr(PIXEL, "units", "parsec"), refused, "beam.h5", "parsec", "pixel_mm"),
    beam("no pixel size", drop(PIXEL), warned, "pixel"),
    refused("beamline: pixel_mm of 0", lambda r: r.recon(r.exchange(), "--read-as", "pixel_mm=0"), "pixel_mm"),
    refused("beamline: pixel_mm of nan", lambda r: r.recon(r.exchange(), "--read-as", "pixel_mm=nan"), "pixel_mm"),
    refused("beamline: pixel_mm in words", lambda r: r.recon(r.exchange(), "--read-as", "pixel_mm=small"), "pixel_mm"),
    refused("beamline: axis_shift_mm of 1e9", lambda r: r.recon(r.exchange(), "--read-as", "axis_shift_mm=1e9"), "axis_shift_mm"),
    refused("beamline: axis_shift_mm in words", lambda r: r.recon(r.exchange(), "--read-as", "axis_shift_mm=left"), "axis_shift_mm"),
]

FILES = [
    broken("an empty .h5", b""),
    broken("an .h5 of text", b"hello"),
    broken("an .h5 of nothing but its signature", b"\x89HDF\r\n\x1a\n" + bytes(40)),
    refused("an .h5 cut off", _cut, "beam.h5"),
    refused("a folder named .h5", lambda r: ((r.path / "scan.h5").mkdir(), r.recon(r.path / "scan.h5"))[1], "scan.h5"),
    refused(
        "a link to itself named .h5",
        lambda r: (os.symlink(r.path / "scan.h5", r.path / "scan.h5"), r.recon(r.path / "scan.h5"))[1],
        "scan.h5",
    ),
]

CASES: list[Case] = [*OWN, *BEAM, *FILES]
