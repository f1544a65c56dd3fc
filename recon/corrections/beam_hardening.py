"""Beam hardening: a polynomial that needs no knowledge of the scanner, and a correction for soft tissue and bone that needs its spectrum.

A tube's soft X-rays are absorbed first, so a line integral grows more slowly than the path: uniform bodies look hollow (cupping), and
soft tissue between bones dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ...base import InputError
from ...base.memory import require_memory
from ...base.shapes import LineIntegrals, NewVolume, ViewValues
from ...data import Projections
from ...data.scans.view_store import ViewStore
from ...geometry import Grid, Scan
from ..physics.tables import Beam, attenuation

_MOST_VOXELS = 1 << 27
Straighten = Callable[[slice, LineIntegrals], LineIntegrals]  # (views, their line integrals [view, row, col]) -> straight ones


def linearise(values: LineIntegrals, percent: float) -> LineIntegrals:
    """Line integrals p of one material made proportional to its path length: ``p (1 + percent / 100 p)``, percent from 0 (off) to 100.

    So the percentage is what is added to a line integral of 1, and thin objects stay as they are. It plays the part of NRecon's *Beam
    Hardening Correction (%)*, whose own polynomial is not published; the two scales need not agree. `hardening_percent` gives the value
    for a known spectrum. Herman, Phys. Med. Biol. 24 (1979) 81, with the polynomial cut after the square.

    >>> linearise(np.array([[[0.0, 1.0, 2.0]]], dtype=np.float32), percent=25).tolist()
    [[[0.0, 1.25, 3.0]]]
    """
    if not 0 <= percent <= 100:
        raise InputError(f"beam hardening is {percent} %", expected="0 (off) to 100 %")
    if percent == 0:
        return values
    return np.asarray(values * (1 + np.float32(percent / 100) * values), dtype=np.float32)


def hardening_percent(beam: Beam, material: str, length_mm: float) -> float:
    """The percentage for `linearise` that straightens ``material`` best, in the least-squares sense, up to ``length_mm``."""
    if not length_mm > 0:
        raise InputError(f"length_mm is {length_mm}", expected="a positive length in mm")
    length = np.linspace(0, length_mm, 101)[1:]
    p = _polychromatic(beam, [attenuation(material, beam.energy_kev)], [length])
    a, b = np.linalg.lstsq(np.stack([p, p**2], axis=1), length, rcond=None)[0]
    return float(np.clip(100 * b / a, 0, 100))


def correct_two_materials(
    projections: Projections,
    beam: Beam,
    grid: Grid | None = None,
    *,
    reference_kev: float = 30.0,
    passes: int = 2,
    bone_from: float = 1.5,
) -> Projections:
    """The line integrals that ``reference_kev`` alone would have measured through soft tissue and bone.

    After Joseph & Spital, J. Comput. Assist. Tomogr. 2 (1978) 100, and Nalcioglu & Lou, Phys. Med. Biol. 24 (1979) 330: correct as
    if all were soft, reconstruct, split each voxel into soft tissue and bone by volume, project the bone, and solve Beer-Lambert's law,
    summed over the spectrum, for the path through soft tissue that the measurement leaves over. ``passes`` repeats this (0: soft only).

    ``bone_from``: a voxel of more than that many times the attenuation of soft tissue holds bone. ``grid`` has to hold all of the bone; by
    default it is `search_grid`.
    """
    values, scan = projections.values.copy(), projections.scan
    grid = search_grid(scan) if grid is None else grid
    straight = two_materials(projections.values, scan, beam, grid, reference_kev=reference_kev, passes=passes, bone_from=bone_from)
    for view in range(len(values)):
        values[view] = straight(slice(view, view + 1), values[view : view + 1])[0]
    return Projections(values, scan, projections.meta)


def two_materials(
    values: LineIntegrals | ViewStore,
    scan: Scan,
    beam: Beam,
    grid: Grid,
    *,
    reference_kev: float = 30.0,
    passes: int = 2,
    bone_from: float = 1.5,
) -> Straighten:
    """The last step of `correct_two_materials`, as a function (views, their line integrals) -> corrected line integrals [view, row, col].

    Of ``values`` on a disk a block of views is in memory at a time, beside two volumes on the ``grid``.
    """
    if passes < 0 or passes != int(passes):
        raise InputError(f"passes is {passes}", expected="a whole number; 0 corrects as if all were soft tissue")
    if not bone_from > 1:
        raise InputError(f"bone_from is {bone_from}", expected="more than 1, times the attenuation of soft tissue")
    require_memory(3 * 4 * math.prod(grid.shape), f"the search for bone on {' x '.join(map(str, grid.shape))} voxels")
    soft, bone = (float(attenuation(name, reference_kev)[0]) for name in ("soft", "bone"))
    tables, share = _Tables(beam), None

    def straight(views: slice, measured: LineIntegrals) -> LineIntegrals:
        from ..projector.operator import Operator

        bone_mm = np.zeros_like(measured) if share is None else np.asarray(Operator(scan[views], grid)(share), np.float32)
        soft_mm = _soft_path(measured, bone_mm, tables)
        return np.asarray(np.float32(soft) * soft_mm + np.float32(bone) * bone_mm, dtype=np.float32)

    for _ in range(passes):
        volume = _reconstructed(values, scan, grid, straight)
        share = np.where(volume > bone_from * soft, (volume - soft) / (bone - soft), 0).astype(np.float32)
    return straight


def _reconstructed(values: LineIntegrals | ViewStore, scan: Scan, grid: Grid, straight: Straighten) -> NewVolume:
    """FDK [z, y, x] in 1/mm of the views as they are straightened so far."""
    from ..analytic.feldkamp import fdk, view_blocks
    from ..analytic.feldkamp_slabs import SlabFdk

    if isinstance(values, np.ndarray):
        blocks = [straight(views, values[views]) for views in view_blocks(scan)]
        return fdk(Projections(np.concatenate(blocks), scan), grid)
    by_slab = SlabFdk(scan, grid)
    read = lambda views, rows: np.ascontiguousarray(by_slab.filtered(straight(views, values[views]), views)[:, rows])  # noqa: E731
    return by_slab.slab(read, slice(0, grid.shape[0]))


def search_grid(scan: Scan, grid: Grid | None = None) -> Grid:
    """Where to look for bone: the whole field of view, with voxels as coarse as it takes to stay within 2^27 of them.

    ``grid`` is taken if it holds the field of view and has no more. A box will not do: bone outside of it hardens the beam as well.
    """
    whole = Grid.fit(scan)
    small = grid is not None and math.prod(grid.shape) <= _MOST_VOXELS
    if grid is not None and small and all(have > 0.98 * need for have, need in zip(grid.size_mm, whole.size_mm, strict=True)):
        offset = np.subtract(grid.center_mm, whole.center_mm)
        if np.abs(offset).max() < 0.02 * max(whole.size_mm):
            return grid
    factor = 1
    while math.prod(whole.coarser(factor).shape) > _MOST_VOXELS:
        factor += 1
    return whole.coarser(factor)


def _polychromatic(beam: Beam, coefficients: list[NDArray[np.float64]], lengths: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """-ln of the transmitted share of the beam's signal behind path lengths (mm, all of one shape) of materials."""
    exponent = sum(mu * length[..., None] for mu, length in zip(coefficients, lengths, strict=True))
    return -np.log(np.exp(-exponent) @ beam.weight)


