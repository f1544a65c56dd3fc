"""What training keeps between its steps is what it would have made again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.training.bank import Bank, key_of, original, places_along, seen_by_all
from fewview.nerf.training.examples import augmented, mirrored, moved_along, turned
from fewview.nerf.training.learner import Example

SCAN = Scan.circular(dso_mm=60, dsd_mm=60, rows=8, cols=12, pixel_mm=1.3, angles_deg=np.arange(9) * 25.0, axis_shift_mm=1.5)


def example(shape: tuple[int, int, int] = (6, 10, 10)) -> Example:
    volume = np.random.default_rng(0).random(shape, np.float32)
    values = np.zeros((len(SCAN), *SCAN.shape), np.float32)
    return Example("one week 0", "one", Projections(values, SCAN), Grid(shape, 1.1), volume)


def test_a_bank_makes_a_thing_once_and_forgets_what_was_asked_for_longest_ago() -> None:
    made: list[str] = []

    def make(name: str) -> tuple[np.ndarray]:
        made.append(name)
        return (np.zeros(100, np.uint8),)

    bank = Bank(limit_bytes=250)
    for name in "abacab":  # c drives out b
        bank.get(name, lambda name=name: make(name))
    assert "".join(made) == "abcb"


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_masks_and_voxels_move_with_the_animal(flip: bool, quarters: int) -> None:
    first = example()
    moved = turned(mirrored(first) if flip else first, 90 * quarters)
    moved = replace(moved, before=first, quarters=quarters, mirror=flip)
    np.testing.assert_array_equal(seen_by_all(Bank(), moved), moved.grid.seen_by_all(moved.projections.scan))
    z, y, x = np.indices(first.grid.shape)
    y_there, x_there = places_along((y, x), moved)
    np.testing.assert_array_equal(moved_along(first.reference, moved)[z, y_there, x_there], first.reference)
    np.testing.assert_array_equal(moved.reference, moved_along(first.reference, moved))


def test_an_oblong_volume_turns_too() -> None:
    first = example((3, 4, 7))
    moved = augmented(first, "quarter", torch.Generator().manual_seed(1))
    z, y, x = np.indices(first.grid.shape)
    y_there, x_there = places_along((y, x), moved)
    np.testing.assert_array_equal(moved.reference[z, y_there, x_there], first.reference)
    assert original(moved) is first
    assert key_of(original(moved)) == key_of(first)


def test_voxels_are_drawn_as_often_as_their_weights_say() -> None:
    """The weighted mean over drawn voxels is the mean over all: half of the draws go anywhere, half where there is attenuation."""
    first = example()
    voxels, chance, upto = pixelnerf._chances(first)
    inside = first.grid.seen_by_all(SCAN)
    assert len(voxels) == inside.sum()
    assert upto[-1] == pytest.approx(1.0)
    values = np.arange(len(voxels)) % 7
    drawn = np.searchsorted(upto, np.random.default_rng(0).random(40_000) * upto[-1])
    assert np.mean(values[drawn] / (len(voxels) * chance[drawn])) == pytest.approx(values.mean(), rel=0.02)
    np.testing.assert_allclose(chance, 0.5 / len(voxels) + 0.5 * first.reference[inside] / first.reference[inside].sum(), rtol=1e-5)
