"""A process that writes every kind of output in children of its own, and stops them, lets them race, or leaves them no room.

``python every_writer.py FOLDER [FULL DISK]`` prints one JSON list a line: what was done, kind, exit codes, seconds, what was said.
Children are forked from one process that has everything imported and no thread yet: a case then takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - imported here, once, for all children
import ngff_zarr  # noqa: F401
import nibabel  # noqa: F401
import numpy as np
import tifffile  # noqa: F401
import torch
from fewview.base.files import atomic_path
from fewview.base.outputs.ownership import SIGNATURE
from fewview.cli.interrupts import as_interruption, ended_by_signals
from fewview.data import Projections, RawScan, Reconstruction, write_projections, write_skyscan, write_volume
from fewview.geometry import Grid, skyscan_1276
from fewview.nerf.training.checkpoint import write_tensors

SIZE = 64
GRID = Grid((SIZE, SIZE, SIZE), 0.1)
SCAN = skyscan_1276(rows=16, cols=24, voxel_mm=0.2)
KINDS = ("v.ome.tif", "v.nii", "v.nii.gz", "v.ome.zarr", "v.h5", "slices", "scan", "p.h5", "net.pt", "page.svg")
LIMIT_BYTES = 2_000


def write(path: Path, value: int, force: bool) -> None:
    """Write an output whose every number is ``value``."""
    if path.name == "scan":
        counts = np.full((len(SCAN), *SCAN.shape), 20_000 + value, np.uint16)
        counts[:, 0, 0] = 1  # no image is all alike
        write_skyscan(RawScan(counts, SCAN), path, force=force)
    elif path.name == "p.h5":
        write_projections(Projections(np.full((len(SCAN), *SCAN.shape), value, np.float32), SCAN), path, force=force)
    elif path.name == "net.pt":
        write_tensors(path, {"format": "fewview checkpoint 1", "state": {"w": torch.full((400, 400), float(value))}}, force=force)
    elif path.name == "page.svg":
        with atomic_path(path, force=force) as temporary:
            temporary.write_text(f"<svg><desc>{SIGNATURE}</desc>{f'<g>{value}</g>' * 100_000}</svg>")
    else:
        volume = np.full(GRID.shape, value, np.float32)
        options: dict[str, Any] = {"window": (0.0, 60_000.0)} if path.name == "slices" else {}
        write_volume(Reconstruction(volume, GRID, SCAN[:2], "fdk", {}), path, force=force, **options)


def child(work: Callable[[], int]) -> tuple[int, int]:
    """(process, end of a pipe with what it says) of a forked child that does ``work`` and ends with its return value."""
    out, into = os.pipe()
    process = os.fork()
    if process:
        os.close(into)
        return process, out
    os.dup2(into, 2)
    try:
        os._exit(work())
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
        os._exit(99)


def ended(process: int, out: int) -> tuple[int, str]:
    """(exit code, minus the signal where one ended it; what it said)."""
    _, status = os.waitpid(process, 0)
    with os.fdopen(out, "rb") as stream:
        return os.waitstatus_to_exitcode(status), stream.read().decode()


def again_and_again(path: Path) -> int:
    """Write and replace an output until a signal comes."""
    with ended_by_signals() as heard, contextlib.suppress(KeyboardInterrupt), as_interruption(heard):
        for value in range(1, 10_000):
            write(path, value, force=True)
    return 128 + (heard.number or 0)


def stuck(path: Path) -> int:
    """Write the half of a folder and go into compiled code that takes years."""
    import hashlib

    with ended_by_signals() as heard, contextlib.suppress(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("x")
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
    return 128 + (heard.number or 0)


def stop(folder: Path, kind: str, number: int, work: Callable[[Path], int], ready: Callable[[Path], bool]) -> list[Any]:
    """Start a child, and stop it by a signal some time after it is ready."""
    place = folder / f"{kind} {number}"
    place.mkdir()
    process, out = child(lambda: work(place / kind))
    while not ready(place / kind):
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.1))
    start = time.monotonic()
    os.kill(process, number)
    code, said = ended(process, out)
    return [f"signal {number}", kind, code, time.monotonic() - start, said]


def attempt(path: Path, value: int, limited: bool = False) -> int:
    """Write an output without force: 0 where it worked, 3 for an OSError, which is told."""
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))
    try:
        write(path, value, force=False)
    except OSError as error:
        os.write(2, str(error).encode())
        return 3
    return 0


def race(folder: Path, kind: str) -> list[Any]:
    """Two children write one output: how each of them ended."""
    (folder / kind).mkdir()
    both = [child(lambda value=value: attempt(folder / kind / kind, value)) for value in (1, 2)]
    ends = [ended(*each) for each in both]
    return ["race", kind, [code for code, _ in ends], 0.0, " ".join(said for _, said in ends)]


def main(folder: Path, disk: Path | None) -> None:
    """Every kind, one after the other."""

    def tell(*found: Any) -> None:
        print(json.dumps(found), flush=True)

    random.seed(0)
    for name in ("stopped", "raced", "limited"):
        (folder / name).mkdir()
    for kind in KINDS:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            tell(*stop(folder / "stopped", kind, int(number), again_and_again, Path.exists))
        tell(*race(folder / "raced", kind))
        code, said = ended(*child(lambda kind=kind: attempt(folder / "limited" / kind, 7, limited=True)))
        tell("limit", kind, code, 0.0, said)
        if disk is not None:
            code, said = ended(*child(lambda kind=kind: attempt(disk / kind, 7)))
            tell("full disk", kind, code, 0.0, said)
    for number in (signal.SIGINT, signal.SIGTERM):
        tell(*stop(folder / "stopped", "stuck", int(number), stuck, lambda path: any(path.parent.glob("*.part.*/half"))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
