"""The spread of a method: weights of the signs in each voxel's standard deviation, and the factor for each number of views."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import InputError, UnknownNameError
from ...base.shapes import Volume, VoxelValues
from ...data import Projections
from ...geometry import Grid
from .signs import SIGNS, slabs_of_signs

FILE = Path(__file__).parent / "spreads.json"
FORMAT = "fewview spreads 1"
LEVEL = 0.9  # of the intervals that are made to hold
NORMAL = 1.6448536  # standard deviations to each side of the middle of a normal distribution have that share of it
WIDE = 3.0  # the logarithm of a deviation never goes further than this beyond those of the fit


@dataclass(frozen=True)
class LearnedSpread:
    """``weights`` (one for each sign) give the logarithm of a voxel's error in units of the object's grey scale, ``bounds`` is the range of
    that logarithm in the fit, and ``factors`` (number of views -> factor) make ``volume +- 1.645 std`` hold `LEVEL` of the voxels of the
    object. ``made_for`` is the SHA-256 of the weights of the method, if it has any.
    """

    weights: tuple[float, ...]
    bounds: tuple[float, float]
    factors: Mapping[int, float]
    made_for: str = ""

    def factor(self, views: int) -> float:
        """The factor for a number of views: between two that were calibrated by their logarithms, beyond them that of the nearest."""
        known = sorted(self.factors)
        return float(np.exp(np.interp(math.log(views), np.log(known), [math.log(self.factors[n]) for n in known])))

    def std(self, projections: Projections, grid: Grid, volume: Volume) -> VoxelValues:
        """The standard deviation of each voxel of a volume of these views, in 1/mm; zero for an empty volume."""
        found, factor = np.zeros(volume.shape, np.float32), self.factor(len(projections)) / NORMAL
        low, high = self.bounds[0] - WIDE, self.bounds[1] + WIDE
        weights = np.array(self.weights, np.float32)
        for here, scale, signs in slabs_of_signs(projections, grid, volume):
            found[here] = factor * scale * np.exp(np.clip(np.tensordot(weights, signs, 1), low, high))
        return found


def read_spreads(path: Path = FILE) -> dict[str, LearnedSpread]:
    """The spreads by method. InputError for a file that is not of this version, and FileNotFoundError where it is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"the spreads are missing from this installation ({path}): install fewview again")
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        found = {
            name: LearnedSpread(
                tuple(float(w) for w in s["weights"]),
                (float(s["bounds"][0]), float(s["bounds"][1])),
                {int(n): float(f) for n, f in s["factors"].items()},
                str(s["made_for"]),
            )
            for name, s in content.items()
        }
        if not all(
            len(s.weights) == SIGNS and s.factors and np.isfinite([*s.weights, *s.bounds, *s.factors.values()]).all()
            for s in found.values()
        ):
            raise ValueError(f"not {SIGNS} finite weights")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path} is no file of spreads ({error})", expected=f"one of format {FORMAT!r}", remedy="install fewview again"
        ) from None
    return found


def spread_of(method: str, path: Path = FILE) -> LearnedSpread:
    """The spread of a method; UnknownNameError for one that has none."""
    known = read_spreads(path)
    if method not in known:
        raise UnknownNameError("method with conformal intervals", method, sorted(known))
    return known[method]


def written(spreads: Mapping[str, LearnedSpread]) -> str:
    """The text of the file."""
    content = {
        name: {
            "weights": [float(f"{w:.6g}") for w in s.weights],
            "bounds": [round(b, 3) for b in s.bounds],
            "factors": {str(n): round(f, 4) for n, f in sorted(s.factors.items())},
            "made_for": s.made_for,
        }
        for name, s in spreads.items()
    }
    return json.dumps({"format": FORMAT, **content}, indent=1) + "\n"
