"""What every hostile case gets: its room, what was printed, and the volume of the sound scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hostile_room import Room


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A folder of the case's own, which is the current folder, with a home in it."""
    made = Room(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    return made


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The volume of the sound scan."""
    from fewview.cli.main import main
    from fewview.data import read_volume

    made = Room(tmp_path_factory.mktemp("sound"))
    assert main(made.recon(made.scan())) == 0
    return read_volume(made.path / "out.h5")[0]
