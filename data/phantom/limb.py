"""A scene like a mouse hind limb, made from a seed and defined in millimetres. The toolkit simulates scans of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...base.shapes import Float, UInt8, Volume, VolumeMask
from ...geometry import Grid
from .leg import INDEX, MATERIALS, NAMES, Leg, grow_leg


@dataclass(frozen=True)
class Lesion:
    """A ball in a bone: ``lytic`` (the bone is gone, a soft tumour is in its place) or ``sclerotic`` (dense new bone).

    ``t_mm`` is its position along the bone, measured from the knee; ``angle_deg`` is the angle around the bone's axis (0 lateral, 90
    anterior); ``off_axis`` is 0 at the centre line and 1 at the surface. ``radius_mm`` is its radius at week 0, to which each week adds
    ``growth_mm``. ``center_mm`` (x, y, z) in the scene and ``radius_now_mm`` are filled in by `hind_limb`.
    """

    bone: str = "tibia"
    kind: str = "lytic"
    t_mm: float = 2.6
    angle_deg: float = 180.0
    off_axis: float = 0.8
    radius_mm: float = 0.5
    growth_mm: float = 0.15
    center_mm: tuple[float, float, float] | None = None
    radius_now_mm: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("lytic", "sclerotic"):
            raise UnknownNameError("kind of lesion", self.kind, ("lytic", "sclerotic"))
        if self.bone not in ("tibia", "femur"):
            raise UnknownNameError("bone of a lesion", self.bone, ("tibia", "femur"))
        if not self.radius_mm > 0:
            raise InputError(f"lesion radius_mm is {self.radius_mm}", expected="a positive length in mm")


@dataclass(frozen=True, eq=False)
class Phantom:
    """The ``volume`` [z, y, x] in 1/mm, and ``labels`` [z, y, x] with the material at the centre of each voxel as an index into ``names``.

    ``materials`` maps a name to its attenuation in 1/mm (at 30 keV). ``lesions`` are those of the scene, with their positions.
    """

    volume: Volume
    grid: Grid
    labels: UInt8[NDArray, "z y x"]
    materials: Mapping[str, float]
    names: tuple[str, ...]
    lesions: tuple[Lesion, ...] = ()

    def mask(self, *names: str) -> VolumeMask:
        """The voxels whose centre is one of these materials. A word such as ``"tibia"`` means every material whose name contains it."""
        for name in names:
            if not any(name in known for known in self.names):
                raise UnknownNameError("material of the phantom", name, self.names)
        return np.isin(self.labels, [i for i, known in enumerate(self.names) if any(name in known for name in names)])


def hind_limb(
    grid: Grid | tuple[int, int, int],
    voxel_mm: float | None = None,
    *,
    seed: int = 0,
    week: int = 0,
    lesions: int | Sequence[Lesion] = 0,
    side: str = "right",
    scale: float = 1.0,
    holder: bool = True,
    supersample: int = 3,
) -> Phantom:
    """The hind limb of a mouse in a plastic tube: tibia, fibula, femur, patella, knee gap, growth plates, muscle, fat, skin.

    ``grid`` is a `Grid`, or a shape (nz, ny, nx) with ``voxel_mm``. At ``scale`` 1, an adult mouse, the leg is about 26 mm long and 12 mm
    wide, with its axis along z, inside a tube 23 mm wide. It fits the field of view of ``skyscan_1276(..., voxel_mm=0.2226)``. The scene is
    defined continuously and each voxel is the mean of ``supersample``^3 points, so that a finer grid shows the same anatomy more sharply.

    ``seed`` stands for the animal: sizes, pose, trabecular pattern. ``week`` is the same animal later: a little larger, in another pose,
    with lesions that have grown. ``lesions`` is a number of lesions to draw from the seed, or the lesions themselves. ``side`` is ``right``
    or ``left`` (mirrored).

    Raises InputError for a bad grid, scale, week or supersample, and UnknownNameError for another side.

    >>> leg = hind_limb((16, 16, 16), 2.0, supersample=1, lesions=[Lesion(bone="femur", t_mm=2.0)])
    >>> leg.volume.shape, round(float(leg.volume.max()), 3), leg.lesions[0].bone
    ((16, 16, 16), 0.2, 'femur')
    """
    grid = _as_grid(grid, voxel_mm)
    for name, value, least in (("scale", scale, 1e-6), ("week", week, 0), ("supersample", supersample, 1)):
        if not (np.isfinite(value) and value >= least):
            raise InputError(f"{name} is {value}", expected="a positive number" if least else "0 or more")
    if side not in ("left", "right"):
        raise UnknownNameError("side", side, ("left", "right"))
    leg = grow_leg(seed, week, scale, mirrored=side == "left", holder=holder)
    placed = place_lesions(leg, draw_lesions(lesions, seed) if isinstance(lesions, int) else tuple(lesions), week)
    mu = np.array([MATERIALS[name] for name in NAMES], dtype=np.float32)
    labels, volume = np.empty(grid.shape, np.uint8), np.empty(grid.shape, np.float32)
    tube_labels, tube_volume = _tube(leg, grid, 1)[0], mu[_tube(leg, grid, supersample)].mean(axis=0)
    for z in range(grid.shape[0]):
        labels[z], volume[z] = tube_labels, tube_volume
        y, x = _near_leg(leg, grid, z)
        if x.size == 0:
            continue
        labels[z, y, x] = np.maximum(tube_labels[y, x], tissue_at(leg, placed, points_of(grid, z, y, x, 1))[0])
        samples = mu[tissue_at(leg, placed, points_of(grid, z, y, x, supersample))]
        volume[z, y, x] = samples.mean(axis=0) + (samples == 0).mean(axis=0) * tube_volume[y, x]
    return Phantom(volume, grid, labels, dict(MATERIALS), NAMES, placed)


def _as_grid(grid: Grid | tuple[int, int, int], voxel_mm: float | None) -> Grid:
    if isinstance(grid, Grid):
        if voxel_mm is not None and voxel_mm != grid.voxel_mm:
            raise InputError(
                f"voxel_mm is {voxel_mm} and the grid's is {grid.voxel_mm}", expected="one of them", remedy="leave voxel_mm out"
            )
        return grid
    if voxel_mm is None:
        raise InputError("a shape without voxel_mm", expected="voxel_mm in mm beside the shape, or a Grid")
    return Grid(grid, voxel_mm)


def draw_lesions(count: int, seed: int) -> tuple[Lesion, ...]:
    """``count`` lesions of one animal, mostly lytic and in the metaphyses, where bone metastases settle."""
    rng = np.random.default_rng([seed, 3])
    found = []
    for _ in range(count):
        bone = "tibia" if rng.random() < 0.65 else "femur"
        kind = "lytic" if rng.random() < 0.7 else "sclerotic"
        found.append(
            Lesion(
                bone, kind, float(rng.uniform(1.8, 5.0)), float(rng.uniform(0, 360)), float(rng.uniform(0.3, 1.0)),
                float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.08, 0.2)),
            )
        )  # fmt: skip
    return tuple(found)


def place_lesions(leg: Leg, lesions: tuple[Lesion, ...], week: int) -> tuple[Lesion, ...]:
    """Lesions with their positions in the scene, as large as they are at a week."""
    placed = []
    for lesion in lesions:
        bone = leg.bone(lesion.bone)
        center = leg.to_scene(bone.to_leg(bone.surface_point(lesion.t_mm, lesion.angle_deg, lesion.off_axis)))
        radius = (lesion.radius_mm + week * lesion.growth_mm) * leg.scale
        placed.append(replace(lesion, center_mm=tuple(float(c) for c in center), radius_now_mm=float(radius)))
    return tuple(placed)


def _offsets(fine: int) -> NDArray[np.float64]:
    """The positions of the ``fine`` sample points of a voxel along an axis, in voxels from its centre."""
    return (np.arange(fine) + 0.5) / fine - 0.5


def _tube(leg: Leg, grid: Grid, fine: int) -> NDArray[np.uint8]:
    """The material of the holder [sample, y, x], the same in every slice."""
    step = _offsets(fine) * grid.voxel_mm
    return np.stack([leg.tube((grid.x_mm + dx)[None, :], (grid.y_mm + dy)[:, None]) for dy in step for dx in step])


def _near_leg(leg: Leg, grid: Grid, z: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The (y, x) indices of those voxels of a slice that can hold a part of the leg."""
    xs, ys = np.meshgrid(grid.x_mm, grid.y_mm)
    centers = np.stack([xs.ravel(), ys.ravel(), np.full(xs.size, grid.z_mm[z])])
    near = leg.outline_depth(leg.to_leg(centers)) > -(0.9 + 0.87 * grid.voxel_mm / leg.scale)
    y, x = np.nonzero(near.reshape(xs.shape))
    return y, x


