"""Priors: total variation, Huber's smooth form of it, and wavelets. Solvers use them through their dual variables, all in the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ....base import InputError, UnknownNameError
from ..arrays import Volume, copied, module_of, zeros
from .tv_kernels import kernels_of
from .tv_numba import NORM2

Dual: TypeAlias = Any  # float32, of the shape of K x: a numpy array or a torch tensor
f32 = np.float32


@runtime_checkable
class Prior(Protocol):
    """A convex function phi(K x) of a volume x [z, y, x] in 1/mm, through its dual variable p, which has the shape of K x.

    ``norm2`` is an upper bound of |K|^2, and ``weight`` the factor lambda before phi.
    """

    @property
    def norm2(self) -> float:
        """An upper bound of |K|^2."""
        ...

    def dual(self, x: Volume) -> Dual:
        """A dual variable of zeros for a volume [z, y, x]."""
        ...

    def value(self, x: Volume) -> float:
        """phi(K x) of a volume [z, y, x]."""
        ...

    def ascend(self, p: Dual, x: Volume, step: float, weight: float) -> None:
        """A dual step at a volume x [z, y, x]: p becomes the proximal map of step (weight phi)* at p + step K x."""
        ...

    def descend(self, base: Volume, p: Dual, scale: float, lower: float, upper: float, out: Volume) -> None:
        """A primal step: out [z, y, x] becomes base - scale K' p, clipped to the bounds in 1/mm."""
        ...


@dataclass(frozen=True)
class TotalVariation:
    """Isotropic 3-D total variation (Rudin, Osher, Fatemi 1992); with ``delta`` > 0 Huber's function, quadratic below ``delta`` 1/mm."""

    delta: float = 0.0
    norm2: float = NORM2

    def dual(self, x: Volume) -> Dual:
        """A dual variable of zeros (3, z, y, x) for a volume [z, y, x]."""
        return zeros((3, *x.shape), x)

    def value(self, x: Volume) -> float:
        """The sum of the lengths of the differences of a volume [z, y, x], each rounded off below ``delta``."""
        return kernels_of(x).tv(x, self.delta)

    def ascend(self, p: Dual, x: Volume, step: float, weight: float) -> None:
        """A dual step, which changes p (3, z, y, x), at a volume x [z, y, x]."""
        shrink = 1.0 / (1.0 + step * self.delta / weight) if self.delta else 1.0
        kernels_of(x).ascend(p, x, f32(step), f32(weight), f32(shrink))

    def descend(self, base: Volume, p: Dual, scale: float, lower: float, upper: float, out: Volume) -> None:
        """A primal step from base [z, y, x] in 1/mm, written to out."""
        kernels_of(base).descend(base, p, f32(scale), f32(lower), f32(upper), out)


