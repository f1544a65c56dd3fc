"""Rays of a scan through a field, and what a detector sees along them. It is plain torch, differentiable in the field and in the geometry.

A field is a function from points [n, 3] (x, y, z in mm) to attenuation [n] in 1/mm. X-rays add up: a pixel is the line integral of the
field (Beer-Lambert in the log domain), not the colour of a surface. `composite` is the optical rule with which pixelNeRF and MedNeRF were
published; it only serves the comparison with the published table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...base import InputError
from ...base.shapes import Bool, Float, Int, Num
from ...geometry import Grid, Scan

Points = Float[Tensor, "n 3"]
Field = Callable[[Points], Float[Tensor, "n"]]


@dataclass(frozen=True)
class Pose:
    """The vectors of `Scan` as tensors (view, 3) in mm, differentiable where a geometry is refined.

    They are in double precision, because a source may be far away, and what is near it must not be rounded at that distance.
    """

    source: Float[Tensor, "view 3"]
    detector: Float[Tensor, "view 3"]
    u: Float[Tensor, "view 3"]
    v: Float[Tensor, "view 3"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, scan: Scan, device: torch.device | str = "cpu") -> Pose:
        """The pose of every view of ``scan``."""
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64  # Apple's devices have no float64
        vectors = (torch.tensor(a, dtype=dtype, device=device) for a in (scan.source, scan.detector, scan.u, scan.v))
        return cls(*vectors, shape=scan.shape)

    def rays(self, view: Int[Tensor, "ray"], row: Num[Tensor, "ray"], col: Num[Tensor, "ray"]) -> Rays:
        """The rays of pixels [view, row, col], which may be fractions of a pixel."""
        rows, cols = self.shape
        pixel = (
            self.detector[view]
            + (col.to(self.u) - (cols - 1) / 2)[:, None] * self.u[view]
            + (row.to(self.v) - (rows - 1) / 2)[:, None] * self.v[view]
        )
        along = pixel - self.source[view]
        return Rays(self.source[view], along / along.norm(dim=1, keepdim=True))


@dataclass(frozen=True)
class Rays:
    """Rays with ``origin`` [ray, 3] in mm and unit ``direction`` [ray, 3]."""

    origin: Float[Tensor, "ray 3"]
    direction: Float[Tensor, "ray 3"]


@dataclass(frozen=True)
class Chords:
    """The parts of rays inside a box, in its precision: ``entry`` [ray, 3] and ``length`` [ray] in mm (0 for a ray that misses), ``hit``
    [ray].
    """

    entry: Float[Tensor, "ray 3"]
    direction: Float[Tensor, "ray 3"]
    length: Float[Tensor, "ray"]
    hit: Bool[Tensor, "ray"]


@dataclass(frozen=True)
class Samples:
    """Points along rays: ``points`` [ray, sample, 3] in mm, ``step`` [ray] mm between them (0 for a ray that misses), ``hit`` [ray]."""

    points: Float[Tensor, "ray sample 3"]
    step: Float[Tensor, "ray"]
    hit: Bool[Tensor, "ray"]


def box_of(grid: Grid, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Float[Tensor, "2 3"]:
    """The lowest and the highest corner of the box of the grid, as (x, y, z) in mm."""
    half = torch.tensor(grid.size_mm, dtype=dtype, device=device) / 2
    center = torch.tensor(grid.center_mm, dtype=dtype, device=device)
    return torch.stack([center - half, center + half])


def chords(rays: Rays, box: Float[Tensor, "2 3"]) -> Chords:
    """The part of each ray that is inside the box (its corners in mm), from the source onwards."""
    exact = box.to(rays.origin.dtype)
    safe = torch.where(rays.direction.abs() < 1e-12, torch.full_like(rays.direction, 1e-12), rays.direction)
    ends = (exact[:, None, :] - rays.origin[None]) / safe[None]
    near, far = ends.amin(0).amax(1).clamp(min=0), ends.amax(0).amin(1)
    hit = far > near
    length = torch.where(hit, far - near, torch.zeros_like(near))
    return Chords((rays.origin + near[:, None] * rays.direction).to(box), rays.direction.to(box), length.to(box), hit)


def sample(rays: Rays, box: Float[Tensor, "2 3"], count: int, generator: torch.Generator | None = None) -> Samples:
    """``count`` points on each ray inside the box, one in each of as many equal steps: in its middle, or anywhere with a ``generator``."""
    if count < 1:
        raise InputError(f"{count} samples on a ray", expected="at least one")
    inside = chords(rays, box)
    step = inside.length / count
    within = uniform((len(step), count), generator, step)
    distance = (torch.arange(count, device=step.device) + within) * step[:, None]
    return Samples(inside.entry[:, None] + distance[..., None] * inside.direction[:, None], step, inside.hit)


def uniform(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Random numbers in 0..1 of any shape, with the dtype and device of ``like``; without a generator (of any device) all are 0.5."""
    if generator is None:
        return torch.full(shape, 0.5, dtype=like.dtype, device=like.device)
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def integrate(attenuation: Float[Tensor, "ray sample"], samples: Samples) -> Float[Tensor, "ray"]:
    """Line integrals (dimensionless): the sum of the attenuation times the step (Beer-Lambert, -ln(I/I0))."""
    return attenuation.sum(1) * samples.step


