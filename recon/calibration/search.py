"""Finding the smallest contradiction: quadratic models of the epipolar score, from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Float, Floats, LineIntegrals, NewViews
from ...data.images.binning import bin_views
from ...geometry import Scan
from ...geometry.transform import bin_pixels, correct, reverse_rotation
from .epipolar import Epipolar, apart_deg, whitened

Parameters = Float[NDArray[np.float64], "parameter"]  # axis shift (px), row shift (px), roll (deg)
Scores = Float[NDArray[np.float64], "point"]  # the score of each point that was tried, dimensionless
GroupScores = Float[NDArray[np.float64], "point group"]  # the same with each group of views left out in turn
NAMES = ("axis_shift", "row_shift", "roll")
GROUPS = 5
_WEIGH_AGAIN = (0.5, 0.5, 0.3)  # px, px, deg: what moves the cosine weights by 3 in 10 000
_MOST_TURN = 8.0  # tan of half the angle between views 166 deg apart: nearer to opposite, few planes are left that both see whole


@dataclass(frozen=True, eq=False)
class Estimate:
    """``values`` (axis shift and row shift in pixels, roll in degrees), their standard errors, and the score there.

    ``parts`` [group, 3] is what is found where each group of views in turn is left out: the jackknife's values.
    """

    values: Parameters
    errors: Parameters
    score: float
    reverse: bool
    parts: Float[NDArray[np.float64], "group parameter"]

    @classmethod
    def at(cls, values: Parameters, score: float, reverse: bool) -> Estimate:
        """An estimate at these values (3,) whose error and score are not known yet."""
        return cls(values, np.zeros(3), score, reverse, np.tile(values, (GROUPS, 1)))

    def changed(self, **fields: Any) -> Estimate:
        """A copy with other fields."""
        return replace(self, **fields)

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in pixels ``factor`` times as fine."""
        scale = np.array([factor, factor, 1.0])
        return self.changed(values=self.values * scale, errors=self.errors * scale, parts=self.parts * scale)


class Corrected:
    """A scan as a function of the corrections (axis shift px, row shift px, roll deg) and of whether the rotation is reversed."""

    def __init__(self, scan: Scan) -> None:
        self.scan, self.reversed = scan, reverse_rotation(scan)
        self.pixel_mm = np.array([np.linalg.norm(step, axis=1).mean() for step in (scan.u, scan.v)])

    def __call__(self, x: Floats, reverse: bool) -> Scan:
        """The corrected scan."""
        base = self.reversed if reverse else self.scan
        return correct(base, float(x[0] * self.pixel_mm[0]), float(x[1] * self.pixel_mm[1]), float(x[2]))


class Search:
    """Scores of corrections to a (binned) scan. ``free`` are the indices into `NAMES` that may move, ``weight`` [pair] what pairs count."""

    def __init__(self, test: Epipolar, free: Sequence[int], weight: Floats | None = None) -> None:
        self.test, self.free, self.geometry = test, list(free), Corrected(test.scan)
        self.weight = np.ones(len(test.pairs)) if weight is None else weight
        self.weighed_at = np.zeros(3)

    def scores(self, points: Sequence[Parameters], reverse: bool) -> tuple[Scores, GroupScores]:
        """The score of each point (3,), and of each point with each group of views left out in turn, on the planes that all points see.

        The score is the energy of the contradiction over the energy of what the views say: 0 no contradiction, 1 nothing in common.
        """
        said = [self.test.sides(self.geometry(x, reverse)) for x in points]
        valid = np.all([np.isfinite(s).all(axis=2) for s in said], axis=0)
        energy = [self.weight * (whitened(s[..., 0] - s[..., 1], valid) ** 2).sum(axis=1) for s in said]
        whole = self.weight * np.sum([(whitened(said[0][..., k], valid) ** 2).sum(axis=1) for k in (0, 1)], axis=0)
        keep = [np.all(self.test.pairs % GROUPS != g, axis=1) for g in range(GROUPS)]
        groups = np.array([[e[k].sum() / max(whole[k].sum(), 1e-300) for k in keep] for e in energy])
        return np.array([e.sum() / max(whole.sum(), 1e-300) for e in energy]), groups

    def scores_of_group(self, points: Sequence[Parameters], reverse: bool, group: int) -> Scores:
        """The score of each point (3,) over the pairs with a view of one group, which the estimate without this group did not see."""
        touched = np.any(self.test.pairs % GROUPS == group, axis=1)
        said = [self.test.sides(self.geometry(x, reverse))[touched] for x in points]
        valid = np.all([np.isfinite(s).all(axis=2) for s in said], axis=0)
        weight = self.weight[touched]
        whole = sum(float(weight @ (whitened(said[0][..., k], valid) ** 2).sum(axis=1)) for k in (0, 1))
        return np.array([weight @ (whitened(s[..., 0] - s[..., 1], valid) ** 2).sum(axis=1) for s in said]) / max(whole, 1e-300)

    def grid(self, reach_px: float, step_px: float, reverse: bool) -> Estimate:
        """The best of a lattice of axis and row shifts within ``reach_px``."""
        ticks = np.arange(-np.floor(reach_px / step_px), np.floor(reach_px / step_px) + 1) * step_px
        points = [np.array([a if 0 in self.free else 0.0, r if 1 in self.free else 0.0, 0.0]) for a in ticks for r in ticks]
        points = list({tuple(x): x for x in points}.values())
        each = [float(self.scores([x], reverse)[0][0]) for x in points]
        best = int(np.argmin(each))
        return Estimate.at(points[best], each[best], reverse)

    def newton(self, start: Estimate, steps: Sequence[float], times: int = 2) -> Estimate:
        """Minimum of the quadratic through the scores at start +- steps, ``times`` over; what is not free is held."""
        free = self.free
        x, errors, score, parts = start.values.copy(), start.errors, start.score, start.parts
        for _ in range(times):
            if (np.abs(x - self.weighed_at) > _WEIGH_AGAIN).any():
                self.test.weigh(self.geometry(x, start.reverse))
                self.weighed_at = x.copy()
            h = np.asarray(steps, dtype=np.float64)[free]
            design = design_points(len(free))
            points = []
            for e in design:
                y = x.copy()
                y[free] += e * h
                points.append(y)
            scores, groups = self.scores(points, start.reverse)
            move = minimum(design, scores) * h
            partial = np.array([minimum(design, groups[:, g]) * h for g in range(GROUPS)])
            errors, parts = errors.copy(), parts.copy()
            errors[free], parts[:, free] = jackknife(partial), x[free] + partial
            x[free] += move
            score = float(scores[0])
        return Estimate(x, errors, score, start.reverse, parts)

    def curve(self, best: Estimate, which: int, reach: float, count: int = 9) -> tuple[Floats, Floats]:
        """(values, scores), both (count,), of one parameter around the best one while the others are held."""
        offsets = np.linspace(-reach, reach, count)
        points = [best.values + offset * np.eye(3)[which] for offset in offsets]
        return best.values[which] + offsets, self.scores(points, best.reverse)[0]


