"""The scan that a laboratory makes of an animal in a SkyScan 1276: as `simulate` makes it, with pixels of half a voxel, or binned to pixels
as large as voxels.
"""

from __future__ import annotations

import math

import numpy as np

from ...base.shapes import ViewValues, Volume
from ...data.phantom.procedural.bodies import log_uniform
from ...data.volumes.resample import coarsen
from ...geometry import Grid, Scan, skyscan_1276, views
from ...recon import Operator, Physics, simulate
from ...recon.corrections.beam_hardening import linearise
from .scan import finer, over_pixels
from .scene import FINE, with_means

LAB_VIEWS = 52  # views of such a scan: the most that a training asks of one
WIDE_MM = 41.45  # what the scanner sees of a whole slice; by it the path through flesh and bone is as long as in a mouse
BINNED = 0.5  # share of the scans with pixels as large as voxels
FAINT = 0.4  # the quantile of attenuation in the object that is taken for that of flesh


def draw_lab_scan(rng: np.random.Generator, slices: int, across: int) -> tuple[Grid, Scan]:
    """The grid of the reconstruction, and a short scan of it with pixels as large as its voxels or half as large."""
    voxel_mm = WIDE_MM / across
    whole = skyscan_1276(rows=math.ceil(1.32 * slices), cols=math.ceil(1.03 * across), voxel_mm=voxel_mm)[int(rng.integers(0, 9)) :]
    scan = whole[views.evenly(whole, LAB_VIEWS)]
    return Grid((slices, across, across), voxel_mm), scan if rng.random() < BINNED else finer(scan)


def lab_views(rng: np.random.Generator, scene: Volume, grid: Grid, scan: Scan, seed: int) -> tuple[ViewValues, float]:
    """The measured views of a scene [z, y, x] on a grid `FINE` times as fine, and the factor from the scene to the attenuation in them.

    The scene is given about the attenuation of flesh and bone at 30 keV, so that what is behind bone is hardened; the views are linearised
    by a percentage that a user might choose, which straightens no two materials at once.
    """
    flesh = float(np.quantile(scene[scene > 0], FAINT)) if scene.any() else 1.0
    strength = np.float32(np.clip(log_uniform(rng, 0.005, 0.012) / flesh, 0.02, 1.5))
    physics = Physics.ideal(
        polychromatic=True, photons=log_uniform(rng, 8e3, 5e4), electronic_noise=10.0, blur_px=float(rng.uniform(0.2, 0.7))
    )
    fine = Grid(scene.shape, grid.voxel_mm / FINE)  # type: ignore[arg-type]
    binned = scan.field_of_view_mm.pixel_mm > 0.75 * grid.voxel_mm
    measured = simulate(with_means(scene) * strength, fine, finer(scan) if binned else scan, physics, seed=seed)
    line = linearise(measured.values, float(rng.uniform(20, 40)))
    line = over_pixels(line, scan) if binned else line
    exact = Operator(scan, grid)(coarsen(scene, FINE))
    return line, float(line.sum(dtype=np.float64) / max(exact.sum(dtype=np.float64), 1e-9))
