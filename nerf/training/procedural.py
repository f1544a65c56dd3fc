"""Scans of procedural volumes as training examples: many kinds of objects, geometries, sizes and noise levels, each from one seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter

from ...base.shapes import Float, LineIntegrals, NewVolume, ViewValues, Volume
from ...data import Projections
from ...data.phantom.procedural.bodies import log_uniform
from ...data.phantom.procedural.kinds_of_volumes import family_of, random_volume
from ...data.phantom.smooth_noise import Noise
from ...data.volumes.resample import coarsen
from ...geometry import Grid, Scan
from ...recon import Operator
from ...recon.corrections.beam_hardening import linearise
from ...recon.physics.effects import split_materials, transmission
from ...recon.physics.tables import attenuation, tube_beam
from .bank import Bank
from .learner import Example

RECIPE = 9  # of these scans: a bank that was made by an earlier one is not taken for it
VIEWS = 60  # views of each scan, of which training takes fewer
VOXEL_MM = 0.25  # the networks are told no lengths, so that any number will do
VALIDATION = range(100_000, 100_008)  # seeds of the scans that choose the best weights
SIZES = (64, 96, 128, 128, 128)  # voxels across, each as often as it is here
LARGE = 0.4  # share of the scenes with one object that fills the slices
LIKE_A_LAB = 0.5  # share of the scans that are a short scan of the SkyScan 1276 with pixels as large as voxels, as after binning
WHOLE = ("head", "mammal", "limb")  # families in which no other takes a part's place
ONE_ENERGY, ENERGIES = 0.4, 6  # share of the scans with one energy; energies of the others
FINE = 2  # the scanned volume and the rays are finer than the grid by this factor

FineRays = Float[NDArray[np.float32], "view fine_row fine_col"]


def procedural_example(seed: int, bank: Bank, size: int | None = None) -> Example:
    """A scan of a scene, with the scene itself, averaged over the voxels of the grid, as reference. ``size`` is the number of voxels across
    (None: one of `SIZES`); of another size the scene of a seed is the same, more finely.

    The scene is projected on a grid twice as fine, with four rays a pixel averaged in intensity, then blurred and given photon noise; in
    one energy, or in many with views that are straightened afterwards, as far as may be.
    """
    rng = np.random.default_rng([seed, 40])
    drawn, slices = int(rng.choice(SIZES)), int(rng.choice([32, 40]))
    across = drawn if size is None else size
    grid = Grid((slices, across, across), VOXEL_MM)
    scan = draw_scan(rng, grid, (0.6, 1.3) if rng.random() < 0.75 else (0.42, 0.8))

    def make() -> tuple[np.ndarray, np.ndarray]:
        scene = softened(rng, draw_scene(rng, seed, grid))
        line, strength = _views_of(rng, scene, Grid(scene.shape, VOXEL_MM / FINE), scan)  # type: ignore[arg-type]
        return line, coarsen(scene, FINE) * strength

    values, reference = bank.get(("procedural", RECIPE, seed) if size is None else ("procedural", RECIPE, seed, size), make)
    return Example(f"procedural_{seed}", f"procedural_{seed}", Projections(values, scan), grid, reference, f"seed {seed}")


def draw_scene(rng: np.random.Generator, seed: int, grid: Grid) -> Volume:
    """A volume [z, y, x] in 1/mm on a grid `FINE` times as fine: an object that fills the slices, or a smaller one among yet smaller ones.

    What is small in the field of view has details that are small in voxels, and air around it: so do animals lie in a scanner.
    """
    nz, ny, nx = (FINE * n for n in grid.shape)
    edges = [nx] if rng.random() < LARGE else [round(nx * share) for share in (rng.uniform(0.4, 0.75), *_shares_beside(rng))]
    scene = np.zeros((nz, ny, nx), np.float32)
    for number, edge in enumerate(edges):
        up = round(nx * rng.uniform(-0.1, 0.1)) if edge < nx else 0
        tall = min(edge, nz + 2 * abs(up))  # all that lies in these slices, and as much on the other side
        shape = (tall, edge, edge)
        drawn = draw_object(rng, 8 * seed, shape) if number == 0 else _volume(8 * seed + 2 + number, shape)
        near = 0.5 if number else 0.25  # of what is free: the first object lies near the axis
        y, x = (int((nx - edge) * (0.5 + rng.uniform(-near, near))) for _ in range(2))
        z = (nz - tall) // 2 + up
        here = scene[max(z, 0) : z + tall, y : y + edge, x : x + edge]
        here[:] = np.where(here > 0, here, drawn[max(-z, 0) :][: len(here)])
    axis = (np.arange(nx) + 0.5) / nx - 0.5
    round_ = (axis[:, None] ** 2 + axis[None, :] ** 2) < 0.48**2
    return np.ascontiguousarray(scene * round_, dtype=np.float32)


def _shares_beside(rng: np.random.Generator) -> list[float]:
    """How wide the objects beside a smaller one are, as shares of the slices."""
    return [float(rng.uniform(0.08, 0.3)) for _ in range(int(rng.integers(0, 6)))]


def draw_object(rng: np.random.Generator, number: int, shape: tuple[int, int, int]) -> Volume:
    """A volume [z, y, x] in 1/mm of one family, often with regions where another family takes its place, and sometimes with holes.

    An animal is left whole. It is drawn from the seed ``number`` and the two that follow.
    """
    if family_of(number) in WHOLE:
        return _volume(number, shape)
    nz, ny, nx = shape
    axis = ((np.arange(nx) + 0.5) / nx - 0.5).astype(np.float32)
    middle = slice((ny - nz) // 2, (ny - nz) // 2 + nz)  # of a cube
    points = np.stack([p.ravel() for p in np.meshgrid(axis[middle], axis, axis, indexing="ij")])[::-1]
    scene = _volume(number, shape)
    for other in range(int(rng.choice([0, 0, 1, 2]))):
        where = Noise.seeded(rng, log_uniform(rng, 0.08, 0.4))(points).reshape(shape) > rng.uniform(-0.8, 0.8)
        put = _volume(number + 1 + other, shape) if rng.random() < 0.85 else np.zeros_like(scene)
        inside = (scene > 0) & where & ((put > 0) if rng.random() < 0.5 else True)
        scene = np.where(inside, put, scene)
    return scene


def _volume(number: int, shape: tuple[int, int, int]) -> Volume:
    return random_volume(shape, VOXEL_MM / FINE, number, fine=1)


def softened(rng: np.random.Generator, scene: Volume) -> Volume:
    """The scene with edges as soft as those of tissue, in two of five, by up to a voxel of the grid (standard deviation)."""
    if rng.random() < 0.6:
        return scene
    return np.asarray(gaussian_filter(scene, log_uniform(rng, 0.15, 1.0) * FINE, mode="constant"), np.float32)


def draw_scan(rng: np.random.Generator, grid: Grid, pixels: tuple[float, float]) -> Scan:
    """A short scan of the SkyScan 1276 (three in four), another short scan, a full circle, or parallel beams over half a turn.

    A pixel at the axis is a share of a voxel between the two numbers ``pixels``; in `LIKE_A_LAB` of the scans, and in two of three others
    where these reach 1, it is as large as a voxel, as it is by default.
    """
    lab = rng.random() < LIKE_A_LAB
    kind = "skyscan" if lab else rng.choice(["skyscan", "short", "circle", "parallel"], p=[0.5, 0.18, 0.17, 0.15])
    radius, height = grid.size_mm[0] / 2, grid.size_mm[2]
    natural = lab or (rng.random() < 2 / 3 and pixels[1] >= 1)
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


def _views_of(rng: np.random.Generator, scene: Volume, grid: Grid, scan: Scan) -> tuple[LineIntegrals, np.float32]:
    """The measured views, and the factor by which the scene was made denser or fainter for them."""
    exact = line_integrals(scene, grid, scan)
    strength = np.float32(log_uniform(rng, 0.4, 4.0) / max(float(exact.max()), 1e-6))
    if rng.random() < ONE_ENERGY:
        line = _measured(rng, np.exp(-exact * strength), scan)
        rest = rng.uniform(-0.04, 0.04) if rng.random() < 0.3 else 0.0
        return np.asarray(line - rest / max(float(line.max()), 1e-6) * line**2, np.float32), strength
    line = _measured(rng, many_energies(rng, scene, grid, scan, exact, float(strength)), scan)
    return nearly_straight(rng, line, _over_pixels(exact, scan) * strength), strength


def line_integrals(scene: Volume, grid: Grid, scan: Scan) -> LineIntegrals:
    """Dimensionless line integrals [view, fine row, fine col] of a scene of voxel means [z, y, x] in 1/mm; `FINE` x `FINE` rays a pixel."""
    rows, cols = scan.shape
    rays = Scan((rows * FINE, cols * FINE), scan.source, scan.detector, scan.u / FINE, scan.v / FINE, scan.angles_deg)
    return Operator(rays, grid)(with_means(scene))


def many_energies(rng: np.random.Generator, scene: Volume, grid: Grid, scan: Scan, exact: LineIntegrals, strength: float) -> ViewValues:
    """The share of a tube's light along each ray [view, fine row, fine col], where the scene is soft tissue and bone as at 30 keV."""
    beam = tube_beam(float(rng.uniform(40, 90)), log_uniform(rng, 0.25, 1.5), 0.15).binned(ENERGIES)
    mu_soft, mu_bone = (float(attenuation(name, 30.0)[0]) for name in ("soft", "bone"))
    bone_mm = line_integrals(split_materials(scene, mu_soft, mu_bone)[1], grid, scan)
    soft_mm = np.maximum(exact - np.float32(mu_bone) * bone_mm, 0) / mu_soft
    return transmission(np.asarray(strength * soft_mm, np.float32), np.asarray(strength * bone_mm, np.float32), beam)


