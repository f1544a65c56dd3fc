"""What is scanned: scenes of procedural volumes, each from a seed, on a grid finer than the one that is reconstructed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter

from ...base.shapes import NewVolume, Volume
from ...data.phantom.procedural.bodies import log_uniform
from ...data.phantom.procedural.kinds_of_volumes import family_of, random_volume
from ...data.phantom.smooth_noise import Noise
from ...geometry import Grid

VOXEL_MM = 0.25  # the networks are told no lengths, so that any number will do
LARGE = 0.4  # share of the scenes with one object that fills the slices
HEADS = ("head", "mammal")
ANIMALS = (*HEADS, "limb")  # families in which no other takes a part's place
FINE = 2  # the scanned volume and the rays are finer than the grid by this factor


def draw_scene(rng: np.random.Generator, seed: int, grid: Grid) -> Volume:
    """A volume [z, y, x] in 1/mm on a grid `FINE` times as fine: an object that fills the slices, or a smaller one among yet smaller ones.

    What is small in the field of view has details that are small in voxels, and air around it: so do animals lie in a scanner.
    """
    nz, ny, nx = (FINE * n for n in grid.shape)
    edges = [nx] if rng.random() < LARGE else [round(nx * share) for share in (rng.uniform(0.4, 0.75), *_shares_beside(rng))]
    scene = np.zeros((nz, ny, nx), np.float32)
    for number, edge in enumerate(edges):
        up = round(nx * rng.uniform(-0.1, 0.1)) if edge < nx else 0
        tall = min(edge, nz + 2 * abs(up))  # all that lies in these slices, and as much on the other side
        shape = (tall, edge, edge)
        drawn = draw_object(rng, 8 * seed, shape) if number == 0 else _volume(8 * seed + 2 + number, shape)
        near = 0.5 if number else 0.25  # of what is free: the first object lies near the axis
        y, x = (int((nx - edge) * (0.5 + rng.uniform(-near, near))) for _ in range(2))
        z = (nz - tall) // 2 + up
        here = scene[max(z, 0) : z + tall, y : y + edge, x : x + edge]
        here[:] = np.where(here > 0, here, drawn[max(-z, 0) :][: len(here)])
    axis = (np.arange(nx) + 0.5) / nx - 0.5
    round_ = (axis[:, None] ** 2 + axis[None, :] ** 2) < 0.48**2
    return np.ascontiguousarray(scene * round_, dtype=np.float32)


def family_of_first(seed: int) -> str:
    """The family of the first object in the scene of a seed."""
    return family_of(8 * seed)


def _shares_beside(rng: np.random.Generator) -> list[float]:
    """How wide the objects beside a smaller one are, as shares of the slices."""
    return [float(rng.uniform(0.08, 0.3)) for _ in range(int(rng.integers(0, 6)))]


def draw_object(rng: np.random.Generator, number: int, shape: tuple[int, int, int]) -> Volume:
    """A volume [z, y, x] in 1/mm of one family, often with regions where another family takes its place, and sometimes with holes.

    An animal is left whole. It is drawn from the seed ``number`` and the two that follow.
    """
    if family_of(number) in ANIMALS:
        return _volume(number, shape)
    nz, ny, nx = shape
    axis = ((np.arange(nx) + 0.5) / nx - 0.5).astype(np.float32)
    middle = slice((ny - nz) // 2, (ny - nz) // 2 + nz)  # of a cube
    points = np.stack([p.ravel() for p in np.meshgrid(axis[middle], axis, axis, indexing="ij")])[::-1]
    scene = _volume(number, shape)
    for other in range(int(rng.choice([0, 0, 1, 2]))):
        where = Noise.seeded(rng, log_uniform(rng, 0.08, 0.4))(points).reshape(shape) > rng.uniform(-0.8, 0.8)
        put = _volume(number + 1 + other, shape) if rng.random() < 0.85 else np.zeros_like(scene)
        inside = (scene > 0) & where & ((put > 0) if rng.random() < 0.5 else True)
        scene = np.where(inside, put, scene)
    return scene


def _volume(number: int, shape: tuple[int, int, int]) -> Volume:
    return random_volume(shape, VOXEL_MM / FINE, number, fine=1)


def softened(rng: np.random.Generator, scene: Volume, share: float) -> Volume:
    """A ``share`` of the scenes gets edges as soft as those of tissue, by up to 0.8 voxels of the grid (standard deviation)."""
    if rng.random() >= share:
        return scene
    return np.asarray(gaussian_filter(scene, log_uniform(rng, 0.2, 0.8) * FINE, mode="constant"), np.float32)


def means_in_voxels(scene: Volume) -> NewVolume:
    """The mean over each voxel, in 1/mm, of what the operator projects: a volume [z, y, x], interpolated linearly between its centres."""
    means: NDArray[np.float32] = scene
    for axis in range(3):
        means = np.asarray(convolve1d(means, [1 / 8, 3 / 4, 1 / 8], axis=axis, mode="constant"), np.float32)
    return means


def with_means(scene: Volume) -> NewVolume:
    """A volume [z, y, x] in 1/mm that, interpolated linearly between its centres, has the scene's values as its means over voxels.

    It is what is projected (Van Cittert's iteration, twice). To project the scene itself is to scan an object that is smoother than it: at
    the highest frequency of a grid `FINE` times as coarse, a quarter of it along each axis is lost.
    """
    found: NDArray[np.float32] = scene
    for _ in range(2):
        found = np.asarray(found + (scene - means_in_voxels(found)), np.float32)
    return found
