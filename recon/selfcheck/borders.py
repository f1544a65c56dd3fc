"""The borders of the views show inverted images, and an object that reaches over the edge of the panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import LineIntegrals
from ..physics.noise import ripple

_PARTS = 8  # of the height, each judged by its mean
_EVEN = 0.2  # of the views' range: air varies less, an object that reaches over the border more
_LIT = 0.1  # of the views' range: what is above it at the border is the object


@dataclass(frozen=True)
class Borders:
    """``inverted``: the share of the views whose borders are uniform and absorb more than their middle. ``cut``: the share of the height
    over which the object covers the left or right border, in the worst view; ``cut_views``: the share of the views where it covers any.
    """

    inverted: float
    cut: float
    cut_views: float


def borders(values: LineIntegrals, full_turn: bool = False) -> Borders:
    """Judge views [view, row, col] by their outermost columns against their middle half.

    In a full turn the object may reach over one border: from behind, the other one sees that side of it.
    """
    count, rows, cols = values.shape
    low, high = (float(x) for x in np.percentile(values, (1, 99)))
    if cols < 8 or not high > low:
        return Borders(0.0, 0.0, 0.0)
    edge = values[:, :, [0, -1]]
    middle = values[:, :, cols // 4 : cols - cols // 4].mean(axis=(1, 2))
    even = float(edge.std()) < _EVEN * (high - low)
    inverted = float((edge.min(axis=2).mean(axis=1) - middle > _LIT * (high - low)).mean()) if even else 0.0
    deep = max(1, rows // _PARTS)
    parts = edge[:, : rows // deep * deep].reshape(count, -1, deep, 2).mean(axis=2)  # one pixel may be lit by noise
    lit = max(_LIT * high, 4 * ripple(values) / deep**0.5)
    covered = ((parts > lit) & (high > 0)).mean(axis=1)
    cut = covered.min(axis=1) if full_turn else covered.max(axis=1)
    return Borders(inverted, float(cut.max()), float((cut > 0).mean()))
