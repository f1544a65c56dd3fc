"""The data side of a primal-dual method: steps that grow with frequency like the ramp of filtered back-projection.

The step sizes form a symmetric positive operator S that is diagonal in the cosine transform of each detector row. It evens out the
spectrum of A' S A, so that tens of steps do what would take hundreds with the same step size for all frequencies. The cosine transform
continues a row by reflection; S, and the inverse that the proximal map needs, are therefore exact up to the edges. Below, B = W^1/2 A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...projector.view_blocks import Block
from ..arrays import Sinogram, Volume, added, beside, dot
from .cosine_transform import cosines, from_cosines
from .data_term import DataTerm


def ramp(views: Sinogram, floor: float = 0.02) -> Any:
    """The eigenvalues (cols,) of the ramp, dimensionless: from ``floor`` for the mean of a row to 1 for its finest ripple."""
    cols = views.shape[-1]
    return beside(floor + (1 - floor) * np.arange(cols) / max(cols - 1, 1), views)


def ramp_norm(term: DataTerm, blocks: Sequence[Block], iterations: int = 8) -> float:
    """The largest eigenvalue of B' R B on the views of these blocks, R the `ramp`, by power iteration, with 5 % added."""
    v, steps = beside(np.random.default_rng(0).standard_normal(term.shape, dtype=np.float32), term.data), ramp(term.data)
    value = 0.0
    for _ in range(iterations):
        w = term.zeros()
        for block in blocks:
            filtered = from_cosines(cosines(_rooted(term, block.A(v), block)) * steps)
            w += block.A.T(_rooted(term, filtered, block))
        value = math.sqrt(dot(w, w) / max(dot(v, v), 1e-30))
        v = w / max(math.sqrt(dot(w, w)), 1e-30)
    return 1.05 * value


def advance_dual(term: DataTerm, blocks: Sequence[Block], y: Sinogram, x: Volume, steps: Any) -> tuple[float, Volume]:
    """A dual step on the views of these blocks: changes ``y`` [view, row, col], and returns by how much that changes B' y [z, y, x].

    With S the ``steps`` (cols,) and r = W^1/2 (A x - b): y <- (1 + S)^-1 (y + S r) = y + (1 + S)^-1 S (r - y), the proximal map of the
    conjugate of 1/2 |r|^2. The data term of these views at the volume ``x`` [z, y, x] is returned first.
    """
    data, moved, share = 0.0, None, steps / (1 + steps)
    for block in blocks:
        residual = _rooted(term, term.residual(x, block), block)
        data += 0.5 * dot(residual, residual)
        residual -= y[block.views]
        change = from_cosines(cosines(residual) * share)
        y[block.views] += change
        moved = added(moved, block.A.T(_rooted(term, change, block)))
    return data, term.zeros() if moved is None else moved


def _rooted(term: DataTerm, rays: Sinogram, block: Block) -> Sinogram:
    """W^1/2 times these rays."""
    return rays if term.weights is None else rays * term.weights[block.views] ** 0.5
