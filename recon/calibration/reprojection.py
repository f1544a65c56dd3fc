"""Does a small reconstruction reproduce its own projections? The second test of a geometry, fine where the epipolar one is coarse.

A wrong axis or roll leaves a residual that no volume explains. FDK with a few refinements leaves a small one even in the right geometry,
and what it misses (cone artefacts, streaks of few views) can pull the minimum aside. That pull is measured and taken off: the
reconstruction itself, projected in the geometry found, is calibrated in the same way, and its known answer shows the bias (a parametric
bootstrap; Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 10).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...base.shapes import Float, Floats, LineIntegrals, PerView, Volume
from ...data import Projections
from ...geometry import Grid, Scan
from ..analytic.feldkamp import filtered_backprojection
from ..projector.operator import Operator
from .search import GROUPS, Estimate, design_points, jackknife, minimum

Geometry = Callable[[Floats, bool], Scan]


class Reprojection:
    """The residual after ``refinements`` FDK steps, view by view, as a function of the geometry of (binned) views."""

    def __init__(self, values: LineIntegrals, scan: Scan, refinements: int = 3, smooth_px: float = 0.7) -> None:
        rows = scan.shape[0]
        blur = (0, smooth_px if rows > 8 else 0, smooth_px)
        self.values: NDArray[np.float32] = np.asarray(gaussian_filter(np.asarray(values, dtype=np.float32), blur), dtype=np.float32)
        self.refinements = refinements
        fit = Grid.fit(scan)
        nz = fit.shape[0] if rows <= 8 else int(np.ceil(1.2 * fit.shape[0]))  # room for what only part of the views see
        self.grid = Grid((nz, *fit.shape[1:]), fit.voxel_mm, fit.center_mm)
        edge = 2 if rows > 8 else 0
        self.inside = (slice(None), slice(edge, rows - edge), slice(1, -1))

    def volume(self, values: LineIntegrals, scan: Scan) -> tuple[Volume, LineIntegrals]:
        """(volume, what is left of the views)."""
        project = Operator(scan, self.grid)
        volume, left = np.zeros(self.grid.shape, np.float32), values
        for _ in range(self.refinements):
            volume = volume + filtered_backprojection(Projections(left, scan), self.grid, filter="hann")
            left = values - project(volume)
        return volume, left

    def energy(self, values: LineIntegrals, scan: Scan) -> PerView:
        """(view,): squared residual, relative to the energy of all views."""
        left = self.volume(values, scan)[1][self.inside].astype(np.float64)
        return (left**2).sum(axis=(1, 2)) / max(float((values[self.inside].astype(np.float64) ** 2).sum()), 1e-300)

    def shift(
        self, values: LineIntegrals, geometry: Geometry, at: Estimate, free: Sequence[int], steps: Float[NDArray[np.float64], "free"]
    ) -> tuple[Float[NDArray[np.float64], "free"], Float[NDArray[np.float64], "group free"]]:
        """The move to the minimum near ``at``, in the units of the parameters, and the same with each fifth of the views left out of the
        sum.
        """
        design = design_points(len(free))
        energies = []
        for e in design:
            x = at.values.copy()
            x[list(free)] += e * steps
            energies.append(self.energy(values, geometry(x, at.reverse)))
        energy = np.array(energies)
        group = np.arange(energy.shape[1]) % GROUPS
        partial = [minimum(design, energy[:, group != g].sum(axis=1)) * steps for g in range(GROUPS)]
        return minimum(design, energy.sum(axis=1)) * steps, np.array(partial)

    def refine(self, geometry: Geometry, at: Estimate, free: Sequence[int], steps: Sequence[float]) -> Estimate:
        """``at`` with the corrections ``free`` moved to the minimum of the residual, less the bias that the bootstrap finds."""
        free, size = list(free), np.asarray(steps, dtype=np.float64)
        scan = geometry(at.values, at.reverse)
        volume, _ = self.volume(self.values, scan)
        model = Operator(scan, self.grid)(np.maximum(volume, 0))
        move, parts = self.shift(self.values, geometry, at, free, size)
        bias, bias_parts = self.shift(model, geometry, at, free, size)
        values, errors, found = at.values.copy(), at.errors.copy(), at.parts.copy()
        errors[free], found[:, free] = jackknife(parts - bias_parts), values[free] + parts - bias_parts
        values[free] += move - bias
        return at.changed(values=values, errors=errors, parts=found)