@dataclass(frozen=True)
class _Table:
    """Path through soft tissue, in mm, on a regular grid of (bone path, line integral beyond that of the bone)."""

    soft_mm: NDArray[np.float64]
    bone_step_mm: float
    excess_step: float
    alone: NDArray[np.float64]
    """Line integral of the bone alone, per bone path."""

    @classmethod
    def build(cls, beam: Beam, longest_bone_mm: float, most: float, size: tuple[int, int] = (129, 513)) -> _Table:
        mu_soft, mu_bone = (attenuation(name, beam.energy_kev) for name in ("soft", "bone"))
        bone = np.linspace(0, max(longest_bone_mm, 1e-3), size[0])
        excess = np.linspace(0, max(most, 1e-3), size[1])
        reach = np.linspace(0, 1, 4001) ** 2 * most / mu_soft.min()  # denser where the beam is still soft
        alone = _polychromatic(beam, [mu_bone], [bone])
        rows = [np.interp(excess, _polychromatic(beam, [mu_soft, mu_bone], [reach, np.full_like(reach, b)]) - a, reach)
                for b, a in zip(bone, alone, strict=True)]  # fmt: skip
        return cls(np.stack(rows), bone[1], excess[1], alone)


@dataclass(frozen=True, eq=False)
class _Tables:
    """Tables for paths up to a few lengths, so that a view has the same one whatever views come with it."""

    beam: Beam
    made: dict[tuple[int, int], _Table] = field(default_factory=dict)

    def reaching(self, longest_bone_mm: float, most: float) -> _Table:
        """The table for paths through bone and line integrals up to these, and up to a fifth beyond."""
        first, second = (math.ceil(4 * math.log2(max(value, 1e-3))) for value in (longest_bone_mm, most))
        if (first, second) not in self.made:
            self.made[first, second] = _Table.build(self.beam, 2 ** (first / 4), 2 ** (second / 4))
        return self.made[first, second]


def _soft_path(values: LineIntegrals, bone_mm: ViewValues, tables: _Tables) -> ViewValues:
    """Solve p(soft, bone) = value for the soft path, in mm; it goes on linearly below zero, so that noise in air stays unbiased."""
    out = np.empty_like(values)
    for view in range(len(values)):
        bone = np.maximum(bone_mm[view], 0)
        table = tables.reaching(float(bone.max()), float(values[view].max()))
        at_bone = np.arange(len(table.alone)) * table.bone_step_mm
        excess = values[view] - np.interp(bone, at_bone, table.alone)
        place = np.stack([bone / table.bone_step_mm, np.maximum(excess, 0) / table.excess_step])
        found = map_coordinates(table.soft_mm, place, order=1, mode="nearest")
        slope = table.soft_mm[:, 1] / table.excess_step
        out[view] = np.where(excess < 0, excess * np.interp(bone, at_bone, slope), found)
    return out
