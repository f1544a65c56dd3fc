"""Damaged, odd and hostile inputs: each case of the tables is refused by name, warned about, or right, and never costs anybody data.

`pending.txt` lists the cases that do not hold yet; one that begins to hold must be taken out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hostile_bone
import hostile_commands
import hostile_hdf5
import hostile_images
import hostile_logs
import hostile_options
import hostile_places
import hostile_safety
import hostile_stacks
import hostile_volumes
import numpy as np
import pytest
from hostile_case import Case, play
from hostile_room import Room
from hostile_world import PIXEL_MM, total_attenuation_mm2

TABLES = {
    "safety": hostile_safety.CASES,
    "images": hostile_images.CASES,
    "logs": hostile_logs.CASES,
    "options": hostile_options.CASES,
    "commands": hostile_commands.CASES,
    "bone": hostile_bone.CASES,
    "volumes": hostile_volumes.CASES,
    "stacks": hostile_stacks.CASES,
    "hdf5": hostile_hdf5.CASES,
    "places": hostile_places.CASES,
}
PENDING = {line.rstrip("\n") for line in (Path(__file__).parent / "pending.txt").read_text(encoding="utf-8").splitlines() if line.strip()}


def params() -> Iterator[object]:
    for table, cases in TABLES.items():
        for case in cases:
            name = f"{table}: {case.name}"
            mark = [pytest.mark.xfail(strict=True, raises=AssertionError, reason="does not hold yet")] if name in PENDING else []
            yield pytest.param(case, id=name.encode("ascii", "backslashreplace").decode(), marks=mark)


@pytest.mark.parametrize("case", list(params()))
def test_nothing_is_lost_and_nothing_silently_wrong(case: Case, room: Room, sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    found = play(case, room, capsys.readouterr, lambda: sound)
    assert not found.faults, f"{found.faults}\nfewview {' '.join(found.words)}\nexit code {found.code}\n{found.out}\n{found.err}"


def test_every_case_has_a_name_of_its_own_and_no_name_is_pending_in_vain() -> None:
    names = [f"{table}: {case.name}" for table, cases in TABLES.items() for case in cases]
    assert len(names) == len(set(names))
    assert not PENDING - set(names)
    assert len(names) >= 150


def test_the_sound_scan_has_the_mass_of_its_balls(sound: np.ndarray) -> None:
    """What all cases are compared with is itself right: its integral is that of the formula, as near as a grid so coarse comes."""
    assert float(sound.sum()) * PIXEL_MM**3 == pytest.approx(total_attenuation_mm2(), rel=0.08)
