"""The projector A and its transpose, as one object that takes and returns numpy arrays or torch tensors."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...base import InputError, MissingBackendError, UnknownNameError
from ...geometry import Grid, Scan
from .joseph_rays import Rays

Values = TypeVar("Values", NDArray[np.floating], Tensor)

BACKENDS = ("auto", "numba", "torch", "triton", "astra")


class Operator:
    """``A(x)``: volume [z, y, x] in 1/mm on ``grid`` -> line integrals [view, row, col] of ``scan``; ``A.T(y)`` its transpose.

    numpy in, numpy out; torch in, torch out, differentiable both ways as often as wanted (the gradient of A is A.T); dtype and
    device are kept. Nothing is precomputed, so operators of subsets, ``Operator(scan[index], grid)``, cost nothing.

    backend     where             precision            transpose
    ``numba``   CPU               float32              exact
    ``torch``   any torch device  that of the input    exact
    ``triton``  CUDA              that of the input    exact, but for the order of sums
    ``astra``   CUDA              float32              close (ASTRA's 3-D pair is not matched)
    ``auto``    numba for numpy and CPU tensors; triton for CUDA tensors where it is installed (torch for CUDA brings it), there
                is a C compiler and torch.use_deterministic_algorithms is off; torch for all else

    The exact ones are Joseph's method (see `joseph_rays`); float64 given to numba is computed in float32 and returned as float64.

    Raises UnknownNameError for an unknown backend, MissingBackendError for triton or astra without the package or CUDA, InputError for
    a wrong shape.

    >>> from fewview.geometry import Grid, Scan
    >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=1, cols=1, pixel_mm=1, angles_deg=[0])
    >>> A = Operator(scan, Grid(shape=(3, 3, 3), voxel_mm=2.0))
    >>> A(np.ones(A.domain_shape, np.float32)).tolist()  # three voxels of 2 mm
    [[[6.0]]]
    """

    def __init__(self, scan: Scan, grid: Grid, backend: str = "auto") -> None:
        if backend not in BACKENDS:
            raise UnknownNameError("backend", backend, BACKENDS)
        if backend == "astra":
            from .astra_backend import require_cuda

            require_cuda()
        if backend == "triton":
            require_triton()
        self.scan, self.grid, self.backend = scan, grid, backend
        self.domain_shape: tuple[int, int, int] = grid.shape
        self.range_shape: tuple[int, int, int] = (len(scan), *scan.shape)
        self.T = _Transpose(self)

    def __call__(self, volume: Values) -> Values:
        """Line integrals [view, row, col], dimensionless, of ``volume`` [z, y, x] in 1/mm."""
        return _apply(self, volume, transposed=False)

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

    The inner products are in float64. ``dtype`` of x and y defaults to what the backend computes in at best: float64 for torch and triton,
    float32 for the others. Where no ray meets the grid, Ax is zero and so is the result, if A'y is zero too.
    """
    dtype = (np.float64 if A.backend in ("torch", "triton") else np.float32) if dtype is None else dtype
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
    inner = np.float64 if kept == np.float64 and operator.backend in ("torch", "triton") else np.float32
    given = np.array(values, dtype=inner) if not values.flags.writeable else np.ascontiguousarray(values, dtype=inner)
    return _compute(operator, torch.from_numpy(given), transposed).numpy().astype(kept, copy=False)  # pyright: ignore[reportReturnType]


def _compute(operator: Operator, values: Tensor, transposed: bool) -> Tensor:
    """Hand the values to the backend in a precision that it has; give back the dtype and device that came."""
    backend, rays = operator.backend, Rays.of(operator.scan, operator.grid)
    if backend == "auto":
        backend = _fastest(values.device)
    if backend in ("torch", "triton"):
        if backend == "torch":
            from . import joseph_torch as plain
        else:
            from . import joseph_triton as plain

        device = torch.device("cuda") if backend == "triton" and not values.is_cuda else values.device
        inner = values.to(device, torch.float64 if values.dtype == torch.float64 else torch.float32).contiguous()
        return (plain.backproject if transposed else plain.project)(inner, rays).to(values.device, values.dtype)
    array = values.to("cpu", torch.float32).contiguous().numpy()
    if backend == "astra":
        from . import astra_backend

        result = (astra_backend.backproject if transposed else astra_backend.project)(array, operator.scan, operator.grid)
    else:
        from . import joseph_numba as fast

        result = (fast.backproject if transposed else fast.project)(array, rays)
    return torch.from_numpy(result).to(values.device, values.dtype)


def _fastest(device: torch.device) -> str:
    if device.type == "cpu":
        return "numba"
    by_kernels = device.type == "cuda" and not _triton_lacks() and not torch.are_deterministic_algorithms_enabled()
    return "triton" if by_kernels else "torch"


def _triton_lacks() -> str:
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not any(shutil.which(name) for name in (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")):
        return "no C compiler (gcc, clang) is found, with which triton makes what launches a kernel"
    if torch.cuda.is_available() and torch.version.hip is None and torch.cuda.get_device_capability() < (7, 0):
        return "the CUDA device is older than compute capability 7.0"
    return ""


def require_triton() -> None:
    """MissingBackendError where the backend ``triton`` cannot be used."""
    missing = _triton_lacks() if torch.cuda.is_available() else "no CUDA device is found"
    if missing:
        raise MissingBackendError(
            f"backend triton cannot be used: {missing}",
            expected="a CUDA device, a C compiler, and triton, as torch for CUDA brings it",
            remedy="use backend='numba' or backend='torch'",
        )
