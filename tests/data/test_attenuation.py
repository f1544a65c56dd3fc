"""What stored numbers mean: the numbers expected are written down by hand, and nothing is guessed in silence."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.data import read_volume, write_volume
from fewview.data.volumes.attenuation import GreyScale, as_attenuation
from fewview.geometry import Grid, InputError


def body(*levels: float, dtype: Any = np.float32) -> np.ndarray:
    """A block with these values, each on two slices."""
    return np.repeat(np.array(levels, dtype=dtype), 2)[:, None, None] * np.ones((1, 3, 3), dtype)


def values(stored: np.ndarray, scale: GreyScale | None = None, **facts: Any) -> list[float]:
    """The attenuation of each pair of slices; no warning is allowed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return as_attenuation(stored, facts, "a.nii", scale).volume[::2, 0, 0].tolist()


def test_what_the_user_says_is_done() -> None:
    eight, sixteen = body(0, 51, 255, dtype=np.uint8), body(0, 1024, 4095, dtype=np.uint16)
    assert values(eight, GreyScale(mu_max=0.25)) == pytest.approx([0, 0.05, 0.25])
    assert values(eight, GreyScale(window=(-0.1, 0.9))) == pytest.approx([0, 0.1, 0.9])  # -0.1 is nothing that absorbs
    assert values(sixteen, GreyScale(window=(0, 0.4095), bits=12)) == pytest.approx([0, 0.1024, 0.4095])
    assert values(sixteen, GreyScale(window=(0, 0.65535), bits=16)) == pytest.approx([0, 0.01024, 0.04095])
    assert values(body(-1000, 0, 1000, dtype=np.int16), GreyScale(mu_water=0.02)) == pytest.approx([0, 0.02, 0.04])
    assert values(body(-1000, 0, 1000), GreyScale(window=(0, 0.04))) == pytest.approx([0, 0.02, 0.04])
    assert values(body(0, 1, 2, dtype=np.uint8), GreyScale(mu=(0, 0.03, 0.2))) == pytest.approx([0, 0.03, 0.2])
    assert values(body(0.0, 0.5, 1.0), GreyScale(mu_max=0.3)) == pytest.approx([0, 0.15, 0.3])


def test_real_numbers_that_can_be_attenuation_are() -> None:
    assert values(body(-0.01, 0.04, 0.2)) == pytest.approx([0, 0.04, 0.2])
    assert values(body(0, 0.04, 1.0), units="1/mm") == pytest.approx([0, 0.04, 1.0])


def test_grey_levels_that_fill_their_type_are_taken_as_bone_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"a\.nii: grey levels 0 to 255 are taken as 0 to 0\.2 1/mm.*--window LOW HIGH or --mu-max"):
        found = as_attenuation(body(0, 51, 255, dtype=np.uint8), {}, "a.nii")
    assert found.volume[::2, 0, 0].tolist() == pytest.approx([0, 0.04, 0.2])
    assert (found.largest, found.why) == (0.2, "grey levels 0 to 255 are taken as 0 to 0.2 1/mm")
    with pytest.warns(UserWarning, match="0 to 65535"):
        as_attenuation(body(0, 40_000, dtype=np.uint16), {}, "a.nii")


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (body(-1000, 0, 2000, dtype=np.int16), "Hounsfield units.*--mu-water.*--window"),
        (body(-1024, 0, 2000), "Hounsfield units.*--mu-water"),
        (body(-5, 0, 90, dtype=np.int16), "signed grey levels.*--window"),
        (body(0, 4095, dtype=np.uint16), r"12-bit grey levels in uint16.*--bits 12 \(or --bits 16\)"),
        (body(0, 1023, dtype=np.int16), r"10-bit grey levels in int16.*--bits 10 \(or --bits 15\)"),
        (body(0, 50, dtype=np.uint8), r"6-bit grey levels in uint8 \(or labels\)"),
        (body(0, 1, 2, dtype=np.uint8), "labels or a mask.*--mu M0 M1"),
        (body(0, 1, 2), "labels or a mask"),
        (body(0, 1, dtype=np.uint8).astype(bool), "labels or a mask"),
        (body(0, 0.3, 1), "scaled to 1.*--window"),
        (body(0, 300, 4000), "no attenuation in 1/mm.*--window"),
        (body(0, 1e-4, 2e-4), "no attenuation in 1/mm"),
        (body(-0.2, -0.1), "no attenuation in 1/mm"),
        (body(0, 0), "nothing but 0"),
        (body(0, np.nan), "NaN"),
    ],
)
def test_what_cannot_be_known_is_asked_for(stored: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=f"^a.nii.*{said}"):
        as_attenuation(stored, {}, "a.nii")


@pytest.mark.parametrize(
    ("stored", "said"),
    [(body(0, 0.4, 2.0), "values up to 2 are taken as 1/mm.*1/cm"), (body(-0.2, 0.1, 0.3), "down to -0.2 1/mm are taken as 0")],
)
def test_what_is_hardly_right_is_said(stored: np.ndarray, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        as_attenuation(stored, {}, "a.nii")


def test_what_the_user_says_must_fit() -> None:
    labels, grey = body(0, 1, 2, dtype=np.uint8), body(0, 255, dtype=np.uint8)
    for stored, scale, facts, said in (
        (labels, GreyScale(mu=(0, 0.1)), {}, "mu has 2 numbers"),
        (body(0, 0.5), GreyScale(mu=(0, 0.1)), {}, "mu has 2 numbers"),
        (grey, GreyScale(mu_max=0.2, bits=7), {}, "at most 127, as bits=7 says"),
        (body(0, 0.1), GreyScale(mu_max=0.2, bits=8), {}, "grey levels that are whole"),
        (grey, GreyScale(bits=8), {}, "the attenuation of the levels is not said"),
        (body(0, 0.1), GreyScale(mu_max=0.2), {"units": "1/mm"}, "1/mm by itself"),
        (grey, GreyScale(window=(-1, 0)), {}, "no attenuation above 0"),
    ):
        with pytest.raises(InputError, match=said):
            as_attenuation(stored, facts, "a.nii", scale)
    for bad, said in (
        ({"window": (0, 1), "mu_max": 0.2}, "window and mu_max are given together"),
        ({"window": (1.0, 0.0)}, r"window is \(1\.0, 0\.0\)"),
        ({"mu_max": -1.0}, "mu_max of the grey scale is -1"),
        ({"mu": (0.0, -0.1)}, "mu of the grey scale"),
        ({"mu_water": 0.02, "bits": 12}, "bits is 12 with mu_water"),
    ):
        with pytest.raises(InputError, match=said):
            GreyScale(**bad)


def test_files_that_say_what_they_hold_are_believed(tmp_path: Path) -> None:
    """Slices with a window in their log, and our own HDF5, are in 1/mm whatever their largest value is."""
    grid = Grid((6, 3, 3), 0.1)
    for name, options in (("slices", {"window": (0.0, 1.0), "bits": 8}), ("a.h5", {})):
        stored, _, facts = read_volume(write_volume(body(0, 0.4, 1.0), tmp_path / name, grid=grid, **options))
        assert values(stored, **facts) == pytest.approx([0, 0.4, 1.0], abs=1e-6)
