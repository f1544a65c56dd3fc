"""The projector A and its transpose, as one object that takes and returns numpy arrays or torch tensors."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...base import InputError
from ...geometry import Grid, Scan
from ...geometry.grid import require_grid
from .backend import Backend, Prepared, automatic_backend, find_backend

Values = TypeVar("Values", NDArray[np.floating], Tensor)


class Operator:
    """``A(x)``: volume [z, y, x] in 1/mm on ``grid`` -> line integrals [view, row, col] of ``scan``; ``A.T(y)`` its transpose.

    numpy in, numpy out; torch in, torch out, differentiable both ways as often as wanted (the gradient of A is A.T); dtype and
    device are kept. Nothing is computed beforehand, so operators of subsets, ``Operator(scan[index], grid)``, cost nothing; what a
    GPU needs to know of the geometry is brought there by the first call and kept.

    backend     where             precision            transpose
    ``numba``   CPU               float32              exact
    ``torch``   any torch device  that of the input    exact
    ``triton``  CUDA              that of the input    exact; of rolled and tilted scans but for the order of sums
    ``astra``   CUDA              float32              close (ASTRA's 3-D pair is not matched)
    ``auto``    numba for numpy and CPU tensors; triton for CUDA tensors where it is installed (torch for CUDA brings it), there
                is a C compiler and torch.use_deterministic_algorithms is off; torch for all else

    The exact ones are Joseph's method (see `joseph_rays`). On grids of more than 2^17 voxels ``numba`` shares lines of voxels between depth
    bins, which changes a smooth body's line integrals by about 0.1 % (docs/performance.md); its transpose stays exact. float64 given to
    numba is computed in float32 and returned as float64.

    Raises UnknownNameError for an unknown backend, MissingBackendError for triton or astra without the package or CUDA, InputError for
    a wrong shape.

    >>> from fewview.geometry import Grid, Scan
    >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=1, cols=1, pixel_mm=1, angles_deg=[0])
    >>> A = Operator(scan, Grid(shape=(3, 3, 3), voxel_mm=2.0))
    >>> A(np.ones(A.domain_shape, np.float32)).tolist()  # three voxels of 2 mm
    [[[6.0]]]
    """

    def __init__(self, scan: Scan, grid: Grid, backend: str = "auto") -> None:
        self._chosen = find_backend(backend)
        self.scan, self.grid, self.backend = scan, require_grid(grid), backend
        self.domain_shape: tuple[int, int, int] = grid.shape
        self.range_shape: tuple[int, int, int] = (len(scan), *scan.shape)
        self.T = _Transpose(self)
        self._prepared: dict[tuple[str, torch.device, torch.dtype], Prepared] = {}

    def __call__(self, volume: Values) -> Values:
        """Line integrals [view, row, col], dimensionless, of ``volume`` [z, y, x] in 1/mm."""
        return _apply(self, volume, transposed=False)

    def backend_for(self, device: torch.device) -> Backend:
        """The record of the backend that works on values from ``device``: the one that was asked for, or what "auto" means there."""
        return self._chosen or automatic_backend(device)

    def prepared(self, backend: Backend, device: torch.device, dtype: torch.dtype) -> Prepared | None:
        """What is kept between calls for one backend, device and type; None where the backend keeps nothing."""
        if backend.prepare is None:
            return None
        key = (backend.name, device, dtype)
        if key not in self._prepared:
            self._prepared[key] = backend.prepare(self.scan, self.grid, device, dtype)
        return self._prepared[key]

    def __repr__(self) -> str:
        return f"Operator({self.domain_shape} -> {self.range_shape}, backend={self.backend!r})"


class _Transpose:
    """``A.T``: its own transpose is the very ``A`` it came from."""

    def __init__(self, forward: Operator) -> None:
        self.T = forward
        self.scan, self.grid, self.backend = forward.scan, forward.grid, forward.backend
        self.domain_shape, self.range_shape = forward.range_shape, forward.domain_shape

    def __call__(self, projections: Values) -> Values:
        """The unfiltered, unweighted back-projection [z, y, x] of ``projections`` [view, row, col]; in mm times their unit."""
        return _apply(self.T, projections, transposed=True)

    def __repr__(self) -> str:
        return f"{self.T!r}.T"


def dottest(A: Operator | _Transpose, seed: int = 0, dtype: Any = None) -> float:
    """``|<Ax, y> - <x, A'y>| / (|Ax| |y|)`` for random x and y: zero but for rounding when A.T is the transpose of A.

    The inner products are in float64. ``dtype`` of x and y defaults to what the backend computes in at best: float64 where it keeps that,
    else float32. Where no ray meets the grid, Ax is zero and so is the result, if A'y is zero too.
    """
    forward = A if isinstance(A, Operator) else A.T
    dtype = (np.float64 if _keeps_float64(forward) else np.float32) if dtype is None else dtype
    random = np.random.default_rng(seed)
    x = random.standard_normal(A.domain_shape).astype(dtype)
    y = random.standard_normal(A.range_shape).astype(dtype)
    ax, aty = A(x).astype(np.float64).ravel(), A.T(y).astype(np.float64).ravel()
    gap = abs(float(ax @ y.astype(np.float64).ravel()) - float(x.astype(np.float64).ravel() @ aty))
    return gap / max(float(np.linalg.norm(ax) * np.linalg.norm(y)), np.finfo(np.float64).tiny) if gap else 0.0


class _Differentiable(torch.autograd.Function):
    """A linear map: its gradient is the transpose, which is differentiable in the same way."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, operator: Operator, transposed: bool) -> Tensor:
        ctx.operator, ctx.transposed = operator, transposed
        return _compute(operator, values.detach(), transposed)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Differentiable.apply(grads[0].contiguous(), ctx.operator, not ctx.transposed), None, None


