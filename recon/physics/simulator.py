"""The scanner in software: a volume becomes the projections that a real scan of it would have given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...base import InputError
from ...base.memory import require_memory
from ...base.shapes import NewVolume, ViewValues, Volume
from ...data import Projections, RawScan
from ...data.scans.preparation import prepare
from ...data.volumes.resample import refine
from ...geometry import Grid, Scan
from ..projector.operator import Operator
from .effects import Physics, detect, split_materials, transmission, true_scan
from .tables import attenuation

_BLOCK_RAYS = 2**23


def simulate(volume: ArrayLike, grid: Grid, scan: Scan, physics: Physics | None = None, *, seed: int = 0, **changes: Any) -> Projections:
    """Projections that ``scan`` would have measured of ``volume`` [z, y, x] (1/mm at ``physics.reference_kev``) on ``grid``.

    `simulate_raw`, then `fewview.data.prepare`: air level, logarithm, dead pixels. ``physics`` (default `Physics()`) says which effects
    take part, ``changes`` override single ones: ``simulate(v, grid, scan, photons=5000, axis_shift_mm=0.1)``. The same seed gives the
    same bits. The scan of the result is the nominal one; what really happened is in ``meta["truth"]``, the settings in
    ``meta["physics"]``, the mean open-beam count in ``meta["photons"]`` (absent without noise).

    Raises InputError for a volume of another shape than the grid's, of whole numbers, or not finite, and for settings out of
    range; UnknownNameError for an unknown setting; MissingBackendError for a polychromatic beam without the extra ``physics``.

    >>> from fewview.geometry import skyscan_1276
    >>> scan = skyscan_1276(rows=2, cols=64, voxel_mm=0.5)[:1]
    >>> p = simulate(np.full((4, 8, 8), 0.1), Grid((4, 8, 8), 0.5), scan, Physics.ideal())
    >>> round(float(p.values.max()), 2)  # 4 mm of 0.1 per mm
    0.4
    """
    raw = simulate_raw(volume, grid, scan, physics, seed=seed, **changes)
    known = raw.meta["physics"]["flux_sd"] == 0  # a tube that does not drift: the air level is what the simulator made it
    return prepare(raw, air=raw.meta["air_level"] if known else "auto")


def simulate_raw(volume: ArrayLike, grid: Grid, scan: Scan, physics: Physics | None = None, *, seed: int = 0, **changes: Any) -> RawScan:
    """The detector counts that ``scan`` would have measured of ``volume`` [z, y, x] in 1/mm: 16-bit, flat-corrected as a SkyScan's, air
    near 57 000.

    The arguments are those of `simulate`. ``meta["truth"]`` holds the scan as it really ran (``scan``), its misalignment, the ``gain`` and
    the ``dead`` mask of the pixels, and the refinement that was used; ``meta["per_view"]`` holds the ``flux`` of the tube and the
    ``jitter_col_px`` and ``jitter_row_px`` of each view.
    """
    physics = (Physics() if physics is None else physics).changed(**changes)
    mu = _checked(volume, grid)
    jitter = np.random.default_rng([seed, 1]).normal(0.0, 1.0, (len(scan), 2)) * physics.jitter_px
    real = true_scan(scan, physics, jitter)
    pixel_mm = scan.field_of_view_mm.pixel_mm
    factor = physics.refine or (2 if grid.voxel_mm > 0.75 * pixel_mm else 1)
    arrays = 4 * (3 if physics.polychromatic else 2) * mu.size * factor**3 + 8 * len(scan) * scan.shape[0] * scan.shape[1]
    require_memory(arrays + 16 * _BLOCK_RAYS, f"the refined volume and the views of {len(scan)} x {scan.shape[0]} x {scan.shape[1]} pixels")
    signal = _open_beam_share(*refine(*cropped(mu, grid), factor), real, physics)
    grey, detector = detect(signal, physics, seed)
    truth = {
        "scan": real, "axis_shift_mm": physics.axis_shift_mm, "row_shift_mm": physics.row_shift_mm, "roll_deg": physics.roll_deg,
        "gain": detector["gain"], "dead": detector["dead"], "refine": factor, "grid": grid, "seed": seed,
    }  # fmt: skip
    meta = {
        "source": "simulated", "voltage_kv": physics.voltage_kv, "current_ua": physics.current_ua, "exposure_ms": physics.exposure_ms,
        "filter_mm_al": physics.filter_mm_al, "air_level": physics.air_level, "physics": dataclasses.asdict(physics), "truth": truth,
        "per_view": {"flux": detector["flux"], "jitter_col_px": jitter[:, 0], "jitter_row_px": jitter[:, 1]},
    }  # fmt: skip
    if physics.counts:
        meta["photons"] = physics.counts
    return RawScan(grey, scan, meta=meta)


def _checked(volume: ArrayLike, grid: Grid) -> Volume:
    mu = np.asarray(volume)
    if mu.shape != grid.shape:
        raise InputError(f"the volume has shape {mu.shape}", expected=f"{grid.shape} (z, y, x), as the grid says")
    if not np.issubdtype(mu.dtype, np.floating):
        raise InputError(f"the volume is of type {mu.dtype}", expected="attenuation in 1/mm", remedy="scale grey values to 1/mm first")
    mu = np.ascontiguousarray(mu, dtype=np.float32)
    if not np.isfinite(mu).all():
        raise InputError(f"{int(np.count_nonzero(~np.isfinite(mu)))} voxels are NaN or Inf", expected="a finite volume in 1/mm")
    return mu


def cropped(mu: Volume, grid: Grid) -> tuple[NewVolume, Grid]:
    """The volume [z, y, x] without the empty voxels around it (one is kept), and its grid: the same object, but less to project."""
    window = []
    for axis in range(3):
        filled = np.flatnonzero(mu.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, 0)
        window.append(slice(max(first - 1, 0), min(last + 2, mu.shape[axis])))
    part = np.ascontiguousarray(mu[tuple(window)])
    center = (axis[part_of].mean() for axis, part_of in zip((grid.x_mm, grid.y_mm, grid.z_mm), window[::-1], strict=True))
    x, y, z = (float(c) for c in center)
    return part, Grid(part.shape, grid.voxel_mm, (x, y, z))  # type: ignore[arg-type]


def _open_beam_share(mu: Volume, grid: Grid, scan: Scan, physics: Physics) -> ViewValues:
    """The share of the open beam's signal that each pixel still gets, mean over its rays."""
    rows, cols = scan.shape
    n = physics.rays
    fine = Scan((rows * n, cols * n), scan.source, scan.detector, scan.u / n, scan.v / n, scan.angles_deg)
    signal = np.empty((len(scan), rows, cols), np.float32)
    step = max(1, _BLOCK_RAYS // (rows * cols * n * n))
    share = _share(mu, grid, physics)
    for start in range(0, len(scan), step):
        block = share(fine[start : start + step])
        signal[start : start + step] = block.reshape(-1, rows, n, cols, n).mean(axis=(2, 4))
    return signal


def _share(mu: Volume, grid: Grid, physics: Physics) -> Callable[[Scan], ViewValues]:
    """The function scan -> transmitted share of the signal along each ray."""
    if not physics.polychromatic:
        return lambda scan: np.exp(-Operator(scan, grid)(mu))
    beam = physics.beam().binned(physics.energy_bins)
    mu_soft, mu_bone = (float(attenuation(name, physics.reference_kev)[0]) for name in ("soft", "bone"))
    soft, bone = split_materials(mu, mu_soft, mu_bone)
    bone, bone_grid = cropped(bone, grid)
    return lambda scan: transmission(Operator(scan, grid)(soft), Operator(scan, bone_grid)(bone), beam)
