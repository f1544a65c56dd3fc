"""A scene of solid bodies, and the volume whose voxels are averages over it.

Each body has a depth, in mm below its surface, and an attenuation. Later bodies replace what earlier ones put in the same place. A voxel is
the mean of ``fine``^3 subvoxels, and each subvoxel takes the share of a body that its depth tells: a plane through it is averaged exactly.
A body thinner than a subvoxel comes out too dense, so the families of this room draw nothing thinner than a quarter of a voxel at 64^3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.shapes import Float, Floats, Points, Volume
from ....geometry import Grid
from ..smooth_noise import Noise

Depths = Float[NDArray, "point"]  # mm below the surface of a body, negative outside
Field = Callable[[Points], Depths]
Triple = Sequence[float] | Floats  # (x, y, z) in mm
_POINTS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Body:
    """``depth`` in mm at points, attenuation ``mu`` in 1/mm (a number, or a function of points), and a box that holds the body: its middle
    (x, y, z), and how far it reaches from there (along each axis, or along all alike).
    """

    depth: Field
    mu: float | Field
    center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reach_mm: float | tuple[float, float, float] = np.inf

    def wider(self, by_mm: float) -> tuple[float, float, float]:
        """The reach along x, y and z of a body that is larger by ``by_mm`` on all sides."""
        x, y, z = (float(r) + by_mm for r in np.broadcast_to(self.reach_mm, 3))
        return x, y, z


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is drawn evenly."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def averaged(bodies: Sequence[Body], shape: tuple[int, int, int], voxel_mm: float, fine: int = 2) -> Volume:
    """The volume [z, y, x] in 1/mm of a scene in air, centred on the origin, each voxel the mean of ``fine``^3 subvoxels."""
    if len(shape) != 3 or min(shape) < 1 or fine < 1:
        raise InputError(f"shape {shape} with {fine} subvoxels", expected="three numbers of voxels (nz, ny, nx), and 1 subvoxel or more")
    nz, ny, nx = (n * fine for n in shape)
    grid = Grid((nz, ny, nx), voxel_mm / fine)
    out = np.empty(shape, np.float32)
    rows = max(1, _POINTS_AT_ONCE // (fine * grid.shape[1] * grid.shape[2]))
    for top in range(0, shape[0], rows):
        end = min(top + rows, shape[0])
        slab = np.zeros(((end - top) * fine, *grid.shape[1:]), np.float32)
        for body in bodies:
            _paint(slab, body, grid.z_mm[top * fine : end * fine], grid)
        out[top:end] = slab.reshape(end - top, fine, shape[1], fine, shape[2], fine).mean(axis=(1, 3, 5))
    return out


def _paint(slab: NDArray[np.float32], body: Body, z_mm: NDArray[np.float64], grid: Grid) -> None:
    """Put a body over what is in a slab of subvoxels."""
    axes = (z_mm, grid.y_mm, grid.x_mm)
    reach = body.wider(grid.voxel_mm)
    box = [np.flatnonzero(np.abs(a - middle) <= r) for a, middle, r in zip(axes, body.center_mm[::-1], reach[::-1], strict=True)]
    if min(len(near) for near in box) == 0:
        return
    view = slab[tuple(slice(near[0], near[-1] + 1) for near in box)]
    z, y, x = np.meshgrid(*(axis[near].astype(np.float32) for axis, near in zip(axes, box, strict=True)), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), z.ravel()])
    share = np.clip(0.5 + body.depth(points) / grid.voxel_mm, 0, 1).astype(np.float32)
    inside = np.flatnonzero(share)
    value = body.mu(points[:, inside]) if callable(body.mu) else body.mu
    flat = view.reshape(-1)  # a copy where the box is part of the slab
    flat[inside] += share[inside] * (value - flat[inside])
    view[...] = flat.reshape(view.shape)


def turned(rng: np.random.Generator) -> Float[NDArray[np.float32], "3 3"]:
    """A rotation drawn evenly from all of them (a unit quaternion, Shoemake 1992)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        np.float32,
    )


def ball(center_mm: Triple, radius_mm: float, mu: float | Field) -> Body:
    """A ball around (x, y, z)."""
    middle = np.array(center_mm, np.float32)[:, None]
    x, y, z = map(float, center_mm)
    return Body(lambda p: radius_mm - np.sqrt(((p - middle) ** 2).sum(axis=0)), mu, (x, y, z), radius_mm)


