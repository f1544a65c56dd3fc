"""Signals, races and full disks, with every kind of output: whole or not there, nothing left over, and an end within two seconds."""

from __future__ import annotations

import importlib
import json
import pkgutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fewview
import numba.core.dispatcher
import numpy as np
import pytest
import torch
from every_writer import KINDS, write
from fewview.base.outputs.ownership import foreign
from fewview.cli.interrupts import Heard, as_interruption, ended_by_signals
from fewview.data import read, read_volume
from fewview.data.images.image_files import read_image
from fewview.data.scans.skyscan import open_skyscan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are those of Unix")
ENDS_S = 3.0  # two seconds, and one more for a busy machine
SIGNALS = ("signal 2", "signal 15", "signal 9")


class Done(NamedTuple):
    """What `every_writer` did, and what came of it."""

    codes: Any
    seconds: float
    said: str


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A file system of one page, 4 kB; None where it cannot be mounted."""
    place = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)], capture_output=True, check=False)
    yield place if mounted.returncode == 0 else None
    if mounted.returncode == 0:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, small_disk: Path | None) -> tuple[Path, dict[tuple[str, str], Done]]:
    """(folder, (what, kind) -> what came of it)."""
    folder = tmp_path_factory.mktemp("outputs")
    words = [sys.executable, str(Path(__file__).with_name("every_writer.py")), str(folder), *([str(small_disk)] if small_disk else [])]
    lines = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout.splitlines()
    return folder, {(what, kind): Done(*rest) for what, kind, *rest in map(json.loads, lines)}


def _value(path: Path) -> float:
    """The one number that an output of `every_writer` holds everywhere; anything half-written fails here."""
    if path.name == "scan":
        raw = open_skyscan(path)
        found = np.array([read_image(file)[1:] for file in raw.views.files]) - 20_000.0
    elif path.name == "p.h5":
        found = read(path).values
    elif path.name == "net.pt":
        found = torch.load(path, weights_only=True)["state"]["w"].numpy()
    elif path.name == "page.svg":
        text = path.read_text()
        assert text.endswith("</svg>")
        found = np.array([int(part.partition("</g>")[0]) for part in text.split("<g>")[1:]])
        assert len(found) == 100_000
    else:
        found = read_volume(path)[0].round()
    assert found.size > 1000
    assert np.unique(found).size == 1
    return float(found.flat[0])


def _hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*") if p.name != ".fewview.json" and p.name[1] != "z"]  # .zattrs and others are of a Zarr


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stops_a_run_an_output_is_whole(ended: tuple[Path, dict[tuple[str, str], Done]], kind: str) -> None:
    folder, done = ended
    for what in SIGNALS:
        number = int(what.split()[1])
        place, found = folder / "stopped" / f"{kind} {number}", done[what, kind]
        assert found.codes == (-number if number == 9 else 128 + number)
        assert found.seconds < ENDS_S
        if number == 9:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                write(place / "page.svg", 1, force=True)  # the next run, of another kind
            assert all("killed" in str(warning.message) for warning in told)
        assert _value(place / kind) >= 1
        assert foreign(place / kind) == ""
        assert _hidden(place) == []


@pytest.mark.parametrize("number", [2, 15])
def test_compiled_code_that_does_not_end_is_ended(ended: tuple[Path, dict[tuple[str, str], Done]], number: int) -> None:
    folder, done = ended
    found = done[f"signal {number}", "stuck"]
    assert (found.codes, list((folder / "stopped" / f"stuck {number}").iterdir())) == (128 + number, [])
    assert found.seconds < ENDS_S
    assert "cut off" in found.said


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_processes_one_wins(ended: tuple[Path, dict[tuple[str, str], Done]], kind: str) -> None:
    folder, done = ended
    found = done["race", kind]
    assert sorted(found.codes) == [0, 3]
    assert kind in found.said
    assert _value(folder / "raced" / kind / kind) == 1 + found.codes.index(0)
    assert _hidden(folder / "raced" / kind) == []


@pytest.mark.parametrize("what", ["limit", "full disk"])
@pytest.mark.parametrize("kind", KINDS)
def test_where_there_is_no_room_nothing_is_left(
    ended: tuple[Path, dict[tuple[str, str], Done]], small_disk: Path, kind: str, what: str
) -> None:
    folder, done = ended
    if (what, kind) not in done:
        pytest.skip("a small disk can be mounted by root alone")
    found, place = done[what, kind], folder / "limited" if what == "limit" else small_disk
    assert found.codes == 3, found.said
    assert kind in found.said
    assert ".part." not in found.said
    assert list(place.iterdir()) == []


_METHODS = """
import hashlib, os, signal, time
import numpy as np
from fewview.recon import Method, Progress

def stuck(projections, grid):
    open("begun", "w").close()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)

def steps(projections, grid, settings, callbacks):
    for step in range(1, 1000):
        for call in callbacks:
            call(Progress(step, 1000, np.full(grid.shape, step, np.float32), {}))
        if step == 3:
            open("begun", "w").close()
            time.sleep(60)

STEPS = Method("steps", steps)
"""


@pytest.mark.parametrize(("method", "number", "says"), [("stuck", signal.SIGINT, "cut off"), ("STEPS", signal.SIGTERM, "step 3")])
def test_the_command_itself(tmp_path: Path, method: str, number: int, says: str) -> None:
    write(tmp_path / "p.h5", 1, force=False)
    (tmp_path / "own.py").write_text(_METHODS)
    command = [sys.executable, "-c", "import sys; from fewview.cli.main import main; sys.exit(main())"]
    words = ["recon", "p.h5", "--method", f"own.py:{method}", "--out", "v.nii"]
    process = subprocess.Popen([*command, *words], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - start < ENDS_S
    assert process.returncode == 128 + number
    assert says in err.splitlines()[-1]
    if method == "STEPS":
        assert (read_volume(tmp_path / "v.nii")[0] == 3).all()
    assert _hidden(tmp_path) == []


def test_an_error_that_a_library_made_of_a_signal_is_an_interruption() -> None:
    class Stopped:
        """A file that is told apart, as by numpy's `tofile`, in the moment of the signal."""

        @property
        def __class__(self) -> type:
            signal.raise_signal(signal.SIGTERM)
            return object

    with ended_by_signals() as heard, pytest.raises(KeyboardInterrupt), as_interruption(heard):
        np.zeros(3).tofile(Stopped())  # a TypeError of numpy 2.4
    assert heard.number == signal.SIGTERM
    with pytest.raises(TypeError), as_interruption(Heard()):
        raise TypeError("an error of its own")


def test_compiled_loops_let_other_threads_run() -> None:
    """A loop that keeps Python's lock keeps the thread that hears signals from ending the process."""
    found = {}
    for module in pkgutil.walk_packages(fewview.__path__, "fewview."):
        if module.name.startswith("fewview.tests") or not any(word in module.name for word in ("recon", "phantom", "nerf", "bone")):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ImportError:  # what an optional package would bring
            continue
        for name, thing in vars(loaded).items():
            if isinstance(thing, numba.core.dispatcher.Dispatcher) and thing.targetoptions.get("parallel"):
                found[f"{module.name}.{name}"] = bool(thing.targetoptions.get("nogil"))
    assert len(found) > 15
    assert [name for name, lets in found.items() if not lets] == []
