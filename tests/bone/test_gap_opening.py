"""Where two bodies part that are blurred: by how their gap deepens."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.bone.weeks.gap_opening import gap_opening
from fewview.bone.weeks.junction import find_junction
from numpy.typing import NDArray
from scipy import ndimage

PARTED, SLOPE = 15.3, 0.3  # slice, and voxels of gap that each slice adds


def forked(blur: float, noise: float = 0.0) -> NDArray[np.float32]:
    """A thick and a thin bar, one body up to slice 15; from there on the gap between them widens by 0.3 voxels a slice."""
    z, y, x = np.indices((50, 44, 40)).astype(float)
    gap = SLOPE * np.maximum(z - PARTED, 0)
    thick = np.clip(20.5 - y, 0, 1) * np.clip(y - 5.5, 0, 1)
    thin = np.clip(y - (20.5 + gap) + 1, 0, 1) * np.clip(28.5 + gap - y, 0, 1)
    body = np.clip(thick + thin, 0, 1) * (np.abs(x - 19.5) < 5)
    sharp = (0.04 + 0.16 * body + noise * np.random.default_rng(0).standard_normal(body.shape)).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(sharp, blur), dtype=np.float32)


def masks(values: NDArray[np.float32], z: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    labels, _ = ndimage.label(values[z] > 0.12)  # type: ignore[misc]
    return labels == 1, labels == 2


@pytest.mark.parametrize(("blur", "noise"), [(0.7, 0.0), (0.7, 0.03), (1.0, 0.0)])
def test_the_gap_begins_where_the_bodies_part(blur: float, noise: float) -> None:
    """Within half a voxel of gap. An error function is no line: by theory the place is 0.45 standard deviations of gap too early."""
    values = forked(blur, noise)
    counts = [ndimage.label(plane > 0.12)[1] for plane in values]  # type: ignore[index]
    first = next(z for z in range(50) if min(counts[z:]) == 2)
    assert first - PARTED > 1.35 * blur / SLOPE, "and contours are two much later"
    found = gap_opening(values, 0.04, {z: masks(values, z) for z in range(first, 50)}, first)
    assert found is not None
    assert abs(SLOPE * (found.begin - PARTED)) < 0.5
    assert found.plain > first


def test_no_line_no_opening() -> None:
    """A gap that stays shallow, and one that is open from the first slice on."""
    values = np.repeat(forked(0.7)[21:22], 20, axis=0)
    assert gap_opening(values, 0.04, {z: masks(values, z) for z in range(20)}, 0) is None
    values = forked(0.7)[40:]
    assert gap_opening(values, 0.04, {z: masks(values, z) for z in range(10)}, 0) is None


def test_the_junction_of_a_blurred_fork() -> None:
    junction, counts, confidence, doubts = find_junction(forked(0.7, 0.03), 0.1, 0.05)
    assert abs(junction - PARTED) < 2
    assert (confidence, doubts) == (1.0, [])
    assert (counts[:junction] == 1).all()
    assert (counts[junction:] == 2).all()


def test_a_gap_that_opens_too_slowly_for_its_blur_is_said() -> None:
    _, _, confidence, doubts = find_junction(forked(1.5, 0.03), 0.1, 0.05)
    assert confidence < 0.5
    assert "slowly" in doubts[0]
