"""How long the corrections of a run by slabs take on this machine: a few views and voxels are corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....geometry import Grid, Scan
from ....recon.corrections import Corrections
from ....recon.corrections.beam_hardening import search_grid, two_materials
from ....recon.corrections.by_view import corrected
from ....recon.corrections.settings import tube_of
from ....recon.corrections.smoothing import median_volume
from ....recon.projector.operator import Operator
from .probe import Took, timed, voxel_time

_FEW, _MORE = 2, 6  # views that are corrected; what all take is continued in a straight line
_SIDE = 48  # voxels across the sample of the median


def correction_time(settings: Corrections, scan: Scan, meta: Mapping[str, Any], rows: int, grid: Grid) -> Took:
    """To correct all views of a scan, of which ``rows`` are kept, and the volume on the ``grid``; nothing where no correction is on."""
    of_views, total = settings.changed(bone_hardening=0, median=0), Took()
    if of_views.acts_on_views:
        _of_views(of_views, scan, rows, 1)  # the first time libraries are loaded
        few, more = (_of_views(of_views, scan, rows, count) for count in (_FEW, _MORE))
        total = more.plus(_a_view(few, more).times(len(scan) - _MORE))
    if settings.bone_hardening:
        total = total.plus(_of_bone(settings, scan, meta, search_grid(scan, grid)))
    if settings.median:
        total = total.plus(_of_median(settings.median).times(math.prod(grid.shape)))
    return total


def _a_view(few: Took, more: Took) -> Took:
    """What one view more takes, at least a quarter of the mean of a sample: its clock may be too coarse for the difference."""
    wall, cpu = (max((b - a) / (_MORE - _FEW), b / _MORE / 4) for a, b in ((few.wall, more.wall), (few.cpu, more.cpu)))
    return Took(wall, cpu)


def _of_views(settings: Corrections, scan: Scan, rows: int, count: int) -> Took:
    values = np.random.default_rng(0).normal(1.0, 0.05, (count, rows, scan.shape[1])).astype(np.float32)
    with timed() as took:
        corrected(values, scan, settings, {})
    return took


def _of_bone(settings: Corrections, scan: Scan, meta: Mapping[str, Any], where: Grid) -> Took:
    """In each pass the views are straightened and reconstructed coarsely; then, and at the end, bone is projected."""
    one, passes = slice(len(scan) // 2, len(scan) // 2 + 1), settings.bone_hardening
    straight = two_materials(np.empty((0, 1, 1), np.float32), scan, tube_of(settings, meta)[1], where, passes=0)
    values, operator = np.full((1, *scan.shape), 0.5, np.float32), Operator(scan[one], where)
    bone = np.zeros(where.shape, np.float32)
    _ = straight(one, values), operator(bone)  # the first time tables are made and loops compiled
    with timed() as straightened:
        straight(one, values)
    with timed() as projected:
        operator(bone)
    summed = voxel_time(scan, where, where.shape[0]).times(math.prod(where.shape))
    return straightened.times(passes + 1).plus(projected.times(passes)).plus(summed.times(passes)).times(len(scan))


def _of_median(radius: int) -> Took:
    """For one voxel."""
    block = np.random.default_rng(0).random((_SIDE,) * 3, np.float32)
    with timed() as took:
        median_volume(block, radius)
    return took.times(1 / block.size)
