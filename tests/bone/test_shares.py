"""Sums of slices, made some slices at a time, against the same of the whole volume."""

from __future__ import annotations

import numpy as np
from fewview.bone.measures.compartments import CORTICAL, TRABECULAR, Compartments
from fewview.bone.measures.sums.shares import slice_sums
from numpy.typing import NDArray
from scipy import ndimage

SHAPE = (37, 20, 22)  # more than two portions, and not a whole number of them


def touched(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool)), dtype=bool)


def test_sums_of_slices_do_not_depend_on_the_portions() -> None:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((2, *SHAPE)), (0, 2, 2, 2))
    labels = np.where(smooth[0] > 0.02, TRABECULAR, np.where(smooth[0] > -0.02, CORTICAL, 0)).astype(np.uint8)
    bone, steps = smooth[1] > 0, np.clip(127 + 3000 * smooth[1], 0, 255).astype(np.uint8)
    found, share = Compartments.of(labels, np.zeros(SHAPE, bool)), steps / 255
    sums = slice_sums(steps, bone, found.trabecular, found, 0.1)
    beside = touched(found.cortical)
    network = np.where(found.trabecular, np.where(beside, bone, share), 0)
    np.testing.assert_allclose(sums.network, network.sum(axis=(1, 2)), rtol=1e-6)
    cortex = np.where(beside & ~(bone & found.trabecular), share, 0)
    np.testing.assert_allclose(sums.area, 0.01 * cortex.sum(axis=(1, 2)), rtol=1e-6)
    y, x = np.indices(SHAPE[1:])
    for z in (0, 15, 16, 36):
        middle = [np.average(a, weights=cortex[z]) for a in (y, x)]
        moment = (cortex[z] * ((y - middle[0]) ** 2 + (x - middle[1]) ** 2 + 1 / 6)).sum() * 0.1**4
        np.testing.assert_allclose(sums.moment[z], moment, rtol=1e-6)
        inside = labels[z] > 0
        outer = np.asarray(ndimage.binary_fill_holes(inside | (touched(labels > 0)[z] & (share[z] > 0))), dtype=bool)
        assert 0.01 * inside.sum() * 0.8 < sums.total[z] <= 0.01 * outer.sum() + 1e-6