def ellipsoid(
    center_mm: Triple, half_mm: Triple, mu: float | Field, rotation: NDArray[np.float32] | None = None, sharp: float = 2.0
) -> Body:
    """An ellipsoid, or with a larger exponent ``sharp`` a box with rounded edges; ``half_mm`` (x, y, z) are the halves of its axes."""
    middle, half = np.array(center_mm, np.float32)[:, None], np.array(half_mm, np.float32)[:, None]
    turn = np.eye(3, dtype=np.float32) if rotation is None else rotation

    def depth(points: Points) -> Depths:
        q = np.abs(turn @ (points - middle)) / half
        level = (q**sharp).sum(axis=0) ** (1 / sharp)
        steep = np.sqrt(((q ** (sharp - 1) / half) ** 2).sum(axis=0)) / np.maximum(level, 1e-6) ** (sharp - 1)
        return (1 - level) / np.maximum(steep, 1 / half.max())

    x, y, z = map(float, center_mm)
    return Body(depth, mu, (x, y, z), float(np.linalg.norm(half)) if sharp > 2 else float(max(half_mm)))


def rod(start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], radius_mm: float, mu: float | Field) -> Body:
    """A rod with round ends between two points (x, y, z)."""
    start, along = start_mm.astype(np.float32)[:, None], (end_mm - start_mm).astype(np.float32)

    def depth(points: Points) -> Depths:
        q = points - start
        share = np.clip(along @ q / max(float(along @ along), 1e-12), 0, 1)
        return radius_mm - np.sqrt(((q - along[:, None] * share) ** 2).sum(axis=0))

    x, y, z = map(float, (start_mm + end_mm) / 2)
    wide, deep, high = map(float, np.abs(along) / 2 + radius_mm)
    return Body(depth, mu, (x, y, z), (wide, deep, high))


def disc(center_mm: Triple, radius_mm: float, half_thickness_mm: float, mu: float, normal: NDArray[np.float32]) -> Body:
    """A flat plate with a round outline; ``normal`` (3,) has length one."""
    middle = np.array(center_mm, np.float32)[:, None]

    def depth(points: Points) -> Depths:
        q = points - middle
        height = normal @ q
        across = np.sqrt(np.maximum((q**2).sum(axis=0) - height**2, 0))
        return np.minimum(half_thickness_mm - np.abs(height), radius_mm - across)

    x, y, z = map(float, center_mm)
    return Body(depth, mu, (x, y, z), float(np.hypot(radius_mm, half_thickness_mm)))


def rough(body: Body, noise: Noise, height_mm: float) -> Body:
    """The same body with a surface that goes up and down by about ``height_mm``."""
    return Body(lambda p: body.depth(p) + height_mm * noise(p), body.mu, body.center_mm, body.wider(3 * height_mm))


def within(outer: Body, inner: Field, mu: float | Field, cover_mm: float = 0.0) -> Body:
    """The part of a depth ``inner`` that lies at least ``cover_mm`` below the surface of ``outer``."""
    return Body(lambda p: np.minimum(outer.depth(p) - cover_mm, inner(p)), mu, outer.center_mm, outer.reach_mm)


def beneath(outer: Body, deep_mm: float, mu: float | Field) -> Body:
    """What lies at least ``deep_mm`` below the surface of a body."""
    return Body(lambda p: outer.depth(p) - deep_mm, mu, outer.center_mm, outer.reach_mm)


def wall(outer: Body, thick: Field) -> Field:
    """What lies less than ``thick`` mm below the surface of a body, as a depth below the nearer of its two faces."""

    def depth(points: Points) -> Depths:
        below = outer.depth(points)
        return np.minimum(below, thick(points) - below)

    return depth


def near_zero(noise: Noise, width: float) -> Field:
    """Curved sheets: where ``|noise| < width``, as a depth in mm. The slope of such noise is about one over twice its spacing."""
    scale = 1.6 * float(np.mean(noise.spacing_mm))
    return lambda p: scale * (width - np.abs(noise(p)))


def sheets(noise: Noise, thick_mm: float) -> Field:
    """Curved sheets of about this thickness, as a depth in mm."""
    return near_zero(noise, thick_mm / (3.2 * float(np.mean(noise.spacing_mm))))


def above(noise: Noise, level: float) -> Field:
    """Blobs: where ``noise > level``, as a depth in mm."""
    scale = 1.6 * float(np.mean(noise.spacing_mm))
    return lambda p: scale * (noise(p) - level)
