"""From grey values to mineral density, in mg of hydroxyapatite a cubic centimetre: two known values, or the rods of a phantom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...base import InputError


@dataclass(frozen=True)
class DensityCalibration:
    """density = ``slope`` * value + ``offset``, in mg/cm^3; ``misfit`` is the largest deviation of the values that it was made from.

    >>> DensityCalibration.from_values([(0.04, 0.0), (0.10, 750.0)])(0.08)
    500.0
    """

    slope: float
    offset: float
    misfit: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            raise InputError(f"slope {self.slope} and offset {self.offset}", expected="finite numbers, and a slope above 0")

    def __call__(self, value: float) -> float:
        """The density of a grey value."""
        return round(self.slope * value + self.offset, 9)

    @classmethod
    def from_values(cls, known: Sequence[tuple[float, float]]) -> DensityCalibration:
        """From pairs (value, density in mg/cm^3): the straight line through two, or nearest to more (least squares).

        The values are in the unit of the volume: 1/mm, Hounsfield units or grey levels. Raises InputError for fewer than two that differ.
        """
        pairs = np.asarray(known, dtype=np.float64)
        if pairs.ndim != 2 or pairs.shape[1:] != (2,) or len(np.unique(pairs[:, 0])) < 2 or not np.isfinite(pairs).all():
            raise InputError(f"known densities {list(known)}", expected="two or more pairs (value, density in mg/cm^3) of different values")
        slope, offset = np.polyfit(pairs[:, 0], pairs[:, 1], 1)
        misfit = float(np.abs(slope * pairs[:, 0] + offset - pairs[:, 1]).max())
        return cls(float(f"{slope:.10g}"), float(f"{offset:.10g}"), float(f"{misfit:.3g}"))
