"""Angles of a beamline's file and line integrals of a file: what cannot be right, by name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from fewview.data.scans.plausible.angles import angle_doubts, degrees_of
from fewview.data.scans.plausible.integrals import integral_warnings
from fewview.geometry import InputError
from numpy.typing import NDArray

DEGREES = np.arange(181) * 1.0


def stored(path: Path, angles: NDArray[np.float64], units: object = None) -> NDArray[np.float64]:
    with h5py.File(path / "a.h5", "w") as file:
        theta = file.create_dataset("theta", data=angles)
        if units is not None:
            theta.attrs["units"] = units
        return degrees_of(theta, "a.h5: theta")


@pytest.mark.parametrize("units", ["deg", "degrees", b"Degree", "°"])
def test_degrees_in_each_spelling(tmp_path: Path, units: object) -> None:
    np.testing.assert_array_equal(stored(tmp_path, DEGREES, units), DEGREES)
    np.testing.assert_array_equal(stored(tmp_path, DEGREES), DEGREES)


def test_radians_where_they_are_said_and_where_they_are_not(tmp_path: Path) -> None:
    np.testing.assert_allclose(stored(tmp_path, np.radians(DEGREES), "rad"), DEGREES)
    for turn in (DEGREES, DEGREES[:-1], 2 * DEGREES, 2 * DEGREES[:-1]):
        with pytest.raises(InputError, match="radians by their looks"):
            stored(tmp_path, np.radians(turn))
    assert stored(tmp_path, np.radians(DEGREES), "deg")[-1] == pytest.approx(np.pi)  # who says degrees gets them


@pytest.mark.parametrize("units", ["furlong", 5, "m"])
def test_another_unit_is_refused(tmp_path: Path, units: object) -> None:
    with pytest.raises(InputError, match=r"theta is in .*degrees or radians"):
        stored(tmp_path, DEGREES, units)


def test_angles_that_no_stage_makes() -> None:
    assert angle_doubts(DEGREES, "theta") == []
    assert angle_doubts(np.arange(3000) * 2.4, "theta") == []  # twenty turns, on the fly
    assert angle_doubts(np.array([0.0]), "theta") == []
    assert "steps by 400 deg" in angle_doubts(np.arange(60) * 400.0, "theta")[0]
    for wrong in (np.zeros(60), np.arange(60) * 1e9):
        with pytest.raises(InputError, match="theta"):
            angle_doubts(wrong, "theta")


def test_values_that_are_no_line_integrals() -> None:
    rng = np.random.default_rng(0)
    sound = np.maximum(rng.normal(0.4, 0.5, (5, 16, 24)), -0.02).astype(np.float32)
    assert integral_warnings(sound, "a.h5") == []
    assert integral_warnings(rng.normal(0, 0.01, (5, 16, 24)).astype(np.float32), "a.h5") == []  # air and its noise
    for wrong, word in ((sound * 0, "are 0"), (-sound, "negative"), (sound * 57_000, "counts")):
        (told,) = integral_warnings(wrong, "a.h5")
        assert told.startswith("a.h5: ")
        assert word in told
