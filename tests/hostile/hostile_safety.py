"""What is in the way of an output: inputs, folders of other people, links, a full disk."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hostile_case import Case, fine, refused
from hostile_room import Room
from hostile_world import log_text

FORCE = "--force"
NAY = "never|not written by fewview|did not write|did not make|input|not of such|not made by"
SMALL = 400  # bytes


def _slices_of_nrecon(room: Room) -> Path:
    """A reconstruction that another program made of the same scan."""
    return room.pictures("nrecon", "[Reconstruction]\nReconstruction Program=NRecon\nPixel Size (um)=10.6\n")


def _own_slices_with_notes(room: Room) -> Path:
    path = room.slices("mine")
    room.file("mine/what I saw in them.txt", "a day of work")
    return path


def _link(room: Room, target: Path, name: str = "link") -> Path:
    os.symlink(target, room.path / name)
    return room.path / name


def _foreign_zarr(room: Room) -> Path:
    room.file("theirs.ome.zarr/.zattrs", '{"multiscales": []}')
    room.file("theirs.ome.zarr/.zgroup", '{"zarr_format": 2}')
    room.file("theirs.ome.zarr/0/0.0.0", b"\1" * 100)
    return room.path / "theirs.ome.zarr"


def recon(name: str, out: Callable[[Room], Path], *more: str) -> Case:
    """Reconstruct onto something that is there."""
    return refused(
        f"recon onto {name}",
        lambda r: ["recon", str(r.scan()), "--out", str(out(r)), FORCE, *more],
        NAY,
    )


def onto(name: str, command: Callable[[Room], list[str]], says: str = "") -> Case:
    """Another command onto something that is there."""
    return refused(name, lambda r: [*command(r), FORCE], says or NAY)


def _results(room: Room) -> Path:
    """The least that `fewview report` takes for results."""
    room.file("results/sweep.json", '{"format": 4, "study": "table2", "info": {}, "tasks": []}')
    return room.path / "results"


@contextmanager
def small_disk(room: Room) -> Iterator[None]:
    """No file may grow beyond `SMALL` bytes: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def full(out: str) -> Case:
    """Reconstruct to a disk without room."""
    where = {"apart": SMALL} if out.endswith(".h5") else {"around": small_disk}  # HDF5 may bring the process down
    return refused(f"no room on the disk for {out}", lambda r: r.recon(r.scan(), out=out), out, **where)


RECON = [
    recon("the scan itself", lambda r: r.path / "scan"),
    recon("the scan by another spelling", lambda r: r.path / "home" / ".." / "scan"),
    recon("a link to the scan", lambda r: _link(r, r.path / "scan")),
    onto("recon onto the folder above the scan", lambda r: ["recon", str(r.scan("box/scan")), "--out", str(r.path / "box")]),
    onto(
        "recon onto a link to the folder above the scan",
        lambda r: ["recon", str(r.scan("box/scan")), "--out", str(_link(r, r.path / "box"))],
    ),
    onto("recon onto the folder above a log", lambda r: ["recon", str(r.scan() / "souris_.log"), "--out", str(r.path / "scan")]),
    recon("somebody's TIFFs", lambda r: r.pictures()),
    recon("slices of another program", _slices_of_nrecon),
    recon("somebody's documents", lambda r: r.documents()),
    recon("a link to somebody's documents", lambda r: _link(r, r.documents())),
    recon("another scan", lambda r: r.scan("yesterday")),
    recon("own slices with notes among them", _own_slices_with_notes),
    recon("somebody's Zarr", _foreign_zarr),
    recon("a folder named .ome.zarr", lambda r: r.documents("x.ome.zarr")),
    recon("a folder named .nii.gz", lambda r: r.documents("x.nii.gz")),
    recon("a folder named .h5", lambda r: r.documents("x.h5")),
    recon("a folder named .ome.tif", lambda r: r.documents("x.ome.tif")),
    recon("the current folder", lambda r: Path(".")),
    recon("the folder above the current one", lambda r: Path("..")),
    recon("the home", lambda r: r.home),
    recon("a link to the home", lambda r: _link(r, r.home)),
    onto("recon onto its own input file", lambda r: ["recon", str(r.own()), "--out", str(r.path / "own.h5")]),
    onto("recon onto a link to its input file", lambda r: ["recon", str(r.own()), "--out", str(_link(r, r.path / "own.h5", "alias.h5"))]),
    onto("recon onto its input by a hard link", lambda r: ["recon", str(r.exchange()), "--out", str(_hard(r))]),
    onto("recon with a folder where the record goes", lambda r: (r.documents("out.h5.record.json"), r.recon(r.scan()))[1]),
    refused(
        "recon with a folder where the record goes, not forced",
        lambda r: (r.documents("out.h5.record.json"), r.recon(r.scan()))[1],
        "record.json",
    ),
    refused(
        "recon with a file where the record goes, not forced",
        lambda r: (r.file("out.h5.record.json", "mine"), r.recon(r.scan()))[1],
        "record.json",
    ),
    onto("recon onto somebody's notes named .h5", lambda r: ["recon", str(r.scan()), "--out", str(r.file("diary.h5", "Dear diary"))]),
    fine("recon onto own slices", lambda r: ["recon", str(r.scan()), "--out", str(r.slices("mine")), FORCE], replaces=("mine",)),
    fine("recon onto its own file", lambda r: ["recon", str(r.scan()), "--out", str(r.h5_volume("mine.h5")), FORCE], replaces=("mine.h5",)),
    fine(
        "recon onto its own Zarr",
        lambda r: ["recon", str(r.scan()), "--out", str(r.zarr("mine.ome.zarr")), FORCE],
        replaces=("mine.ome.zarr",),
    ),
]


