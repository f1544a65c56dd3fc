"""How a scene is scanned in many ways: geometries, pixels, blur and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...base.shapes import Float, LineIntegrals, ViewValues, Volume
from ...data.phantom.procedural.bodies import log_uniform
from ...geometry import Grid, Scan
from ...recon import Operator
from .scene import FINE, with_means

VIEWS = 60  # views of each scan, of which training takes fewer

FineRays = Float[NDArray[np.float32], "view fine_row fine_col"]


def draw_scan(rng: np.random.Generator, grid: Grid, pixels: tuple[float, float]) -> Scan:
    """A short scan of the SkyScan 1276 (one in two), another short scan, a full circle, or parallel beams over half a turn.

    A pixel at the axis is a share of a voxel between the two numbers ``pixels``; where these reach 1, it is as large as a voxel in one of
    three scans, as it is by default.
    """
    kind = rng.choice(["skyscan", "short", "circle", "parallel"], p=[0.5, 0.18, 0.17, 0.15])
    radius, height = grid.size_mm[0] / 2, grid.size_mm[2]
    natural = rng.random() < 1 / 3 and pixels[1] >= 1
    pixel = grid.voxel_mm * (1.0 if natural else rng.uniform(*pixels))
    fan_deg = 25.888290 if kind == "skyscan" else float(rng.uniform(6, 36))
    half = math.radians(fan_deg / 2)
    dso = 400 * radius if kind == "parallel" else radius / math.sin(half)
    width = 2.02 * radius if kind == "parallel" else 2 * dso * math.tan(half)
    rows = math.ceil(height * (1.05 if kind == "parallel" else 1 + radius / (dso - radius)) / pixel) + 1
    begin = rng.uniform(0, 360)
    if kind in ("circle", "parallel"):
        angles = begin + np.arange(VIEWS) * (360 if kind == "circle" else 180) / VIEWS
    else:
        angles = begin + np.linspace(0, 207.2 if kind == "skyscan" else rng.uniform(180 + fan_deg * 0.9, 250), VIEWS)
    return Scan.circular(dso_mm=dso, dsd_mm=dso, rows=rows, cols=math.ceil(width / pixel), pixel_mm=pixel, angles_deg=angles)


def views_of(rng: np.random.Generator, scene: Volume, grid: Grid, scan: Scan) -> tuple[LineIntegrals, np.float32]:
    """The measured views, and the factor by which the scene was made denser or fainter for them."""
    exact = line_integrals(scene, grid, scan)
    strength = np.float32(log_uniform(rng, 0.4, 4.0) / max(float(exact.max()), 1e-6))
    line = _measured(rng, np.exp(-exact * strength), scan)
    rest = rng.uniform(-0.04, 0.04) if rng.random() < 0.3 else 0.0  # of beam hardening
    return np.asarray(line - rest / max(float(line.max()), 1e-6) * line**2, np.float32), strength


def line_integrals(scene: Volume, grid: Grid, scan: Scan) -> LineIntegrals:
    """Dimensionless line integrals [view, fine row, fine col] of a scene of voxel means [z, y, x] in 1/mm; `FINE` x `FINE` rays a pixel."""
    return Operator(finer(scan), grid)(with_means(scene))


def finer(scan: Scan) -> Scan:
    """The scan with pixels `FINE` times as fine along rows and columns."""
    rows, cols = scan.shape
    return Scan((rows * FINE, cols * FINE), scan.source, scan.detector, scan.u / FINE, scan.v / FINE, scan.angles_deg)


def _measured(rng: np.random.Generator, light: FineRays, scan: Scan) -> LineIntegrals:
    """What the detector makes of the light behind the object: blur, averages over pixels, photon and readout noise."""
    if rng.random() < 0.7:
        blur = rng.uniform(0, 1.4)
        light = np.asarray(gaussian_filter(light, (0, blur, blur), mode="nearest"), np.float32)
    signal = over_pixels(light, scan)
    if rng.random() < 0.92:
        photons = log_uniform(rng, 2e3, 4e5)
        counts = rng.poisson(signal * photons) + rng.normal(0, min(10, 0.1 * math.sqrt(photons)), signal.shape)
        signal = np.asarray(np.maximum(counts, 0.5) / photons, np.float32)
    return np.asarray(-np.log(signal), np.float32)


def over_pixels(rays: FineRays, scan: Scan) -> ViewValues:
    """The means over the pixels of a scan of what `finer` pixels hold, in the same unit."""
    rows, cols = scan.shape
    return rays.reshape(len(scan), rows, FINE, cols, FINE).mean(axis=(2, 4))