def _apply(operator: Operator, values: Values, *, transposed: bool) -> Values:
    expected = operator.range_shape if transposed else operator.domain_shape
    name, axes = ("projections", "(view, row, col)") if transposed else ("volume", "(z, y, x)")
    if not isinstance(values, (np.ndarray, Tensor)):
        raise InputError(f"{name} are a {type(values).__name__}", expected="a numpy array or a torch tensor")
    if tuple(values.shape) != expected:
        raise InputError(f"{name} have shape {tuple(values.shape)}", expected=f"{expected} {axes}")
    if isinstance(values, Tensor):
        if not values.is_floating_point():
            raise InputError(f"{name} are of type {values.dtype}", expected="floating-point numbers")
        return _Differentiable.apply(values, operator, transposed)  # pyright: ignore[reportReturnType]
    if values.dtype.kind not in "fiub":
        raise InputError(f"{name} are of type {values.dtype}", expected="real numbers")
    kept = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    inner = np.float64 if kept == np.float64 and _keeps_float64(operator) else np.float32
    given = np.array(values, dtype=inner) if not values.flags.writeable else np.ascontiguousarray(values, dtype=inner)
    return _compute(operator, torch.from_numpy(given), transposed).numpy().astype(kept, copy=False)  # pyright: ignore[reportReturnType]


def _keeps_float64(operator: Operator) -> bool:
    return operator.backend_for(torch.device("cpu")).float64


def _compute(operator: Operator, values: Tensor, transposed: bool) -> Tensor:
    """Hand the values to the backend in a precision that it has; give back the dtype and device that came."""
    backend = operator.backend_for(values.device)
    kind = torch.float64 if backend.float64 and values.dtype == torch.float64 else torch.float32
    kept = operator.prepared(backend, backend.home(values.device), kind)
    if kept is not None:
        given = values.to(kind).contiguous()
        return (kept.backproject if transposed else kept.project)(given).to(values.dtype)
    inner = values.to(backend.home(values.device), kind).contiguous()
    result = (backend.backproject if transposed else backend.project)(inner, operator.scan, operator.grid)
    return result.to(values.device, values.dtype)
