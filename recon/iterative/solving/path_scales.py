"""The weights of SIRT and OS-SART: of each ray by the length of its path through the box, of each voxel by the rays that meet it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...projector.view_blocks import Linear, ray_scales, reciprocal
from ..arrays import Sinogram, Volume
from .data_term import DataTerm


class PathScales:
    """R W for each ray and C = 1 / (A' R W A 1) for each voxel, where R is 1 / path length in 1/mm.

    ``parts`` are pairs of an operator and its views which make up all views; ``voxels`` is C [z, y, x]. R would be as large as the data,
    so it is computed again whenever it is needed.
    """

    def __init__(self, term: DataTerm, parts: Iterable[tuple[Linear, Any]]) -> None:
        self._term, self._ones = term, term.zeros() + 1
        total = term.zeros()
        for A, views in parts:
            total += A.T(self.rays(A, views) * A(self._ones))
        self.voxels: Volume = reciprocal(total)

    def rays(self, A: Linear, views: Any) -> Sinogram:
        """R W [view, row, col] of these views, ``A`` being their operator."""
        return self._term.weighted(ray_scales(A, self._ones), views)