def points_of(grid: Grid, z: int, y: NDArray[np.intp], x: NDArray[np.intp], fine: int) -> Float[NDArray[np.float64], "3 sample voxel"]:
    """The points (x, y, z) in mm at ``fine``^3 samples of each voxel of a slice, whose indices ``y`` and ``x`` are (voxel,)."""
    step = _offsets(fine) * grid.voxel_mm
    dz, dy, dx = (d.reshape(-1, 1) for d in np.meshgrid(step, step, step, indexing="ij"))
    return np.stack(np.broadcast_arrays(grid.x_mm[x] + dx, grid.y_mm[y] + dy, grid.z_mm[z] + dz))


def tissue_at(leg: Leg, lesions: tuple[Lesion, ...], points: Float[NDArray[np.float64], "3 *points"]) -> UInt8[NDArray, "*points"]:
    """The index into NAMES at points of the scene, lesions included."""
    flat = points.reshape(3, -1)
    found = leg.tissue(leg.to_leg(flat))
    bony = [i for i, name in enumerate(NAMES) if name == "marrow" or name.startswith(("tibia", "femur"))]
    for lesion in lesions:
        center, radius = np.asarray(lesion.center_mm, dtype=np.float64), float(lesion.radius_now_mm or 0.0)
        near = np.flatnonzero(((flat - center[:, None]) ** 2).sum(axis=0) < radius**2)
        found[near[np.isin(found[near], bony)]] = INDEX[f"{lesion.kind} lesion"]
    return found.reshape(points.shape[1:])
