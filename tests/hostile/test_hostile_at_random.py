"""Damage at random: a changed file gives the right volume within 5 %, a warning, or an error of ours; never silence, never a fault."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import read_volume
from fewview.geometry import InputError
from hostile_case import TOLERANCE
from hostile_room import Room
from hostile_world import VIEWS, log_text
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # an example that fails is small already
)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Keys whose value decides where the rays run. What other keys say is not this test's.
DECIDING = (
    "Number Of Files",
    "Number Of Rows",
    "Number Of Columns",
    "Object to Source (mm)",
    "Image Pixel Size (um)",
    "Rotation Step (deg)",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """One room for all examples of this module."""
    return Room(tmp_path_factory.mktemp("random"))


def told(words: list[str]) -> tuple[int, str]:
    """(exit code, what was said on stderr)."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    return code, err.getvalue()


def judge(words: list[str], out: Path, sound: np.ndarray) -> None:
    """Right, a warning, or an error of ours."""
    out.unlink(missing_ok=True)
    code, err = told(words)
    assert code in (0, 2), err
    assert "fault of the program" not in err
    if code == 2:
        assert err.splitlines()[-1].startswith("fewview: error: ")
        assert not out.exists()
    elif "fewview: warning: " not in err:
        volume = read_volume(out)[0]
        assert volume.shape == sound.shape
        assert np.linalg.norm(volume - sound) <= TOLERANCE * np.linalg.norm(sound)


@contextlib.contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """The file with another content, and as it was afterwards."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def bytes_changed(least: int = 0) -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Ways to damage a file: bytes replaced, a run of zeros, cut off, or something put in."""
    at = st.floats(0, 1, exclude_max=True)

    def where(content: bytes, share: float) -> int:
        return least + int(share * max(1, len(content) - least))

    def replaced(share: float, put: bytes) -> Callable[[bytes], bytes]:
        return lambda b: b[: where(b, share)] + put + b[where(b, share) + len(put) :]

    def inserted(share: float, put: bytes) -> Callable[[bytes], bytes]:
        return lambda b: b[: where(b, share)] + put + b[where(b, share) :]

    return st.one_of(
        st.builds(replaced, at, st.binary(min_size=1, max_size=8)),
        st.builds(replaced, at, st.integers(1, 200).map(bytes)),
        st.builds(inserted, at, st.binary(min_size=1, max_size=4)),
        at.map(lambda share: lambda b: b[: where(b, share)]),
    )


def log_changed() -> st.SearchStrategy[Callable[[str], str]]:
    """Ways to damage a log: lines lost, doubled and exchanged, numbers scaled, other characters."""
    key = st.sampled_from(DECIDING)

    def value(name: str, change: Callable[[str], str]) -> Callable[[str], str]:
        return lambda text: re.sub(rf"(?m)^({re.escape(name)}=)(.*)$", lambda m: m[1] + change(m[2]), text)

    def scaled(factor: float) -> Callable[[str], str]:
        return lambda old: NUMBER.sub(lambda m: f"{float(m[0]) * factor:.6f}".rstrip("0").rstrip("."), old, count=1)

    factors = st.sampled_from((1e-6, 1e-3, 0.01, 0.1, 0.5, 1.5, 2.0, 10.0, 100.0, 1e3, 1e6, -1.0, 0.0))
    words = st.sampled_from(("", "nan", "inf", "ON", "1e400", "--", "0x10", "1,234.5", "12 mm", "µ", "5 cm", "10 px"))

    def lost(name: str) -> Callable[[str], str]:
        return lambda text: re.sub(rf"(?m)^{re.escape(name)}=.*\n", "", text)

    def doubled(name: str, factor: float) -> Callable[[str], str]:
        return lambda text: re.sub(rf"(?m)^({re.escape(name)}=)(.*)$", lambda m: f"{m[0]}\n{m[1]}{scaled(factor)(m[2])}", text)

    return st.one_of(
        st.builds(value, key, factors.map(scaled)),
        st.builds(value, key, words.map(lambda word: lambda old: word)),
        st.builds(value, key, words.map(lambda word: lambda old: old + word)),
        st.builds(lost, key),
        st.builds(doubled, key, factors),
        st.floats(0, 1).map(lambda share: lambda text: text[: int(share * len(text))]),
    )


@few
@given(change=log_changed())
def test_a_log_changed_at_random(place: Room, sound: np.ndarray, change: Callable[[str], str]) -> None:
    scan, out = place.path / "scan", place.path / "out.h5"
    if not scan.exists():
        place.scan()
    with changed(scan / "souris_.log", change(log_text()).encode("cp1252")):
        judge(place.recon(scan, "--force"), out, sound)


@few
@given(change=bytes_changed(), view=st.integers(0, VIEWS - 1))
def test_a_tiff_changed_at_random(place: Room, sound: np.ndarray, change: Callable[[bytes], bytes], view: int) -> None:
    scan, out = place.path / "scan", place.path / "out.h5"
    if not scan.exists():
        place.scan()
    path = scan / f"souris_{view:08d}.tif"
    with changed(path, change(path.read_bytes())):
        judge(place.recon(scan, "--force"), out, sound)


@few
@given(change=bytes_changed())
def test_an_hdf5_file_changed_at_random(place: Room, sound: np.ndarray, change: Callable[[bytes], bytes]) -> None:
    own, out = place.path / "own.h5", place.path / "out.h5"
    if not own.exists():
        place.own()
    with changed(own, change(own.read_bytes())):
        judge(place.recon(own, "--force"), out, sound)


@few
@given(change=bytes_changed())
def test_a_nifti_volume_changed_at_random(place: Room, change: Callable[[bytes], bytes]) -> None:
    path = place.path / "volume.nii"
    if not path.exists():
        place.nifti(name="volume.nii")
    sound, grid, _ = read_volume(path)
    with changed(path, change(path.read_bytes())), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            volume, found, _ = read_volume(path)
        except InputError:
            return
    if not said:
        assert volume.shape == sound.shape
        assert found.voxel_mm == pytest.approx(grid.voxel_mm, rel=TOLERANCE)
        assert found.center_mm == pytest.approx(grid.center_mm, abs=TOLERANCE * grid.voxel_mm * 16)
        assert np.linalg.norm(volume.astype(float) - sound) <= TOLERANCE * np.linalg.norm(sound)
