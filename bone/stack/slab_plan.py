"""How many slices memory holds at a time, and how many around them may be looked at."""

from __future__ import annotations

from dataclasses import dataclass

from ...base import InputError
from ...base.memory import GIB, available_bytes
from .cut import Cut

LEAST_REACH = 16  # slices on both sides of a slab in which its balls are looked for, at the least
BYTES = 40  # a voxel of the whole volume, at the most: the grey values, discs and nearest discs, maps
_KEPT = 20  # a voxel of a slab that is kept for those after it: nearest discs, shares, discs
_WORK = 36  # a voxel of the slab that is worked on: codes of discs, distances, balls, maps
_MASKS = 14  # a voxel of the slices that compartments are found in
_PACKED = 0.4  # a voxel of the whole volume: masks and labels, compressed
_MAPS = 2**28  # bytes of the thinned maps, and of the program
_SHARE, _MOST_SHARE = 0.5, 0.8  # of the free memory that slabs may take, and that they may take where slices around them are needed
_HEIGHTS = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 8, 4, 2, 1)
_FIRST_REACH = 48  # slices around a slab


@dataclass(frozen=True)
class SlabPlan:
    """The ``cut``; ``reach`` slices around a slab are looked at for balls, and up to ``most`` where those are too few. ``halo``: those that
    compartments need.
    """

    cut: Cut
    reach: int
    most: int
    halo: int

    @property
    def needed_bytes(self) -> int:
        """The memory that this takes at the most, beside the volume."""
        return slab_bytes(self.cut, self.reach, self.halo)

    def said(self) -> str:
        """For people."""
        need = f"about {self.needed_bytes / GIB:.2g} GiB of memory"
        if self.cut.is_whole:
            return f"all {self.cut.shape[0]} slices at once, {need}"
        around = max(self.reach, self.halo)
        return f"{len(self.cut.slabs)} slabs of {self.cut.height} slices, {around} slices looked at on both sides of each, {need}"


def slab_bytes(cut: Cut, reach: int, halo: int) -> int:
    """The memory that slabs take, beside the volume: ``reach`` slices around them for balls, ``halo`` for compartments."""
    nz, ny, nx = cut.shape
    if cut.is_whole:
        return BYTES * nz * ny * nx
    kept = min(2 * cut.height + 7 * reach // 3 + 30, nz) * _KEPT + min(cut.height + 30, nz) * _WORK
    masks = min(cut.height + 2 * halo, nz) * _MASKS if halo else 0
    return int(max(kept, masks) + _PACKED * nz) * ny * nx + _MAPS


def plan_slabs(shape: tuple[int, int, int], halo: int, asked: int | None, available: int | None = None) -> SlabPlan:
    """The whole volume in one where memory holds it and no height is ``asked`` for; else slabs of that height, or as high as half of the
    free memory holds. ``halo``: slices that compartments need around a slab.

    Raises InputError, with both numbers, where memory holds no slice with what it needs around it.
    """
    free = available if available is not None else available_bytes() or 8 * GIB
    depth = shape[0]
    if asked is not None and asked < 1:
        raise InputError(f"slab is {asked}", expected="a number of slices, 1 or more")
    if asked is None and BYTES * shape[0] * shape[1] * shape[2] <= free:
        return SlabPlan(Cut(shape, depth), depth, depth, halo)
    heights = _HEIGHTS if asked is None else (min(asked, depth),)
    fitting = [n for n in heights if slab_bytes(Cut(shape, n), max(LEAST_REACH, min(n, _FIRST_REACH)), halo) <= _SHARE * free]
    if not fitting:
        need = slab_bytes(Cut(shape, heights[-1]), LEAST_REACH, halo) / _SHARE
        raise InputError(
            f"slabs of {heights[-1]} of {depth} slices of {shape[1]} x {shape[2]} voxels, with {max(halo, LEAST_REACH)} slices on both "
            f"sides of each, need {need / GIB:.2g} GiB of free memory and {free / GIB:.2g} GiB are free",
            remedy="measure a part of the volume, a coarser one, or on a machine with more memory"
            if asked is None or asked == 1
            else "give a smaller --slab, or none",
        )
    cut = Cut(shape, fitting[0])
    most = max((n for n in range(LEAST_REACH, depth + 1) if slab_bytes(cut, n, halo) <= _MOST_SHARE * free), default=LEAST_REACH)
    most = depth if cut.is_whole else most
    return SlabPlan(cut, min(max(cut.height, _FIRST_REACH), most), most, halo)
