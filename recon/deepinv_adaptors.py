"""Both ways between fewview and deepinv (github.com/deepinv/deepinv): its models take ``(y, physics)`` and return ``x``.

Tensors there have a batch and a channel in front: x [batch, 1, z, y, x] in 1/mm, y [batch, 1, view, row, col]. deepinv itself is not
needed: `ScanPhysics` offers what its models and optimisers call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..base import InputError
from ..base.shapes import Float, Volume
from ..data import Projections
from ..geometry import Grid, Scan
from .method import Method
from .projector.operator import Operator
from .run_method import reconstruct

X = Float[Tensor, "batch 1 z y x"]
Y = Float[Tensor, "batch 1 view row col"]


class ScanPhysics(nn.Module):
    """The scan as a linear physics y = scale A x: `Operator` with a batch and a channel, and the solvers that models ask for.

    ``unit_norm`` chooses ``scale`` so that the largest singular value is one, as deepinv's step sizes expect; x stays in 1/mm.
    Differentiable both ways, `A_dagger` and `prox_l2` through their unrolled iterations.
    """

    def __init__(self, scan: Scan, grid: Grid, *, unit_norm: bool = False, max_iter: int = 50, tol: float = 1e-4) -> None:
        super().__init__()
        self.scan, self.grid, self.max_iter, self.tol = scan, grid, max_iter, tol
        self.operator = Operator(scan, grid)
        self.scale = 1.0
        if unit_norm:
            self.scale = 1 / math.sqrt(float(self.compute_norm(torch.ones(1, 1, *grid.shape))))

    def A(self, x: X, **_: Any) -> Y:
        """Line integrals times ``scale``."""
        return self.scale * _each(self.operator, x, self.operator.domain_shape)

    def A_adjoint(self, y: Y, **_: Any) -> X:
        """The transpose of `A`."""
        return self.scale * _each(self.operator.T, y, self.operator.range_shape)

    def forward(self, x: X, **_: Any) -> Y:
        """`A`: no noise is added; take `fewview.recon.simulate` for that."""
        return self.A(x)

    def A_adjoint_A(self, x: X, **_: Any) -> X:
        """The normal operator."""
        return self.A_adjoint(self.A(x))

    def A_A_adjoint(self, y: Y, **_: Any) -> Y:
        """The other normal operator."""
        return self.A(self.A_adjoint(y))

    def A_vjp(self, x: X, v: Y) -> X:
        """The transposed Jacobian at ``x`` (any x: the physics is linear) times ``v``."""
        return self.A_adjoint(v)

    def A_dagger(self, y: Y, **_: Any) -> X:
        """The least-squares solution of least norm, by conjugate gradients on the normal equations from zero."""
        return _conjugate_gradients(self.A_adjoint_A, self.A_adjoint(y), self.max_iter, self.tol)

    def prox_l2(self, z: X, y: Y, gamma: float | Tensor, **_: Any) -> X:
        """The minimiser x [batch, 1, z, y, x] of ``gamma/2 |A x - y|^2 + 1/2 |x - z|^2``, by conjugate gradients."""
        return _conjugate_gradients(lambda x: x + gamma * self.A_adjoint_A(x), z + gamma * self.A_adjoint(y), self.max_iter, self.tol)

    def compute_norm(self, x: X, max_iter: int = 30, **_: Any) -> Float[Tensor, ""]:
        """The square of the largest singular value (deepinv's convention), by power iteration from ``x``."""
        with torch.no_grad():
            value = torch.zeros(())
            for _step in range(max_iter):
                x = self.A_adjoint_A(x / x.norm())
                value = x.norm()
        return value


def from_deepinv(model: Callable[[Tensor, Any], Tensor], *, unit_norm: bool = False) -> Callable[[Projections, Grid], Volume]:
    """A deepinv model ``(y, physics) -> x`` as a fewview method ``(projections, grid) -> volume``: for ``--method my_file.py:name``.

    With ``unit_norm`` the model sees the scan scaled to unit norm. Raises InputError for an answer of another shape.
    """

    def run(projections: Projections, grid: Grid) -> NDArray[np.float32]:
        physics = ScanPhysics(projections.scan, grid, unit_norm=unit_norm)
        with torch.no_grad():
            x = model(physics.scale * torch.from_numpy(np.array(projections.values))[None, None], physics)
        if tuple(x.shape) != (1, 1, *grid.shape):
            raise InputError(f"the model returned a tensor of shape {tuple(x.shape)}", expected=f"{(1, 1, *grid.shape)}")
        return x[0, 0].cpu().numpy().astype(np.float32)

    run.__doc__ = f"the deepinv model {type(model).__name__}"
    return run


def to_deepinv(method: str | Method | Callable[..., Any], **settings: Any) -> Callable[[Tensor, Any], Tensor]:
    """A fewview method with its settings as a deepinv model ``(y, physics) -> x``, where ``physics`` is a `ScanPhysics`.

    The model takes line integrals [batch, 1, view, row, col] and returns attenuation [batch, 1, z, y, x] in 1/mm. No gradient flows through
    it. Raises InputError for any other physics, since a method needs the scan and the grid.
    """

    def model(y: Tensor, physics: Any, **_: Any) -> Tensor:
        if not isinstance(physics, ScanPhysics):
            raise InputError(f"the physics is a {type(physics).__name__}", expected="a fewview.recon.deepinv_adaptors.ScanPhysics")
        scans = [Projections((part[0] / physics.scale).detach().cpu().float().numpy(), physics.scan) for part in y]
        volumes = [reconstruct(scan, method, physics.grid, check=False, **settings).volume for scan in scans]
        return torch.from_numpy(np.stack(volumes))[:, None].to(y)

    return model


def _each(apply: Callable[[Tensor], Tensor], values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if values.ndim != 5 or values.shape[1] != 1 or tuple(values.shape[2:]) != shape:
        raise InputError(f"a tensor of shape {tuple(values.shape)}", expected=f"(batch, 1, {', '.join(map(str, shape))})")
    return torch.stack([apply(value[0]) for value in values])[:, None]


def _conjugate_gradients(normal: Callable[[Tensor], Tensor], right: Tensor, max_iter: int, tol: float) -> Tensor:
    """Hestenes & Stiefel 1952 from zero, each element of the batch on its own, until the residual fell to ``tol`` of the start."""

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(1, 2, 3, 4), keepdim=True)

    x, residual, direction = torch.zeros_like(right), right, right
    start = energy = inner(residual, residual)
    for _ in range(max_iter):
        if bool((energy <= tol**2 * start).all()):
            break
        moved = normal(direction)
        step = energy / inner(direction, moved).clamp(min=torch.finfo(right.dtype).tiny)
        x, residual = x + step * direction, residual - step * moved
        before, energy = energy, inner(residual, residual)
        direction = residual + energy / before.clamp(min=torch.finfo(right.dtype).tiny) * direction
    return x
