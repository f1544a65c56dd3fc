"""The hash of a folder is remembered while nothing in it changes, and any change of a file is noticed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fewview.base.record import sha256
from fewview.data.catalogue import known_hashes
from fewview.data.catalogue.known_hashes import known_sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "xrays"
    made.mkdir()
    for n in range(3):
        (made / f"xray_{n}.PNG").write_bytes(bytes([n]) * 1000)
    return made


def test_files_that_did_not_change_are_not_read_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "memory"
    first = known_sha256(folder, memory, settled_s=0)
    assert first == sha256(folder)

    def fail(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(known_hashes, "sha256", fail)
    assert known_sha256(folder, memory, settled_s=0) == first
    with pytest.raises(AssertionError, match="was read"):
        known_sha256(folder, tmp_path / "another memory", settled_s=0)


def test_every_change_of_a_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    seen = {known_sha256(folder, memory, settled_s=0)}
    one = folder / "xray_1.PNG"
    times = one.stat()
    one.write_bytes(b"\x09" * 1000)  # as large as before
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))  # and as old, as it says
    seen.add(known_sha256(folder, memory, settled_s=0))
    one.rename(folder / "xray_9.PNG")
    seen.add(known_sha256(folder, memory, settled_s=0))
    (folder / "xray_0.PNG").unlink()
    seen.add(known_sha256(folder, memory, settled_s=0))
    assert len(seen) == 4
    assert sha256(folder) in seen


def test_what_changed_just_now_is_not_remembered_and_a_damaged_memory_is_made_again(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    right = known_sha256(folder, memory, settled_s=3600)
    assert not memory.exists()
    known_sha256(folder, memory, settled_s=0)
    (kept,) = memory.iterdir()
    kept.write_text('{"state": 1')
    assert known_sha256(folder, memory, settled_s=0) == right
    assert json.loads(kept.read_text())["sha256"] == right


def test_a_memory_that_cannot_be_written_costs_time_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert known_sha256(folder, tmp_path / "file" / "memory", settled_s=0) == sha256(folder)
