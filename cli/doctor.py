"""`fewview doctor`: what this machine offers, and whether the toolkit computes correctly on it."""

from __future__ import annotations

import importlib.metadata as metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Scan
from ..geometry.transform import pixel_centers

# What each extra of pyproject.toml brings; `pip install "fewview[NAME]"`.
EXTRAS = {
    "gpu": "ASTRA on CUDA: backend astra and the baseline methods fdk_astra and fbp_astra; Triton, if torch did not bring it",
    "zarr": "OME-Zarr output",
    "physics": "spectra and attenuation tables for the polychromatic simulator and physics-based beam hardening",
    "corrections": "more ring and stripe removal (algotom)",
    "data": "downloads with hash check and resume",
    "bone": "registration of bones (SimpleITK)",
    "bench": "sweeps on many cores or a cluster (dask), FID/KID (torchmetrics), training logs",
    "peers": "itk-rtk beside fewview in `fewview bench speed --peers`",
    "dev": "tests, linters, types",
}
_CORE = ("numpy", "scipy", "numba", "torch", "scikit-image", "tifffile", "h5py", "nibabel")
_SIMD = ("SSE42", "AVX2", "FMA3", "AVX512F", "NEON", "ASIMD", "SVE")


def doctor(*, quick: bool = False) -> int:
    """Show what this machine offers, and check the adjoint and FDK on a sphere whose projections are known exactly.

    Examples:
      fewview doctor
      fewview doctor --quick

    The exit code is 0 when the self-check passes, 1 when it does not.

    Args:
        quick: leave out the self-check.
    """
    for title, lines in (
        ("versions", _versions()),
        ("machine", _machine()),
        ("backends of Operator", _backends()),
        ("methods", _methods()),
        ("optional extras", _extras()),
    ):
        print(title)
        for line in lines:
            print(f"  {line}")
    if quick:
        return 0
    print("self-check")
    passed = True
    for name, good, detail in self_check():
        passed &= good
        print(f"  {'ok    ' if good else 'FAILED'} {name}: {detail}")
    return 0 if passed else 1


def _versions() -> Iterator[str]:
    yield f"fewview {metadata.version('fewview')}, Python {platform.python_version()} ({sys.executable})"
    yield ", ".join(f"{name} {metadata.version(name)}" for name in _CORE)


def _machine() -> Iterator[str]:
    import numba
    import torch

    from ..base.memory import GIB, available_bytes

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = f"{numba.get_num_threads()} numba threads, {torch.get_num_threads()} torch threads"
    yield f"{platform.system()} {platform.machine()}, {cores} cores for this process, {threads}"
    yield f"SIMD: {', '.join(_simd()) or 'none known'}"
    free = available_bytes()
    yield f"memory: {free / GIB:.1f} GiB free" if free else "memory: this system does not say how much is free"
    yield f"disk: {shutil.disk_usage('.').free / GIB:.0f} GiB free in this folder"
    if not torch.cuda.is_available():
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no usable NVIDIA device or driver"
        yield f"CUDA: no ({reason}); everything runs on the CPU"
        return
    for i in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(i)
        yield f"CUDA: {device.name}, {device.total_memory / GIB:.0f} GiB, compute capability {device.major}.{device.minor}"


def _simd() -> list[str]:
    runtime = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]  # what np.show_runtime prints
    return [name for name in _SIMD if runtime.get(name)]


def _backends() -> Iterator[str]:
    from ..recon.projector.backend import backends

    for backend in sorted(backends().values(), key=lambda b: bool(b.lacks())):
        missing = backend.lacks()
        yield f"{backend.name:<6} {f'no: {missing}; it needs {backend.needs}' if missing else f'yes: {backend.where}'}"


def _methods() -> Iterator[str]:
    from ..recon import METHODS

    for name in METHODS:
        try:
            method = METHODS[name]
        except ImportError as error:
            yield f"{name:<10} cannot be loaded: {error}"
            continue
        yield f"{name:<10} {'needs a trained checkpoint; ' if method.trained else ''}{method.reference}".rstrip()


def _extras() -> Iterator[str]:
    from packaging.requirements import Requirement

    stated = [Requirement(text) for text in metadata.requires("fewview") or []]
    for extra in metadata.metadata("fewview").get_all("Provides-Extra") or []:
        wanted = [r.name for r in stated if r.marker and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})]
        missing = [name for name in wanted if name.lower() != "fewview" and not _installed(name)]
        brings = EXTRAS.get(extra, "")
        if missing:
            yield f'{extra:<12} missing {", ".join(missing)}: pip install "fewview[{extra}]" brings {brings}'
        else:
            yield f"{extra:<12} installed: {brings}"


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def self_check() -> Iterator[tuple[str, bool, str]]:
    """(name, passed, figures) of tests that compare a few seconds of computing with exact values."""
    from ..data import Projections
    from ..recon import Operator, dottest, fdk

    angles = np.arange(52) * 4.0
    scan = Scan.circular(dso_mm=93.0, dsd_mm=93.0, rows=32, cols=48, pixel_mm=0.9, angles_deg=angles, roll_deg=0.5)
    grid = Grid((32, 40, 40), 0.9)
    for backend, bound in (("numba", 1e-5), ("torch", 1e-12)):
        error = dottest(Operator(scan[::4], grid, backend=backend))
        yield f"adjoint, {backend}", error <= bound, f"relative error {error:.1e}, at most {bound:.0e}"
    start = time.perf_counter()
    radius, value = 10.0, 0.05
    volume = fdk(Projections(sphere_projections(scan, radius, value), scan), grid)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    inside = (x**2 + y**2 + z**2 <= (0.75 * radius) ** 2) & (np.abs(z) <= 2)
    error = float(volume[inside].mean()) / value - 1
    sides = float(volume[inside & (x < 0)].mean() / volume[inside & (x > 0)].mean()) - 1
    seconds = time.perf_counter() - start
    good = abs(error) <= 0.01 and abs(sides) <= 0.01
    yield (
        "FDK of a sphere from 52 views that cover 208 deg",
        good,
        f"mean {error:+.2%}, left/right {sides:+.2%}, at most 1 %; {seconds:.1f} s",
    )


def sphere_projections(scan: Scan, radius_mm: float, value: float) -> NDArray[np.float32]:
    """Exact line integrals [view, row, col] of a uniform sphere at the origin: ``2 value sqrt(r^2 - d^2)`` with d the ray's distance from
    it.
    """
    pixel = np.stack([pixel_centers(scan, view) for view in range(len(scan))])
    source = np.broadcast_to(scan.source[:, None, None], pixel.shape)
    ray = pixel - source
    distance2 = (np.cross(source, ray) ** 2).sum(axis=-1) / (ray**2).sum(axis=-1)
    return (2 * value * np.sqrt(np.maximum(radius_mm**2 - distance2, 0))).astype(np.float32)
