"""FDK some slices at a time, from filtered views that may lie on a disk: the numbers of `fdk` to the last bit, whatever the slabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import LineIntegrals, NewViews, NewVolume, ViewValues
from ...geometry import Grid, Scan
from ...geometry.rotation import Orbit
from ..projector.backend import Backend, fdk_backend
from .feldkamp import refuse_repeats, view_blocks
from .filtered_views import filtered_views, whole_pairs
from .ramp import ramp_response
from .redundancy import Coverage, coverage

ReadViews = Callable[[slice, slice], NDArray[np.float32]]
"""(views, rows) -> those filtered views [view, row, col], as a contiguous float32 array."""


@dataclass(frozen=True)
class SlabFdk:
    """FDK of the views of a ``scan`` on a ``grid``; ``filter`` and ``cutoff`` as in `FdkSettings`, ``backend`` one that computes slabs."""

    scan: Scan
    grid: Grid
    filter: str = "ramp"
    cutoff: float = 1.0
    backend: str = "numba"

    def __post_init__(self) -> None:
        if self._able.fdk_rows is None:
            raise InputError(f"backend={self.backend!r} with slabs", expected="a backend that computes FDK by slabs: numba")
        refuse_repeats(self.scan)

    @cached_property
    def _able(self) -> Backend:
        return fdk_backend(self.backend)

    @cached_property
    def _orbit(self) -> Orbit:
        return Orbit.of(self.scan)

    @cached_property
    def _covered(self) -> Coverage:
        return coverage(self._orbit.angle)

    @cached_property
    def _response(self) -> NDArray[np.float32]:
        return ramp_response(self.scan.shape[1], self.filter, self.cutoff)

    @cached_property
    def blocks(self) -> Sequence[slice]:
        """The views that are summed at once."""
        return view_blocks(self.scan)

    def block_rows(self, views: slice, z: slice) -> slice:
        """The rows of the panel that the slices ``z`` need in these views; none (0 to 0) where they see nothing of the panel."""
        assert self._able.fdk_rows is not None
        return self._able.fdk_rows(self.scan[views], self.grid, z)

    def rows(self, z: slice) -> slice:
        """The rows that the slices need in any view, in whole pairs for the filter; none (0 to 0) where no view sees them."""
        found = [rows for views in self.blocks if (rows := self.block_rows(views, z)).stop]
        if not found:
            return slice(0, 0)
        return whole_pairs(slice(min(r.start for r in found), max(r.stop for r in found)), self.scan.shape[0])

    def filtered(self, values: LineIntegrals, views: slice, first_row: int = 0) -> NewViews:
        """The views of a slice, weighted and filtered [view, row, col], in 1/mm.

        ``values`` holds these views alone, and of their rows a part that begins with ``first_row`` and is made of `whole_pairs`.
        """
        orbit = replace(self._orbit, **{n: getattr(self._orbit, n)[views] for n in ("angle", "outward", "tangent", "dso_mm", "height_mm")})
        covered = replace(self._covered, **{n: getattr(self._covered, n)[views] for n in ("start", "position", "end", "width")})
        out = np.empty_like(values)
        filtered_views(values, self.scan[views], orbit, covered, self._response, slice(0, len(values)), out, first_row)
        return out

    def slab(self, read: ReadViews, z: slice, done: Callable[[int], object] = lambda views: None) -> NewVolume:
        """The slices ``z`` of the volume [z, y, x] in 1/mm. ``done`` is called with the number of views that are in it."""
        volume = np.zeros((z.stop - z.start, *self.grid.shape[1:]), dtype=np.float32)
        self.add(volume, read, z, done)
        return volume

    def add(self, volume: NewVolume, read: ReadViews, z: slice, done: Callable[[int], object] = lambda views: None) -> None:
        """Add the slices ``z`` to ``volume`` [z, y, x] in 1/mm, which holds these alone."""
        assert self._able.fdk_sum is not None
        for views in self.blocks:
            rows = self.block_rows(views, z)
            if rows.stop:
                held: ViewValues = read(views, rows)
                self._able.fdk_sum(volume, self.scan[views], self.grid, held, self._covered.width[views], z, rows)
            done(views.stop)
