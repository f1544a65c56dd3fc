"""One slab: computed, written to its place in the volume, and summed up. A job holds names and numbers: any process can do it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import ViewValues
from ...data.scans.view_store import ViewStore
from ...data.volumes.resample import thumbnail_planes
from ...data.volumes.slabs.contract import SlabFile
from ...recon.analytic.feldkamp_slabs import SlabFdk
from ...recon.corrections.smoothing import median_volume
from ...recon.selfcheck.check import COARSE


@dataclass(frozen=True)
class FilteredRows:
    """Filtered views on a disk, of the panel's rows from ``first_row`` on."""

    store: ViewStore
    first_row: int

    def __call__(self, views: slice, rows: slice) -> ViewValues:
        """Those views and rows of the panel [view, row, col], in 1/mm."""
        return self.store[views, slice(rows.start - self.first_row, rows.stop - self.first_row)]


@dataclass(frozen=True)
class SlabJob:
    """What is the same for all slabs of a volume; ``median`` is the radius of the filter of the volume, in voxels (0: none)."""

    fdk: SlabFdk
    rows: FilteredRows
    file: SlabFile
    median: int = 0

    def do(self, z: slice, done: Callable[[int], object] = lambda views: None) -> dict[str, Any]:
        """Make and write the slices ``z``; what is to be kept about them, as arrays by name. ``done`` is called with the views done."""
        nz = self.fdk.grid.shape[0]
        wide = slice(max(0, z.start - self.median), min(nz, z.stop + self.median))
        with _one_at_a_time():
            slab = self.fdk.slab(self.rows, wide, done)
        inner = slice(z.start - wide.start, z.stop - wide.start)
        sums: NDArray[np.float64] = np.zeros((0, 2))
        chosen, planes = thumbnail_planes(slab[inner], z.start, self.fdk.grid, COARSE)
        if self.median:
            before, slab = slab[inner], median_volume(slab, self.median)[inner]
            sums = _sums(before, slab)
        if not all(np.isfinite(plane).all() for plane in slab):
            raise InputError(f"slices {z.start} to {z.stop - 1} hold voxels that are NaN or Inf", expected="a finite volume")
        self.file.write(z.start, slab)
        return {"range": np.array([slab.min(), slab.max()]), "changes": sums, "coarse_z": np.array(chosen, int), "coarse": planes}


def _sums(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """(slice, 2): the sum of the changes in each slice, and of their squares."""
    found = []
    for old, new in zip(before, after, strict=True):
        difference = np.subtract(new, old, dtype=np.float64)
        found.append((float(difference.sum()), float((difference**2).sum())))
    return np.array(found)


@cache
def _lock() -> threading.Lock:
    return threading.Lock()


def _one_at_a_time() -> threading.Lock:
    """Compiled loops use all cores of a process: several threads of a worker take turns."""
    return _lock()
