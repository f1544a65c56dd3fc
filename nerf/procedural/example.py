"""Scans of procedural volumes as training examples: many kinds of objects, geometries, sizes and noise levels, each from one seed."""

from __future__ import annotations

import numpy as np

from ...data import Projections
from ...data.volumes.resample import coarsen
from ...geometry import Grid, Scan
from ..training.bank import Bank
from ..training.learner import Example
from .lab import draw_lab_scan, lab_views
from .scan import draw_scan, views_of
from .scene import FINE, HEADS, VOXEL_MM, draw_scene, family_of_first, softened

RECIPE = 17  # of these scans: a bank that was made by an earlier one is not taken for it
VALIDATION = range(100_000, 100_008)  # seeds of the scans that choose the best weights
LIKE_A_LAB = 0.6  # share of the scans of heads that are as a laboratory makes them
SOFT, SOFT_OTHERS = 2 / 3, 1 / 4  # share of the scenes of heads, and of other objects, with soft edges
SIZES = (64, 64, 96, 128, 128)  # voxels across, each as often as it is here


def procedural_example(seed: int, bank: Bank, size: int | None = None) -> Example:
    """A scan of a scene, with the scene itself, averaged over the voxels of the grid, as reference. ``size`` is the number of voxels across
    (None: one of `SIZES`); of another size the scene of a seed is the same, more finely.

    The scene is projected on a grid twice as fine, with four rays a pixel averaged in intensity, then blurred and given photon noise, in
    one energy. Or, most heads, it is scanned as an animal is in a laboratory (`lab_views`): in many energies. A network that learns from
    other objects in many energies makes dense ones denser still where there was one energy, as in enamel (docs/model_cards.md).
    """
    rng, grid, scan, lab = _drawn(seed, size)
    first = family_of_first(seed)

    def make() -> tuple[np.ndarray, np.ndarray]:
        scene = softened(rng, draw_scene(rng, seed, grid), SOFT if first in HEADS else SOFT_OTHERS)
        if lab:
            line, strength = lab_views(rng, scene, grid, scan, seed)
        else:
            line, strength = views_of(rng, scene, Grid(scene.shape, VOXEL_MM / FINE), scan)  # type: ignore[arg-type]
        return line, coarsen(scene, FINE) * np.float32(strength)

    values, reference = bank.get(("procedural", RECIPE, seed) if size is None else ("procedural", RECIPE, seed, size), make)
    return Example(f"procedural_{seed}", f"procedural_{seed}", Projections(values, scan), grid, reference, f"seed {seed}")


def procedural_scan(seed: int, size: int | None = None) -> tuple[Grid, Scan]:
    """The grid and the scan of `procedural_example`, without its views."""
    _, grid, scan, _ = _drawn(seed, size)
    return grid, scan


def _drawn(seed: int, size: int | None) -> tuple[np.random.Generator, Grid, Scan, bool]:
    """The generator from which a scene and its views are drawn, after the grid, the scan, and whether it is as in a laboratory."""
    rng = np.random.default_rng([seed, 40])
    drawn, slices = int(rng.choice(SIZES)), int(rng.choice([32, 40]))
    across = drawn if size is None else size
    if rng.random() < LIKE_A_LAB and family_of_first(seed) in HEADS:
        return rng, *draw_lab_scan(rng, slices, across), True
    grid = Grid((slices, across, across), VOXEL_MM)
    return rng, grid, draw_scan(rng, grid, (0.6, 1.3) if rng.random() < 0.75 else (0.42, 0.8)), False