def means_in_voxels(scene: Volume) -> NewVolume:
    """The mean over each voxel, in 1/mm, of what the operator projects: a volume [z, y, x], interpolated linearly between its centres."""
    means: NDArray[np.float32] = scene
    for axis in range(3):
        means = np.asarray(convolve1d(means, [1 / 8, 3 / 4, 1 / 8], axis=axis, mode="constant"), np.float32)
    return means


def with_means(scene: Volume) -> NewVolume:
    """A volume [z, y, x] in 1/mm that, interpolated linearly between its centres, has the scene's values as its means over voxels.

    It is what is projected (Van Cittert's iteration, twice). To project the scene itself is to scan an object that is smoother than it: at
    the highest frequency of a grid `FINE` times as coarse, a quarter of it along each axis is lost.
    """
    found: NDArray[np.float32] = scene
    for _ in range(2):
        found = np.asarray(found + (scene - means_in_voxels(found)), np.float32)
    return found


def _measured(rng: np.random.Generator, light: FineRays, scan: Scan) -> LineIntegrals:
    """What the detector makes of the light behind the object: blur, averages over pixels, photon and readout noise."""
    if rng.random() < 0.7:
        blur = rng.uniform(0, 1.4)
        light = np.asarray(gaussian_filter(light, (0, blur, blur), mode="nearest"), np.float32)
    signal = _over_pixels(light, scan)
    if rng.random() < 0.92:
        photons = log_uniform(rng, 2e3, 4e5)
        counts = rng.poisson(signal * photons) + rng.normal(0, min(10, 0.1 * math.sqrt(photons)), signal.shape)
        signal = np.asarray(np.maximum(counts, 0.5) / photons, np.float32)
    return np.asarray(-np.log(signal), np.float32)


def _over_pixels(rays: FineRays, scan: Scan) -> ViewValues:
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
