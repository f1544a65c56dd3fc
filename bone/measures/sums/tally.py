"""What slabs add up to: sums over voxels by name, and what each slice holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...masks import Mask, grown, shrunk
from ...stack.cut import within
from ...thickness.local_thickness import SlabThickness
from ..subject import Subject
from .shares import SliceSums, slice_sums

_PART = 2**22  # values of which real numbers of 64 bits are made at a time


@dataclass(frozen=True)
class Sum:
    """Over some voxels: how many they are, how many of them are ``known``, and the sums of these and of their squares."""

    count: int = 0
    known: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[Any], known: Mask | None = None) -> Sum:
        """Of values (n,), all of them known unless said, in their own unit."""
        chosen = values if known is None else values[known]
        parts = [chosen[n : n + _PART].astype(np.float64) for n in range(0, chosen.size, _PART)]
        return cls(values.size, chosen.size, sum(float(p.sum()) for p in parts), sum(float(p @ p) for p in parts))

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.count + other.count, self.known + other.known, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN where nothing is known."""
        return self.total / self.known if self.known else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation, likewise."""
        return math.sqrt(max(self.squares / self.known - self.mean**2, 0.0)) if self.known else math.nan


@dataclass(frozen=True, eq=False)
class Tally:
    """``sums`` by name, the sums of ``slices``, and their ``rows`` of the table; ``undecided``: voxels of bone (True) or space (False) in
    balls too wide for the slabs.
    """

    sums: Mapping[str, Sum]
    slices: SliceSums
    rows: Sequence[Mapping[str, float]]
    undecided: Mapping[bool, int] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Tally]) -> Tally:
        """All slabs, one on the other."""
        sums = {name: sum((part.sums[name] for part in parts), Sum()) for name in parts[0].sums}
        undecided = {phase: sum(part.undecided[phase] for part in parts) for phase in parts[0].undecided}
        return cls(sums, SliceSums.joined([part.slices for part in parts]), [row for part in parts for row in part.rows], undecided)


def tally(subject: Subject, found: SlabThickness, depth: int, z_mm: NDArray[np.float64]) -> Tally:
    """What the slices of one slab add to all quantities; the volume has ``depth`` slices, which lie at ``z_mm`` (z,)."""
    own = found.own
    window = slice(max(own.start - 1, 0), min(own.stop + 1, depth))
    here = within(own, window)
    inside, around = subject.inside(own), subject.compartments(window)
    at = None if around is None else around.at(here)
    bone, free = found.bone, inside if at is None else inside & ~at.roots
    surface = inside if around is None else inside & ~(grown(around.cortical)[here] & ~bone)
    sums = {"inside": Sum(int(np.count_nonzero(inside))), "area": Sum.of(found.area[surface])}
    for name, where in (("Tb_Th", free & bone), ("Tb_Sp", free & ~bone), ("Ct_Th", inside & bone)):
        diameters = found.voxels[where]
        sums[name] = Sum.of(diameters, diameters > 0)
    sums["plate"] = Sum.of(found.plate[inside & bone])
    if around is not None and at is not None:
        sums["within cortex"] = Sum.of(found.share[shrunk(around.cortical)[here]])
    slices = slice_sums(found.share, bone, inside, around, subject.voxel_mm, start=here.start)
    rows = _rows(subject, found, inside, inside if at is None else at.cortical, slices, z_mm)
    return Tally(sums, slices, rows, found.undecided)


def grey_sums(subject: Subject, own: slice, depth: int, calibrated: bool) -> Mapping[str, Sum]:
    """Sums of grey values of a slab: of the region and its bone a voxel below the surface (``calibrated``), and of bone in the cortex; and
    how many voxels that has.
    """
    grey, bone = subject.grey_and_bone(own)
    found = subject.compartments(own)
    sums = {}
    if found is not None:
        cortex = found.cortical
        sums = {"cortex": Sum(int(np.count_nonzero(cortex))), "cortical bone": Sum.of(grey[cortex & bone])}
    if calibrated:
        window, inside = slice(max(own.start - 1, 0), min(own.stop + 1, depth)), subject.inside(own)
        core = shrunk(subject.bone(window))[within(own, window)] & inside
        sums |= {"BMD": Sum.of(grey[inside]), "TMD": Sum.of(grey[core])}
    return sums


def _rows(
    subject: Subject, found: SlabThickness, inside: Mask, walls: Mask, sums: SliceSums, z_mm: NDArray[np.float64]
) -> list[dict[str, float]]:
    """A row for each slice that the region reaches."""
    rows, unknown = [], {phase for phase, count in found.undecided.items() if count}
    for n in np.flatnonzero((inside | walls).any(axis=(1, 2))):
        z, diameters, bone = int(n) + found.own.start, found.voxels[n] * subject.voxel_mm, found.bone[n]
        row: dict[str, float] = {"slice": float(z), "z_mm": float(z_mm[z])}
        if subject.name != "cortical":
            row["BV_TV"] = 100 * float(sums.network[n]) / count if (count := np.count_nonzero(inside[n])) else math.nan
            for name, phase in (("Tb_Th", True), ("Tb_Sp", False)):
                row[name] = math.nan if phase in unknown else Sum.of(diameters[inside[n] & (bone == phase) & (diameters > 0)]).mean
        if subject.name != "trabecular":
            row["Ct_Ar"], row["Ct_pMOI"], row["Tt_Ar"] = (float(of[n]) for of in (sums.area, sums.moment, sums.total))
            row["Ct_Th"] = math.nan if True in unknown else Sum.of(diameters[walls[n] & bone & (diameters > 0)]).mean
        rows.append(row)
    return rows