@dataclass(frozen=True)
class Wavelet:
    """The sum of |coefficients| of an orthonormal 3-D Haar transform of ``levels`` levels (the coarse part is free)."""

    levels: int = 3
    norm2: float = 1.0

    def _padded(self, shape: Sequence[int]) -> tuple[int, int, int]:
        block = 2**self.levels
        z, y, x = (-(-n // block) * block for n in shape)
        return z, y, x

    def transform(self, x: Volume) -> Dual:
        """The coefficients of a volume x [z, y, x], which is padded with zeros to a multiple of 2^levels."""
        out = zeros(self._padded(x.shape), x)
        out[tuple(slice(n) for n in x.shape)] = x
        corner = out
        for _ in range(self.levels):
            for axis in range(3):
                corner[...] = _haar(corner, axis)
            corner = corner[tuple(slice(n // 2) for n in corner.shape)]
        return out

    def adjoint(self, p: Dual, shape: tuple[int, ...]) -> Volume:
        """The transpose of `transform`, cropped to ``shape``; its inverse where no padding was needed."""
        out = copied(p)
        for level in reversed(range(self.levels)):
            corner = out[tuple(slice(n // 2**level) for n in out.shape)]
            for axis in reversed(range(3)):
                corner[...] = _haar_back(corner, axis)
        return out[tuple(slice(n) for n in shape)]

    def dual(self, x: Volume) -> Dual:
        """A dual variable of zeros [z, y, x], as large as the padded volume."""
        return zeros(self._padded(x.shape), x)

    def value(self, x: Volume) -> float:
        """The sum of the absolute detail coefficients of a volume x [z, y, x]."""
        c = abs(self.transform(x))
        double = module_of(c).float64
        return float(c.sum(dtype=double) - c[self._coarse(c)].sum(dtype=double))

    def _coarse(self, c: Dual) -> tuple[slice, ...]:
        return tuple(slice(n // 2**self.levels) for n in c.shape)

    def ascend(self, p: Dual, x: Volume, step: float, weight: float) -> None:
        """A dual step, which changes p [z, y, x]: coefficients are clipped to +-weight, and the coarse part, which is free, stays zero."""
        p += self.transform(x) * step
        module_of(p).clip(p, -weight, weight, out=p)
        p[self._coarse(p)] = 0

    def descend(self, base: Volume, p: Dual, scale: float, lower: float, upper: float, out: Volume) -> None:
        """A primal step from base [z, y, x] in 1/mm, written to out."""
        module_of(base).clip(base - self.adjoint(p, base.shape) * scale, lower, upper, out=out)


_ROOT = math.sqrt(0.5)


def _haar(x: Volume, axis: int) -> Volume:
    m = module_of(x)
    even, odd = m.moveaxis(x, axis, 0)[0::2], m.moveaxis(x, axis, 0)[1::2]
    return m.moveaxis(m.concatenate([(even + odd) * _ROOT, (even - odd) * _ROOT]), 0, axis)


def _haar_back(c: Volume, axis: int) -> Volume:
    m = module_of(c)
    moved = m.moveaxis(c, axis, 0)
    half = len(moved) // 2
    out = m.empty_like(moved)
    out[0::2], out[1::2] = (moved[:half] + moved[half:]) * _ROOT, (moved[:half] - moved[half:]) * _ROOT
    return m.moveaxis(out, 0, axis)


def make_prior(name: str, huber_delta: float = 0.0) -> Prior:
    """The prior of this name: "tv", "huber" (bend at ``huber_delta`` 1/mm) or "wavelet"."""
    if name == "tv":
        return TotalVariation()
    if name == "huber":
        if not (np.isfinite(huber_delta) and huber_delta > 0):
            raise InputError(f"huber_delta is {huber_delta}", expected="a positive difference between neighbouring voxels, in 1/mm")
        return TotalVariation(float(huber_delta))
    if name == "wavelet":
        return Wavelet()
    raise UnknownNameError("prior", name, ["tv", "huber", "wavelet"])


class Denoiser:
    """``argmin 1/2 |u - v|^2 + weight phi(K u)``, lower <= u <= upper, by dual ascent (Chambolle 2004; Beck and Teboulle 2009).

    The dual variable is kept from one call to the next, so that a few steps a call are enough inside an outer iteration.
    """

    def __init__(self, prior: Prior, lower: float, upper: float, mask: Any = None) -> None:
        self.prior, self.lower, self.upper, self.mask = prior, lower, upper, mask
        self.p: Dual | None = None  # made when it is first needed: a solver that keeps it in its state sets it

    def __call__(self, v: Volume, weight: float, steps: int, out: Volume) -> None:
        """Write the denoised volume ``v`` [z, y, x] to ``out``."""
        p = self.p = self.prior.dual(v) if self.p is None else self.p
        self._primal(v, p, out)
        for _ in range(steps if weight > 0 else 0):
            self.prior.ascend(p, out, 1.0 / self.prior.norm2, weight)
            self._primal(v, p, out)

    def _primal(self, v: Volume, p: Dual, out: Volume) -> None:
        self.prior.descend(v, p, 1.0, self.lower, self.upper, out)
        if self.mask is not None:
            out *= self.mask
