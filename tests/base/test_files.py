"""What --force may replace and what never; outputs that are whole or not there; leftovers; strict JSON."""

from __future__ import annotations

import errno
import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.base.files import atomic_path, own_path, refuse_existing, refuse_strange_folder
from fewview.base.outputs.leftovers import Pending, clean, drop_all, forget, remember
from fewview.base.outputs.one_at_a_time import one_at_a_time
from fewview.base.outputs.ownership import MARKER, SIGNATURE, foreign
from fewview.base.plain import from_json, plain, to_json
from fewview.base.record import make_record, record_path, recorded_path, sha256, write_record


def _folder(path: Path, **files: str) -> Path:
    """A folder as fewview writes one."""
    with atomic_path(path) as temporary:
        temporary.mkdir()
        for name, text in files.items():
            place = temporary / name.replace("__", "/")
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
    return path


def _content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _meanwhile(output: Any, text: str, then: Callable[[], Any] = lambda: None) -> None:
    """Write ``text`` to an output that was begun, while something else happens."""
    with output as temporary:
        temporary.write_text(text)
        then()


# ---- whose is it?


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.docx", b"PK\x03\x04 my thesis"),
        ("volume.nii.gz", gzip.compress(b"\x5c\x01\0\0" + b"a volume of the clinic" * 30, mtime=0)),
        ("volume.ome.tif", b"II*\0 a stack from Fiji"),
        ("notes.txt", f"I read that the mark is {SIGNATURE!r}".encode()),
        ("data.h5", b"\x89HDF\r\n of somebody"),
        ("settings.json", b'{"command": "fewview recon"}'),
        ("page.html", b"<html>about fewview</html>"),
    ],
)
def test_a_file_of_somebody_else_stays(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileExistsError, match=r"never replaces .*fewview did not write"), atomic_path(path, force=True) as temporary:
        temporary.write_text("new")
    assert _content(tmp_path) == {name: content}


def test_a_folder_goes_only_as_it_was_written(tmp_path: Path) -> None:
    out = _folder(tmp_path / "out", a="1", deep__b="2")
    assert foreign(out) == ""
    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    assert foreign(copy) == ""  # the mark travels along
    (copy / ".DS_Store").write_text("left by the system")
    assert foreign(copy) == ""
    (copy / "deep" / "thesis.docx").write_text("mine")
    assert "deep/thesis.docx" in foreign(copy)
    (out / "a").write_text("edited by hand")
    with pytest.raises(FileExistsError, match="it holds a, which was changed"):
        refuse_existing(out, force=True)
    (out / "a").write_text("1")
    (out / "deep" / "b").unlink()
    (out / "deep" / "b").symlink_to(tmp_path / "copy")
    assert "changed" in foreign(out)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "fewview output 1", "files": 3}', "[" * 100_000, "\ud800"])
def test_a_broken_mark_is_none(tmp_path: Path, text: str) -> None:
    out = _folder(tmp_path / "out", a="1")
    (out / MARKER).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "which fewview did not write" in foreign(out)


def test_folders_of_somebody_else_stay(tmp_path: Path) -> None:
    for name, inside in (("scan", "scan_0001.tif"), ("documents", "thesis.docx"), ("nested", "empty/")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / inside).mkdir() if inside.endswith("/") else (folder / inside).write_bytes(b"II*\0")
        with pytest.raises(FileExistsError, match=inside.rstrip("/")):
            refuse_existing(folder, force=True)
    (tmp_path / "empty").mkdir()
    assert refuse_existing(tmp_path / "empty", force=True)  # nothing is in it
    assert refuse_existing(tmp_path / "new", force=False)


def test_links_and_devices_are_not_replaced(tmp_path: Path) -> None:
    out = _folder(tmp_path / "out", a="1")
    (tmp_path / "link").symlink_to(out)
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there")
    for path in (tmp_path / "link", tmp_path / "nowhere", Path(os.devnull)):
        with pytest.raises(FileExistsError, match="never replaces"):
            refuse_existing(path, force=True)
        with pytest.raises(FileExistsError):
            refuse_existing(path, force=False)


def test_inputs_and_what_holds_them_stay_however_they_are_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = _folder(tmp_path / "outer", scan__a="1")
    (tmp_path / "link").symlink_to(outer / "scan")
    monkeypatch.chdir(tmp_path)
    spellings: list[Callable[[], Any]] = [
        lambda: refuse_existing("outer", True, ["outer/scan"]),
        lambda: refuse_existing("outer/", True, ["link"]),
        lambda: refuse_existing("outer/scan/../../outer", True, [outer / "scan"]),
        lambda: refuse_existing("link", True, ["outer/scan"]),
        lambda: refuse_existing("outer/scan/a", True, ["outer/../link/a"]),
    ]
    for ask in spellings:
        with pytest.raises(FileExistsError, match=r"never replaces .*the input"):
            ask()
    assert refuse_existing("outer", True, [])


