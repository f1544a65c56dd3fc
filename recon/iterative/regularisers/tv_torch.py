"""Total variation of torch tensors, on any device: the functions of `tv_numba`, whose results differ by rounding alone."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient(x: Tensor, out: Tensor) -> None:
    """out (3, z, y, x) = forward differences of ``x`` [z, y, x] along z, y, x, in its unit; zero at the far walls."""
    out.zero_()
    for axis in range(3):
        _before(out[axis], axis).copy_(x.diff(dim=axis))


def adjoint(p: Tensor, out: Tensor) -> None:
    """out [z, y, x] = the adjoint of `gradient` applied to ``p`` (3, z, y, x), in its unit: minus the divergence."""
    out.zero_()
    for axis in range(3):
        inner = _before(p[axis], axis)
        _after(out, axis).add_(inner)
        _before(out, axis).sub_(inner)


def ascend(p: Tensor, x: Tensor, step: float, radius: float, shrink: float) -> None:
    """One dual step: p (3, z, y, x) <- the projection of ``shrink (p + step gradient(x))`` on the balls ``|p| <= radius``, in place."""
    for axis in range(3):
        _before(p[axis], axis).add_(x.diff(dim=axis), alpha=float(step))
    p.mul_(float(shrink))
    length = p.square().sum(0).add_(1e-30).sqrt_()
    p.mul_(length.reciprocal_().mul_(float(radius)).clamp_(max=1.0))


def descend(base: Tensor, p: Tensor, scale: float, lower: float, upper: float, out: Tensor) -> None:
    """out [z, y, x] = ``base - scale adjoint(p)``, clipped to [lower, upper], all in 1/mm."""
    adjoint(p, out)
    out.mul_(-float(scale)).add_(base).clamp_(float(lower), float(upper))


def tv(x: Tensor, delta: float = 0.0) -> float:
    """The total variation of a volume [z, y, x], in its unit: the sum of the lengths of its differences, or of Huber's function of each."""
    squares = torch.zeros_like(x)
    for axis in range(3):
        _before(squares, axis).add_(x.diff(dim=axis).square_())
    length = squares.sqrt_()
    if delta > 0:
        length = torch.where(length > delta, length - 0.5 * delta, length.square() / (2 * delta))
    return float(length.sum(dtype=torch.float64))


def _before(x: Tensor, axis: int) -> Tensor:
    """All but the last along an axis."""
    return x.narrow(axis, 0, x.shape[axis] - 1)


def _after(x: Tensor, axis: int) -> Tensor:
    """All but the first along an axis."""
    return x.narrow(axis, 1, x.shape[axis] - 1)
