"""What iterative methods share: minimise ``1/2 |A x - b|_W^2 + lambda prior(x)``, ``lower <= x <= upper``, x = 0 off the mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError
from ...base.memory import require_memory
from ...base.settings import Array, Count, Unbounded, checked
from ...data import Projections
from ...geometry import Grid, Scan
from ..projector.view_blocks import Block, Linear, split_views

OPERATOR_BYTES = 16 << 20  # columns of views that the back-projection turns at once
Volume = NDArray[np.float32]
Sinogram = NDArray[np.float32]


@checked(of="an iterative method")
class IterativeSettings:
    """Settings that every iterative method has. None means: chosen from the data (`--auto`, the default).

    ``iterations``: how many; ``start``: "fdk", "zero" or a volume [z, y, x]; ``mask``: None (the whole box), "fov" (the cylinder of the
    scan's field of view) or a boolean volume, x = 0 where it is false; ``lower``, ``upper``: bounds in 1/mm (``lower=-inf`` allows
    negative values); ``weights``: None (all rays alike), "counts" (photons exp(-p): penalised weighted least squares) or an array
    [view, row, col]; ``backend``: of the `Operator`.
    """

    iterations: Count | None = None
    start: Literal["fdk", "zero"] | Array = "fdk"
    mask: Literal["fov"] | Array | None = None
    lower: Unbounded = 0.0
    upper: Unbounded = math.inf
    weights: Literal["counts"] | Array | None = None
    backend: str = "auto"

    def __post_init__(self) -> None:
        check_bounds(self.lower, self.upper)


def check_bounds(lower: float, upper: float) -> None:
    """InputError where nothing lies between the bounds."""
    if not lower <= upper:
        raise InputError(f"bounds are lower={lower}, upper={upper}", expected="lower <= upper, in 1/mm")


@dataclass(frozen=True, eq=False)
class Problem:
    """The operator, the data and the constraints of one reconstruction, checked.

    ``weights`` are None (all one) or of the data's shape, their mean one; ``mask`` is None or a boolean volume. ``blocks`` are the views
    in parts, each with its operator (by default one part): sums over rays are taken block by block, so that no array but the data (and
    the weights, where there are any) grows with the number of views.
    """

    A: Linear
    data: Sinogram
    shape: tuple[int, int, int]
    weights: Sinogram | None = None
    mask: NDArray[np.bool_] | None = None
    lower: float = -math.inf
    upper: float = math.inf
    blocks: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks:
            object.__setattr__(self, "blocks", (Block(slice(None), self.A),))
        check_bounds(self.lower, self.upper)
        if self.mask is not None:
            if self.mask.shape != self.shape:
                raise InputError(f"the mask has shape {self.mask.shape}", expected=f"{self.shape} (z, y, x), as the grid says")
            if not self.mask.any():
                raise InputError("the mask keeps no voxel", expected="at least one voxel to reconstruct")
        if self.weights is not None:
            if self.weights.shape != self.data.shape:
                raise InputError(f"the weights have shape {self.weights.shape}", expected=f"{self.data.shape}, one for each ray")
            if not np.isfinite(self.weights).all() or self.weights.min() < 0:
                raise InputError("the weights hold negative, NaN or Inf values", expected="finite weights of zero or more")
            if not self.weights.any():
                raise InputError("the weights are all zero: every ray is masked", expected="at least one ray with weight")

    def residual(self, x: Volume, block: Block) -> Sinogram:
        """A x - b on the views of a block."""
        out = block.A(x)
        out -= self.data[block.views]
        return out

    def weighted(self, rays: Sinogram, views: Any = slice(None)) -> Sinogram:
        """W r on these views."""
        return rays if self.weights is None else self.weights[views] * rays

    def gradient(self, x: Volume) -> tuple[float, Volume]:
        """The data term 1/2 |A x - b|_W^2, summed in float64, and its gradient A' W (A x - b)."""
        return self._pass(lambda block: self.residual(x, block))

    def normal(self, x: Volume) -> tuple[float, Volume]:
        """|A x|_W^2 and A' W A x."""
        half, back = self._pass(lambda block: block.A(x))
        return 2 * half, back

    def back_projected_data(self) -> Volume:
        """A' W b."""
        return self._pass(lambda block: self.data[block.views])[1]

    def _pass(self, rays_of: Callable[[Block], Sinogram]) -> tuple[float, Volume]:
        """The sum over blocks of 1/2 r' W r and A' W r, with r the rays of a block."""
        total, back = 0.0, None
        for block in self.blocks:
            rays = rays_of(block)
            weighted = self.weighted(rays, block.views)
            total += 0.5 * dot(rays, weighted)
            part = block.A.T(weighted)
            back = part if back is None else np.add(back, part, out=back)
        return total, np.ascontiguousarray(back)

    def project(self, x: Volume) -> Volume:
        """The nearest volume within the bounds and the mask, in place."""
        np.clip(x, self.lower, self.upper, out=x)
        if self.mask is not None:
            x *= self.mask
        return x


def dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Inner product, summed row by row in float64: the same result whatever the number of threads."""
    rows = np.einsum("ij,ij->i", a.reshape(len(a), -1), b.reshape(len(b), -1), dtype=np.float64) if a.ndim > 1 else a.astype(np.float64) * b
    return float(rows.sum())


def require_room(problem: Problem, volumes: float, rays: float, what: str) -> None:
    """InputError, with the number, where ``volumes`` volumes and ``rays`` numbers a ray are not to be had beside the data.

    Three blocks of rays and the operator's own columns are added: what is in flight.
    """
    block = max(problem.data[part.views].size for part in problem.blocks)
    needed = 4 * int(volumes * math.prod(problem.shape) + rays * problem.data.size + 3 * block) + OPERATOR_BYTES
    require_memory(
        needed,
        f"{what} on {' x '.join(map(str, problem.shape))} voxels from {len(problem.data)} views",
        "use larger voxels or a smaller box",
    )


def check_views(projections: Projections, least: int = 2, what: str = "an iterative reconstruction") -> None:
    """InputError when there are fewer than ``least`` views."""
    if len(projections) < least:
        raise InputError(f"the scan has {len(projections)} view(s)", expected=f"at least {least} views for {what}")


def operator_of(scan: Scan, grid: Grid, backend: str) -> Linear:
    """The library's own operator, which is imported when it is needed."""
    from ..projector.operator import Operator

    made: Any = Operator(scan, grid, backend=backend)
    return made


def build(projections: Projections, grid: Grid, settings: IterativeSettings, operator: Linear | None = None) -> Problem:
    """The checked problem of these projections and settings, with the grid's `Operator` in blocks of views unless one is given."""
    check_views(projections)
    blocks: tuple[Block, ...] = ()
    if operator is None:
        operator = operator_of(projections.scan, grid, settings.backend)
        parts = split_views(len(projections), math.prod(projections.scan.shape), math.prod(grid.shape))
        blocks = tuple(Block(part, operator_of(projections.scan[part], grid, settings.backend)) for part in parts)
    return Problem(
        A=operator,
        data=projections.values,
        shape=grid.shape,
        weights=ray_weights(projections, settings.weights),
        mask=voxel_mask(projections, grid, settings.mask),
        lower=settings.lower,
        upper=settings.upper,
        blocks=blocks,
    )


def voxel_mask(projections: Projections, grid: Grid, given: str | ArrayLike | None) -> NDArray[np.bool_] | None:
    """The mask that the setting asks for."""
    if given is None:
        return None
    if isinstance(given, str):
        return grid.in_cylinder(projections.scan)
    return np.ascontiguousarray(given, dtype=bool)


def ray_weights(projections: Projections, given: str | ArrayLike | None) -> Sinogram | None:
    """The statistical weights that the setting asks for, scaled to mean one.

    "counts": the variance of -ln(counts/photons) is 1/counts for Poisson counts (Sauer and Bouman 1993), so w = photons exp(-p).
    """
    if given is None:
        return None
    if isinstance(given, str):
        weights = np.exp(-np.maximum(projections.values, 0))
    else:
        weights = np.array(given, dtype=np.float32)
        if weights.shape != projections.values.shape or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
            return weights  # Problem says what is wrong with them
    return np.ascontiguousarray(weights / weights.mean(dtype=np.float64), dtype=np.float32)


def start_volume(projections: Projections, grid: Grid, settings: IterativeSettings, problem: Problem) -> Volume:
    """The volume to begin with, within the bounds and the mask; never the caller's own array."""
    given = settings.start
    if isinstance(given, str):
        if given == "zero":
            return problem.project(np.zeros(grid.shape, np.float32))
        from ..analytic.feldkamp import fdk

        volume = np.array(np.asarray(fdk(projections, grid)), dtype=np.float32)
        return problem.project(volume)
    volume = np.array(given, dtype=np.float32, order="C")
    if volume.shape != grid.shape:
        raise InputError(f"the start volume has shape {volume.shape}", expected=f"{grid.shape} (z, y, x), as the grid says")
    if not np.isfinite(volume).all():
        raise InputError("the start volume holds NaN or Inf", expected="a finite volume in 1/mm")
    return problem.project(volume)


def largest_eigenvalue(problem: Problem, iterations: int = 3) -> float:
    """A bound from above of the largest eigenvalue of A' W A, tight to some percent.

    A has no negative entries, so any positive volume v gives the bound max (A'WA v)_i / v_i (Collatz and Wielandt); it shrinks to the
    eigenvalue as v is iterated. Voxels that hardly any ray meets are kept positive, which can only raise the bound.
    """
    v, bound = np.ones(problem.shape, np.float32), math.inf
    for _ in range(iterations):
        w = problem.normal(v)[1]
        top = float(w.max())
        if not top > 0:
            bound = 0.0
            break
        bound = min(bound, float((w / v).max()))
        v = np.maximum(w / np.float32(top), np.float32(1e-3))
    if not (math.isfinite(bound) and bound > 0):
        raise InputError("no ray of the scan meets the grid", expected="a grid inside the field of view", remedy="see Grid.fit(scan)")
    return bound