def test_the_home_and_the_current_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, home = _folder(tmp_path / "work", sub__a="1"), _folder(tmp_path / "home", a="1")
    monkeypatch.chdir(here / "sub")
    monkeypatch.setenv("HOME", str(home))
    for path in (".", "..", here, here / "sub", home, home / ".." / "home", tmp_path, "/"):
        with pytest.raises(FileExistsError, match="never replaces"):
            refuse_existing(path, force=True)


# ---- outputs of versions without a mark


def test_a_record_vouches_for_what_it_names_and_nobody_changed(tmp_path: Path) -> None:
    volume = tmp_path / "v.nii.gz"
    volume.write_bytes(b"as fewview 0.1 wrote it")
    write_record(make_record("fewview recon scan", outputs=["elsewhere/v.nii.gz"]), volume)
    assert foreign(volume) == ""
    later = record_path(volume).stat().st_mtime + 60
    os.utime(volume, (later, later))
    assert "did not write" in foreign(volume)  # another program saved it since
    other = tmp_path / "w.nii.gz"
    other.write_bytes(b"mine")
    shutil.copy(record_path(volume), record_path(other))
    assert "did not write" in foreign(other)  # the record is of something else


def test_slices_and_demos_of_before_count_and_what_is_added_does_not(tmp_path: Path) -> None:
    slices, demo = tmp_path / "slices", tmp_path / "demo"
    slices.mkdir()
    (slices / "slice_rec.log").write_bytes(b"[Reconstruction]\r\nReconstruction Program=fewview\r\n")
    (slices / "slice_rec0000.tif").write_bytes(b"II*\0")
    (demo / "scan").mkdir(parents=True)
    for name in ("scan/scan_00000000.tif", "scan/scan_.log", "fdk_26.ome.tif", "report.html", "overview.png"):
        (demo / name).write_bytes(b"x")
    (demo / "fdk_26.ome.tif.record.json").write_text(to_json(make_record("fewview demo --out demo")))
    assert foreign(slices) == foreign(demo) == ""
    (slices / "slice_rec0000.tif.txt").write_text("notes")
    (demo / "mine.txt").write_text("notes")
    assert foreign(slices)
    assert foreign(demo)
    (slices / "slice_rec.log").write_bytes(b"[Reconstruction]\r\nReconstruction Program=NRecon\r\n")
    (slices / "slice_rec0000.tif.txt").unlink()
    assert foreign(slices)


def test_a_folder_that_grows_is_ours_or_has_none_of_our_names(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"report.html, which fewview did not write"):
        refuse_strange_folder(tmp_path, "sweep.json", ("records", "report.html"))
    (tmp_path / "sweep.json").write_text("{}")
    assert refuse_strange_folder(tmp_path, "sweep.json", ("records", "report.html")) == tmp_path


# ---- all or nothing


def test_of_two_writers_one_wins_and_the_other_says_that_it_lost(tmp_path: Path) -> None:
    for kind in ("file", "folder"):
        out, answers, lost, together = tmp_path / kind, [], [], threading.Barrier(4)

        def write(number: int, out: Path = out, answers: Any = answers, lost: Any = lost, together: Any = together) -> None:
            try:
                with atomic_path(out) as temporary:
                    if out.name == "folder":
                        temporary.mkdir()
                    (temporary / "a" if out.name == "folder" else temporary).write_text(f"{number}" * 1000)
                    together.wait()
                answers.append(number)
            except FileExistsError as error:
                lost.append(str(error))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = answers
        assert ["in the meantime" in message for message in lost] == [True] * 3
        assert (out / "a" if kind == "folder" else out).read_text() == f"{winner}" * 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_without_hard_links_one_wins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with atomic_path(tmp_path / "a") as first:
        first.write_text("first")
        with pytest.raises(FileExistsError, match="in the meantime"):
            _meanwhile(atomic_path(tmp_path / "b"), "second", lambda: (tmp_path / "b").write_text("a third one"))
    assert _content(tmp_path) == {"a": b"first", "b": b"a third one"}


def test_with_force_the_last_folder_stays_and_nothing_else(tmp_path: Path) -> None:
    out = _folder(tmp_path / "out", a="0")
    with atomic_path(out, force=True) as first:
        first.mkdir()
        (first / "a").write_text("1")
        with atomic_path(out, force=True) as second:
            second.mkdir()
            (second / "b").write_text("22")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (out / "a").read_text() == "1"
    assert not (out / "b").exists()


def test_what_appears_while_we_write_is_not_replaced_by_force_either(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="did not write"):
        _meanwhile(atomic_path(tmp_path / "a.h5", force=True), "ours", lambda: (tmp_path / "a.h5").write_text("theirs"))
    assert _content(tmp_path) == {"a.h5": b"theirs"}


