"""How a scene is scanned in the many ways of a laboratory: geometries, energies, blur, noise, and views straightened more or less."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...base.shapes import Float, LineIntegrals, ViewValues, Volume
from ...data.phantom.procedural.bodies import log_uniform
from ...geometry import Grid, Scan
from ...recon import Operator
from ...recon.corrections.beam_hardening import linearise
from ...recon.physics.effects import split_materials, transmission
from ...recon.physics.tables import attenuation, tube_beam
from .scene import FINE, with_means

VIEWS = 60  # views of each scan, of which training takes fewer
ONE_ENERGY, ENERGIES = 0.4, 6  # share of the scans with one energy; energies of the others

FineRays = Float[NDArray[np.float32], "view fine_row fine_col"]


def draw_scan(rng: np.random.Generator, grid: Grid, pixels: tuple[float, float]) -> Scan:
    """A short scan of the SkyScan 1276 (one in two), another short scan, a full circle, or parallel beams over half a turn.

    A pixel at the axis is a share of a voxel between the two numbers ``pixels``; where these reach 1, it is as large as a voxel in two of
    three scans, as it is by default.
    """
    kind = rng.choice(["skyscan", "short", "circle", "parallel"], p=[0.5, 0.18, 0.17, 0.15])
    radius, height = grid.size_mm[0] / 2, grid.size_mm[2]
    natural = rng.random() < 2 / 3 and pixels[1] >= 1
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
    if rng.random() < ONE_ENERGY:
        line = _measured(rng, np.exp(-exact * strength), scan)
        rest = rng.uniform(-0.04, 0.04) if rng.random() < 0.3 else 0.0
        return np.asarray(line - rest / max(float(line.max()), 1e-6) * line**2, np.float32), strength
    line = _measured(rng, many_energies(rng, scene, grid, scan, exact, float(strength)), scan)
    return nearly_straight(rng, line, over_pixels(exact, scan) * strength), strength


def line_integrals(scene: Volume, grid: Grid, scan: Scan) -> LineIntegrals:
    """Dimensionless line integrals [view, fine row, fine col] of a scene of voxel means [z, y, x] in 1/mm; `FINE` x `FINE` rays a pixel."""
    return Operator(finer(scan), grid)(with_means(scene))


def finer(scan: Scan) -> Scan:
    """The scan with pixels `FINE` times as fine along rows and columns."""
    rows, cols = scan.shape
    return Scan((rows * FINE, cols * FINE), scan.source, scan.detector, scan.u / FINE, scan.v / FINE, scan.angles_deg)


def many_energies(rng: np.random.Generator, scene: Volume, grid: Grid, scan: Scan, exact: LineIntegrals, strength: float) -> ViewValues:
    """The share of a tube's light along each ray [view, fine row, fine col], where the scene is soft tissue and bone as at 30 keV."""
    beam = tube_beam(float(rng.uniform(40, 90)), log_uniform(rng, 0.25, 1.5), 0.15).binned(ENERGIES)
    mu_soft, mu_bone = (float(attenuation(name, 30.0)[0]) for name in ("soft", "bone"))
    bone_mm = line_integrals(split_materials(scene, mu_soft, mu_bone)[1], grid, scan)
    soft_mm = np.maximum(exact - np.float32(mu_bone) * bone_mm, 0) / mu_soft
    return transmission(np.asarray(strength * soft_mm, np.float32), np.asarray(strength * bone_mm, np.float32), beam)


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


def nearly_straight(rng: np.random.Generator, line: LineIntegrals, exact: LineIntegrals) -> LineIntegrals:
    """Line integrals [view, row, col] (dimensionless) of many energies, linearised by a percentage from none to half more than the best.

    They are in the grey scale of the ``exact`` ones. No user knows the best percentage, and none straightens two materials.
    """
    p, wanted = line.ravel().astype(np.float64), exact.ravel().astype(np.float64)
    a, b = np.linalg.lstsq(np.array([[p @ p, p @ p**2], [p @ p**2, p**2 @ p**2]]), [p @ wanted, p**2 @ wanted], rcond=None)[0]
    percent = float(np.clip(100 * b / max(a, 1e-6) * rng.uniform(0, 1.5), 0, 100))
    straight = linearise(line, percent)
    return straight * np.float32((straight * exact).sum(dtype=np.float64) / max((straight**2).sum(dtype=np.float64), 1e-12))