def row_found(values: LineIntegrals, scan: Scan, start: Estimate, most_pairs: int, roll_free: bool) -> Estimate:
    """``start`` with a better row shift, from the views [view, row, col] in pairs up to nearly opposite ones.

    A row shift turns the lines of two views against each other by tan(apart / 2) over the source's distance: so little between views a
    right angle apart that what is left of beam hardening outweighs it, whereas rays there and back are hardened alike. Opposite views
    share few planes, though, and noise moves them: the weight sqrt(tan(apart / 2)) lies between the two, and had the smallest error on
    twenty simulated scans of real heads (docs/calibration_table.md). The roll is left free in this fit, so that its error does
    not bias the row, and is then put back.
    """
    test = Epipolar(values, scan, 1.5, most_pairs=most_pairs, widest_deg=179.5, steepest=1.2, gather_planes=True)
    turn = np.tan(np.radians(apart_deg(scan, test.pairs) / 2))
    search = Search(test, [1, 2] if roll_free else [1], np.sqrt(np.minimum(turn, _MOST_TURN)))
    found = search.newton(start, (0.5, 1.0, 0.15), 3)
    row, errors, parts = start.values.copy(), start.errors.copy(), start.parts.copy()
    row[1], errors[1], parts[:, 1] = found.values[1], found.errors[1], found.parts[:, 1]
    return start.changed(values=row, errors=errors, parts=parts)


def jackknife(partial: Float[NDArray[np.float64], "group k"]) -> Float[NDArray[np.float64], "k"]:
    """Standard errors of the parameters (px, px, deg), from what is found with each group of views left out in turn."""
    return np.asarray(np.sqrt((GROUPS - 1) / GROUPS * ((partial - partial.mean(axis=0)) ** 2).sum(axis=0)), dtype=np.float64)


def design_points(n: int) -> Float[NDArray[np.float64], "point parameter"]:
    """Points to try, as multiples of the steps (dimensionless): the middle, both ways along each axis and along the diagonals of each pair
    of axes.
    """
    eye = np.eye(n)
    mixed = [s * (eye[i] + eye[j]) for i in range(n) for j in range(i) for s in (1, -1)]
    return np.array([np.zeros(n), *eye, *-eye, *mixed])


def minimum(design: Float[NDArray[np.float64], "point parameter"], scores: Scores) -> Parameters:
    """Where the quadratic through ``scores`` (point,) at ``points`` (point, parameter) is least, at most 3 steps away; negative curvature
    counts as a small positive one.
    """
    n = design.shape[1]
    pairs = [(i, j) for i in range(n) for j in range(i + 1)]
    terms = [[1.0, *e, *(e[i] * e[j] * (0.5 if i == j else 1.0) for i, j in pairs)] for e in design]
    found = np.linalg.lstsq(np.array(terms), scores, rcond=None)[0]
    hessian = np.zeros((n, n))
    for (i, j), value in zip(pairs, found[1 + n :], strict=True):
        hessian[i, j] = hessian[j, i] = value
    curvature, basis = np.linalg.eigh(hessian)
    curvature = np.maximum(curvature, max(1e-3 * curvature.max(), 1e-300))
    return np.clip(-basis @ ((basis.T @ found[1 : 1 + n]) / curvature), -3, 3)


def binned(values: LineIntegrals, scan: Scan, factor: int) -> tuple[NewViews, Scan]:
    """Block means of the views [view, row, col], and their scan."""
    if factor == 1:
        return values, scan
    return bin_views(values, factor), bin_pixels(scan, factor)