def test_output_and_record_come_together_or_not_at_all(tmp_path: Path) -> None:
    def full() -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"a\.bin"), recorded_path(tmp_path / "deep" / "a.bin", full) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == []  # nor the folder that was made for it
    loser, winner = (recorded_path(tmp_path / "b", lambda who=who: make_record(f"fewview {who}")) for who in ("loser", "winner"))
    with pytest.raises(FileExistsError, match="in the meantime"):
        _meanwhile(loser, "loser", lambda: _meanwhile(winner, "winner"))
    assert (tmp_path / "b").read_text() == "winner"
    assert json.loads(record_path(tmp_path / "b").read_text())["command"] == "fewview winner"


def test_an_error_never_names_the_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.txt") as temporary:
        temporary.read_text()
    assert caught.value.filename == str(tmp_path / "a.txt")
    with (
        pytest.raises(OSError, match=r"a\.bin could not be written \(40 requested and 12 written\): is the disk full"),
        own_path(tmp_path / "a.bin"),
    ):
        raise OSError("40 requested and 12 written")  # as numpy says it


# ---- what a killed run leaves


_KILLED = """
import os, sys
from pathlib import Path
from fewview.base.files import atomic_path
from fewview.base.outputs.leftovers import Pending
with atomic_path(Path(sys.argv[1]) / "new") as temporary:
    temporary.write_text("half")
    pending = Pending.of(Path(sys.argv[1]) / "put aside")
    os.rename(Path(sys.argv[1]) / "put aside", pending.old)
    os.kill(os.getpid(), 9)
"""


def test_the_next_run_cleans_up_after_a_killed_one_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "put aside").write_text("the only copy")
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    mine, others = Pending.of(tmp_path / "mine").temporary, tmp_path / ".fewview-00000000-1-12345678.part.theirs"
    mine.write_text("a process that lives")
    others.write_text("another machine")
    with pytest.warns(UserWarning, match=r"was removed|was put back|unfinished output") as said, atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("x")
    assert len(said) == 3
    assert {p.name for p in tmp_path.iterdir()} == {"put aside", "x", mine.name, others.name}
    assert (tmp_path / "put aside").read_text() == "the only copy"


def test_dropping_everything_restores_what_was_put_aside(tmp_path: Path) -> None:
    old = _folder(tmp_path / "out", a="old")
    pending = Pending.of(old)
    pending.temporary.mkdir()
    os.rename(old, pending.old)
    remember(pending)
    writing = True

    def write() -> None:
        while writing:
            try:
                (pending.temporary / f"{time.monotonic_ns()}").write_text("x")
            except OSError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    drop_all()
    writing = False
    thread.join()
    forget(pending)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (old / "a").read_text() == "old"
    clean(tmp_path)  # nothing to say


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    for name in ("µ" * 125 + ".h5", "n" * 251 + ".h5"):
        with atomic_path(tmp_path / name) as temporary:
            assert temporary.suffix == ".h5"
            temporary.write_text("x")
        assert (tmp_path / name).read_text() == "x"


_AT_WORK = """
import os, sys
from fewview.base.outputs.one_at_a_time import one_at_a_time
with one_at_a_time(sys.argv[1]):
    os.kill(os.getpid(), 9)
"""


def test_a_killed_run_does_not_keep_its_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _AT_WORK, str(tmp_path)], check=False)
    with one_at_a_time(tmp_path), pytest.raises(FileExistsError, match="another run is at work"), one_at_a_time(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    marked = _folder(tmp_path / "marked", a="1")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a").write_text("1")
    assert sha256(marked) == sha256(tmp_path / "plain")


# ---- strict JSON


def test_numbers_that_json_has_not_come_back(tmp_path: Path) -> None:
    facts = {"a": math.inf, "b": [-math.inf, math.nan, 1.5], "c": np.array([np.inf, 2], np.float32), "d": {np.float64("nan"): 1}}
    path = write_record({"command": "x", **facts}, tmp_path / "o")
    strict = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (strict["a"], strict["b"], strict["c"]) == ("Infinity", ["-Infinity", "NaN", 1.5], ["Infinity", 2.0])
    back = from_json(path.read_text())
    assert (back["a"], back["b"][0], back["c"]) == (math.inf, -math.inf, [math.inf, 2.0])
    assert math.isnan(back["b"][1])
    assert float(plain(math.inf)) == math.inf


def test_a_file_name_that_is_not_utf8_can_be_recorded(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.nii")
    path = write_record({"command": "x", "path": name, "word": "µm"}, tmp_path / "o")
    assert json.loads(path.read_text(encoding="utf-8")) == {"written_by": "fewview", "command": "x", "path": name, "word": "µm"}