def _hard(room: Room) -> Path:
    os.link(room.path / "beam.h5", room.path / "hard.h5")
    return room.path / "hard.h5"


SIMULATE = [
    onto("simulate onto somebody's documents", lambda r: r.simulate(r.nifti(), out=r.documents())),
    onto("simulate onto somebody's TIFFs", lambda r: r.simulate(r.nifti(), out=r.pictures())),
    onto("simulate onto somebody's scan", lambda r: r.simulate(r.nifti(), out=r.scan())),
    onto("simulate onto its own slices", lambda r: r.simulate(r.slices(), out="slices")),
    onto("simulate onto its own file", lambda r: r.simulate(r.nifti(), out="volume.nii.gz")),
    onto(
        "simulate onto the folder above its input",
        lambda r: r.simulate((r.file("box/note.txt", "x"), r.nifti(name="box/volume.nii.gz"))[1], out="box"),
    ),
    onto("simulate onto a link to documents", lambda r: r.simulate(r.nifti(), out=_link(r, r.documents()))),
    onto("simulate onto the home", lambda r: r.simulate(r.nifti(), out=r.home)),
    onto(
        "simulate in BoneMet's layout onto documents",
        lambda r: ["simulate", "--phantom", "1", "--layout", "bonemet", "--rows", "8", "--cols", "12", "--out", str(r.documents())],
    ),
    fine(
        "simulate onto its own output", lambda r: r.simulate(r.nifti(), FORCE, out=_simulated(r)), replaces=("before", "before.record.json")
    ),
]


def _simulated(room: Room) -> Path:
    from fewview.cli.main import main

    main(room.simulate(room.nifti(name="first.nii.gz"), out="before"))
    return room.path / "before"


OTHERS = [
    onto("demo onto documents", lambda r: ["demo", "--rows", "8", "--cols", "12", "--fdk-only", "--out", str(r.documents())]),
    onto(
        "demo onto its own volume",
        lambda r: ["demo", "--rows", "8", "--cols", "12", "--fdk-only", "--volume", str(r.slices()), "--out", str(r.path / "slices")],
    ),
    onto("demo onto a scan", lambda r: ["demo", "--rows", "8", "--cols", "12", "--fdk-only", "--out", str(r.scan())]),
    onto("train onto documents", lambda r: ["train", "unet", "--data", str(r.home), "--out", str(r.documents())]),
    onto("train onto its data", lambda r: ["train", "unet", "--data", str(r.documents("data")), "--out", str(r.path / "data")]),
    onto("a drawing onto documents", lambda r: ["info", str(r.scan()), "--draw", str(r.documents())]),
    onto("a drawing onto documents named .svg", lambda r: ["info", str(r.scan()), "--draw", str(r.documents("papers.svg"))]),
    onto("a drawing onto the scan", lambda r: ["info", str(r.scan()), "--draw", str(r.path / "scan")]),
    onto(
        "a drawing onto an image of the scan",
        lambda r: ["info", str(r.scan()), "--draw", str(r.path / "scan/souris_00000003.tif")],
        "souris_00000003.tif",
    ),
    onto(
        "a drawing onto the log of the scan", lambda r: ["info", str(r.scan()), "--draw", str(r.path / "scan/souris_.log")], "souris_.log"
    ),
    onto("a report onto documents", lambda r: ["report", str(_results(r)), "--out", str(r.documents())], "papers"),
    onto("a report onto its results", lambda r: ["report", str(_results(r)), "--out", str(r.path / "results")], "results"),
    onto(
        "a calibration onto documents named .json",
        lambda r: [
            "calibrate",
            str(r.scan()),
            "--views",
            "13",
            "--keep-sense",
            "--keep-hardening",
            "--fit",
            "axis_shift",
            "--out",
            str(r.documents("papers.json")),
        ],
    ),
    onto(
        "a calibration whose picture is in the way",
        lambda r: [
            "calibrate",
            str(r.scan()),
            "--views",
            "13",
            "--keep-sense",
            "--keep-hardening",
            "--fit",
            "axis_shift",
            "--out",
            str(_beside(r)),
        ],
        "papers.png",
    ),
    onto(
        "a calibration onto the scan",
        lambda r: [
            "calibrate",
            str(r.scan()),
            "--views",
            "13",
            "--keep-sense",
            "--keep-hardening",
            "--fit",
            "axis_shift",
            "--out",
            str(r.path / "scan"),
        ],
    ),
]


def _beside(room: Room) -> Path:
    room.documents("papers.png")
    return room.path / "papers.json"


DISK = [full(out) for out in ("out.h5", "out.nii", "out.nii.gz", "out.ome.tif", "out.ome.zarr", "slices_out")] + [
    refused("no room on the disk for a scan", lambda r: r.simulate(r.nifti(), out="sim"), "sim", around=small_disk),
    refused(
        "no room on the disk for a drawing",
        lambda r: ["info", str(r.scan()), "--draw", str(r.path / "big.svg")],
        "big.svg",
        around=small_disk,
    ),
    refused("the output is there, not forced", lambda r: r.recon(r.scan(), out=r.file("out.h5", "mine")), "out.h5", "--force"),
    fine("a reference intensity beyond all numbers leaves a record that is JSON", lambda r: ["info", str(r.scan(text=log_text()))]),
]

CASES: list[Case] = [*RECON, *SIMULATE, *OTHERS, *DISK]