def composite(density: Float[Tensor, "ray sample"], brightness: Float[Tensor, "ray sample"], samples: Samples) -> Float[Tensor, "ray"]:
    """Optical alpha compositing (Max 1995; NeRF eq. 3) from the source outwards, a brightness in 0..1. It is used
    for `table2-compat` only.
    """
    alpha = 1 - torch.exp(-density * samples.step[:, None])
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], 1), 1)
    return (through * alpha * brightness).sum(1)


def render(
    field: Field, rays: Rays, box: Float[Tensor, "2 3"], count: int, generator: torch.Generator | None = None
) -> Float[Tensor, "ray"]:
    """The line integrals of ``field`` along ``rays``. The field is not evaluated for rays that miss the box."""
    samples = sample(rays, box, count, generator)
    out = torch.zeros_like(samples.step)
    if not bool(samples.hit.any()):
        return out
    points = samples.points[samples.hit]
    values = field(points.reshape(-1, 3)).reshape(points.shape[:2])
    kept = Samples(points, samples.step[samples.hit], samples.hit[samples.hit])
    return out.index_put((samples.hit.nonzero()[:, 0],), integrate(values, kept))


@torch.no_grad()
def render_views(field: Field, scan: Scan, grid: Grid, count: int | None = None, chunk: int = 4096) -> Float[Tensor, "view row col"]:
    """The line integrals of every pixel of every view, ``chunk`` rays at a time. ``count`` defaults to two samples per voxel of the longest
    side.
    """
    pose, box = Pose.of(scan), box_of(grid)
    count = 2 * max(grid.shape) if count is None else count
    rows, cols = scan.shape
    total = len(scan) * rows * cols
    out = torch.empty(total)
    for start in range(0, total, chunk):
        pixel = torch.arange(start, min(total, start + chunk))
        rays = pose.rays(pixel // (rows * cols), pixel % (rows * cols) // cols, pixel % cols)
        out[start : start + chunk] = render(field, rays, box, count)
    return out.reshape(len(scan), rows, cols)


def grid_points(grid: Grid, dtype: torch.dtype = torch.float32) -> Float[Tensor, "n 3"]:
    """The (x, y, z) in mm of every voxel centre, in the order of ``volume.reshape(-1)``."""
    z, y, x = torch.meshgrid(*(torch.tensor(a, dtype=dtype) for a in (grid.z_mm, grid.y_mm, grid.x_mm)), indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3)


@torch.no_grad()
def field_volume(field: Field, grid: Grid, chunk: int = 1 << 17) -> Float[Tensor, "z y x"]:
    """The field in 1/mm at every voxel centre of ``grid``."""
    points = grid_points(grid)
    return torch.cat([field(part) for part in points.split(chunk)]).reshape(grid.shape)


def volume_field(volume: Float[Tensor, "z y x"], grid: Grid) -> Field:
    """The field of a volume in 1/mm: trilinear between voxel centres, zero outside, and differentiable in the volume."""
    box = box_of(grid, dtype=volume.dtype, device=volume.device)

    def field(points: Points) -> Float[Tensor, "n"]:
        unit = 2 * (points - box[0]) / (box[1] - box[0]) - 1
        at = unit.reshape(1, 1, 1, -1, 3)
        return torch.nn.functional.grid_sample(volume[None, None], at, align_corners=False, padding_mode="zeros").reshape(-1)

    return field
