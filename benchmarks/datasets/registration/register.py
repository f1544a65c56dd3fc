"""The placement of a Recon-CT in its scan: found against the full-view FDK of the same X-rays, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....base.shapes import NewVoxelValues, VolumeMask, VoxelValues
from ....data import Projections
from ....data.placement import Placement
from ....data.volumes.block_means import read_blocks, slices_shape
from ....data.volumes.resample import resample
from ....geometry import Grid
from ....recon import fdk
from .coarse_search import search
from .fine_fit import Pose, agreement, fit

SIZE = 128  # voxels across the field of view, on which volumes are registered
_COARSE, _HALF = 24, 64  # voxels across: for the search over orientations, and for following its guesses
# On simulated heads of five strains at 96 columns, a Recon-CT has 0.99 of the fine structure of its own scan and 0.87 at most of another's.
LEAST_CORRELATION, LEAST_FINE = 0.9, 0.93
_OTHER_SCALE = 0.015  # own scans are found to 0.3 %
_RATIOS = (2.0, 0.5)  # a Recon-CT that was binned, or made of fewer pixels


@dataclass(frozen=True, eq=False)
class _Problem:
    """The whole (FDK, 1/mm, on ``grid``), what of it all views see, and the part in grey levels in voxels as large as those of the grid."""

    whole: VoxelValues
    grid: Grid
    valid: VolumeMask
    part: NewVoxelValues


def register(projections: Projections, folder: Path, voxel_mm: float) -> Placement:
    """Where the slices in ``folder`` lie in the scan of all its views. ``voxel_mm`` is what their voxels are thought to be.

    Slices of any orientation, mirrored or not, cropped, shifted, turned, with any grey window, also with grey levels that run backwards.
    What is not found for certain has ``doubts``.
    """
    scan = projections.scan
    voxel = max(voxel_mm, 2 * scan.field_of_view_mm.radius_mm / SIZE, scan.field_of_view_mm.pixel_mm)
    factor = max(1, min(round(voxel / voxel_mm), *(n // 8 or 1 for n in slices_shape(folder))))
    levels, first = read_blocks(folder, factor)
    block = factor * voxel_mm
    grid = Grid.fit(scan, voxel_mm=block)
    problem = _Problem(fdk(projections, grid, filter="hann"), grid, grid.seen_by_all(scan), levels)
    tried: list[tuple[Pose, tuple[float, float]]] = []
    for axial, ratio in ((True, 1.0), (False, 1.0), *((True, r) for r in _RATIOS)):
        pose = _roughly(problem, axial, ratio)
        pose = fit(problem.part, problem.whole, pose, problem.valid)
        if ratio == 1 and abs(pose.scale - 1) <= _OTHER_SCALE:  # one camera made both: what is left of it is beam hardening
            pose = fit(problem.part, problem.whole, replace(pose, scale=1.0), problem.valid, (1.0, 0.5), last=True)
        tried.append((pose, _agreement(problem, pose)))
        if tried[-1][1][0] >= LEAST_CORRELATION:  # it lies this way, be it the same scan or one of another animal
            break
    pose, score = max(tried, key=lambda t: t[1][0] + t[1][1])
    return _placement(problem, pose, score, block, first, factor)


def _good(score: tuple[float, float]) -> bool:
    return score[0] >= LEAST_CORRELATION and score[1] >= LEAST_FINE


def _roughly(problem: _Problem, axial: bool, ratio: float) -> Pose:
    """The best pose among the starts of the coarse search, each followed on volumes of half the resolution."""
    grid = problem.grid
    inside = np.where(problem.valid, problem.whole, 0).astype(np.float32)
    coarse = grid.coarser(max(1, max(grid.shape) // _COARSE))
    starts = search(_shrunk(problem.part, coarse, grid, ratio), resample(inside, grid, coarse), axial=axial)
    half = grid.coarser(max(1, max(grid.shape) // _HALF))
    valid, whole = resample(problem.valid.astype(np.float32), grid, half) > 0.5, resample(inside, grid, half)
    part = _shrunk(problem.part, half, grid, ratio)
    ends = []
    for start in starts:
        middle_mm = start.middle * coarse.voxel_mm + coarse.origin_mm
        pose = fit(part, whole, Pose(start.turn, (middle_mm - half.origin_mm) / half.voxel_mm), valid, (2.0, 1.0))
        ends.append((sum(agreement(part, whole, pose, valid)) * (-1 if pose.gain < 0 else 1), pose))
    _, best = max(ends, key=lambda end: end[0])
    middle_mm = best.middle * half.voxel_mm + half.origin_mm
    return replace(best, middle=(middle_mm - grid.origin_mm) / grid.voxel_mm, scale=best.scale * ratio)


def _shrunk(part: VoxelValues, to: Grid, grid: Grid, ratio: float) -> NewVoxelValues:
    """The part in the voxels of ``to``, where its own are ``ratio`` times as large as those of ``grid``."""
    nz, ny, nx = (max(2, round(n * ratio * grid.voxel_mm / to.voxel_mm)) for n in part.shape)
    return resample(part, Grid(part.shape, ratio * grid.voxel_mm), Grid((nz, ny, nx), to.voxel_mm))


def _agreement(problem: _Problem, pose: Pose) -> tuple[float, float]:
    sign = -1.0 if pose.gain < 0 else 1.0
    overall, fine = agreement(problem.part, problem.whole, pose, problem.valid)
    return sign * overall, sign * fine


def _placement(
    problem: _Problem, pose: Pose, score: tuple[float, float], block: float, first: NDArray[np.float64], factor: int
) -> Placement:
    """The pose in mm and in the voxels of the slices, with what it says in words."""
    grid = problem.grid
    back = pose.turn.T / (pose.scale * grid.voxel_mm)  # from mm to blocks (x, y, z)
    middle_mm = pose.middle * grid.voxel_mm + grid.origin_mm
    matrix = (back * factor)[::-1]
    centre = (np.array(problem.part.shape) - 1) / 2 * factor + first
    start = centre - matrix @ middle_mm
    straight = _straight(pose.turn)
    angle = float(np.degrees(np.arccos(np.clip((np.trace(pose.turn @ straight.T) - 1) / 2, -1, 1))))
    rows = tuple(tuple(float(v) for v in row) for row in matrix)
    found = Placement(rows, tuple(float(v) for v in start), pose.gain, pose.offset, *score, pose.scale, angle)  # type: ignore[arg-type]
    return replace(found, facts=_facts(pose, straight), doubts=_doubts(score, pose.scale, found.voxel_mm))


def _straight(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signed permutation nearest to a rotation with or without a mirror."""
    near = np.zeros((3, 3))
    left = np.abs(turn).copy()
    for _ in range(3):
        row, col = np.unravel_index(int(left.argmax()), left.shape)
        near[row, col] = np.sign(turn[row, col])
        left[row], left[:, col] = -1, -1
    return near


def _facts(pose: Pose, straight: NDArray[np.float64]) -> tuple[str, ...]:
    found = ["mirrored"] if float(np.linalg.det(pose.turn)) < 0 else []
    if abs(straight[2, 2]) < 1:
        found.append(f"its slices are stacked along {'xyz'[int(np.abs(straight[:, 2]).argmax())]}, not along the rotation axis")
    elif straight[2, 2] < 0:
        found.append("its first slice is the uppermost")
    if pose.gain < 0:
        found.append("its grey levels run backwards (dense is dark)")
    return tuple(found)


def _doubts(score: tuple[float, float], scale: float, voxel_mm: float) -> tuple[str, ...]:
    if not _good(score):
        return (
            "low confidence: it does not look like the volume of these X-rays"
            f" (at least {LEAST_CORRELATION} and {LEAST_FINE} expected): another animal or week, or another voxel size?",
        )
    if abs(scale - 1) > _OTHER_SCALE:
        return (f"its voxels are {scale:.3f} times as large as stated against the X-rays (--recon-voxel-mm {voxel_mm:.4g})",)
    return ()
