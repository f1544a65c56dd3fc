"""What the hostile cases start from: a stranger's scan and files as other programs write them, none of them made by fewview's writers.

The object is three balls, so line integrals are chord lengths: the numbers come from geometry, not from fewview.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

ROWS, COLS, VIEWS, STEP_DEG = 16, 32, 52, 4.0
DSO_MM, DSD_MM = 92.975, 150.0
PIXEL_MM = 42.739 / COLS  # at the rotation axis: the field of a SkyScan 1276
AIR = 57_000
PHOTONS = 20_000
# (x, y, z) mm, radius mm, attenuation 1/mm added inside
BALLS = (((2.0, 1.0, 0.5), 7.0, 0.03), ((4.5, 2.0, 1.5), 2.5, 0.08), ((-1.5, 3.0, -1.5), 2.0, 0.08))

LOG = """[System]
Scanner=SkyScan1276
Instrument S/N=18D01090
Software Version=1.0.5
Home directory=D:\\Résultats\\100%
Source Type=HAMAMATSU_L11871_20
Camera Type=XIMEA xiRAY16
Camera Pixel Size (um)= {camera:.4f}
CameraXYRatio=1.0000
[User]
User Name=Müller
[Acquisition]
Data Directory=D:\\Résultats\\100%\\souris
Filename Prefix=souris_
Filename Index Length=8
Number Of Files=  {views}
Number Of Rows= {rows}
Number Of Columns= {cols}
Camera binning=1x1
Partial Width=OFF
Image Rotation=0.0000
Optical Axis (line)= {middle}
Object to Source (mm)={dso:.3f}
Camera to Source (mm)={dsd:.3f}
Source Voltage (kV)=  50
Source Current (uA)= 200
Image Pixel Size (um)={pixel:.6f}
Scaled Image Pixel Size (um)={pixel:.6f}
Image Format=TIFF
Depth (bits)=16
Reference Intensity=57000
Exposure (ms)=900
Rotation Step (deg)={step:.3f}
Use 360 Rotation=NO
Scanning position=23.0 mm
Frame Averaging=OFF (1)
Flat Field Correction=ON
Rotation Direction=CC
Type of Detector Motion=STEP AND SHOOT
Scan duration=0h:40m:34s
Filter=Al 0.5mm
Study Date and Time=12 Mar 2021  14h:05m:11s
[Reconstruction]
Reconstruction Program=NRecon
Program Version=Version: 1.7.4.2
Postalignment=0.00
Reconstruction Angular Range (deg)={range:.2f}
Cone-beam Angle Horiz.(deg)={fan:.6f}
Cone-beam Angle Vert.(deg)={cone:.6f}
[File name convention]
Filename Index Length=4
"""


def log_text() -> str:
    """The log of the sound scan."""
    fan, cone = (float(2 * np.degrees(np.arctan(n * PIXEL_MM / (2 * DSO_MM)))) for n in (COLS, ROWS))
    pixel = PIXEL_MM * 1000
    return LOG.format(
        camera=pixel * DSD_MM / DSO_MM, views=VIEWS, rows=ROWS, cols=COLS, middle=ROWS // 2, dso=DSO_MM, dsd=DSD_MM, pixel=pixel,
        step=STEP_DEG, range=VIEWS * STEP_DEG, fan=fan, cone=cone,
    )  # fmt: skip


def edited(text: str, changes: dict[str, str | None]) -> str:
    """The log with the values of some keys changed where they stand first; None takes the line out, new keys go to [Acquisition]."""
    lines = text.split("\n")
    for key, value in changes.items():
        at = next((i for i, line in enumerate(lines) if line.partition("=")[0].strip() == key), None)
        if at is None:
            lines.insert(lines.index("[Acquisition]") + 1, f"{key}={value}")
        elif value is None:
            del lines[at]
        else:
            lines[at] = f"{key}={value}"
    return "\n".join(lines)


def chords(source: NDArray[np.float64], pixels: NDArray[np.float64], scale: float = 1.0) -> NDArray[np.float64]:
    """Line integrals through the balls (their places and radii times ``scale``) from each source (view, 3) to its pixels (view, ..., 3)."""
    start = source.reshape(len(source), *([1] * (pixels.ndim - 2)), 3)
    along = pixels - start
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    total = np.zeros(pixels.shape[:-1])
    for middle, radius, attenuation in BALLS:
        to_ball = scale * np.array(middle) - start
        nearest = (to_ball**2).sum(-1) - (to_ball * along).sum(-1) ** 2
        total += 2 * attenuation * np.sqrt(np.maximum((scale * radius) ** 2 - nearest, 0))
    return total


@cache
def cone_integrals(scale: float = 1.0) -> NDArray[np.float64]:
    """(view, row, col) line integrals of the sound scan: source at DSO (sin b, -cos b, 0), panel through the axis."""
    b = np.radians(STEP_DEG * np.arange(VIEWS))
    source = DSO_MM * np.stack([np.sin(b), -np.cos(b), 0 * b], -1)
    across = np.stack([np.cos(b), np.sin(b), 0 * b], -1)
    col, row = (np.arange(COLS) - (COLS - 1) / 2) * PIXEL_MM, (np.arange(ROWS) - (ROWS - 1) / 2) * PIXEL_MM
    pixels = across[:, None, None] * col[None, None, :, None] + np.array([0, 0, 1.0]) * row[None, :, None, None]
    return chords(source, pixels, scale)


@cache
def parallel_integrals(views: int = 60, pixel_mm: float = 1.3) -> NDArray[np.float64]:
    """(view, row, col) of a parallel beam over 180 deg, as a synchrotron measures it."""
    b = np.radians(180 / views * np.arange(views))
    toward = np.stack([np.sin(b), -np.cos(b), 0 * b], -1)
    across = np.stack([np.cos(b), np.sin(b), 0 * b], -1)
    col, row = (np.arange(COLS) - (COLS - 1) / 2) * pixel_mm, (np.arange(ROWS) - (ROWS - 1) / 2) * pixel_mm
    pixels = across[:, None, None] * col[None, None, :, None] + np.array([0, 0, 1.0]) * row[None, :, None, None]
    return chords(1e5 * toward, pixels)


def counts_of(integrals: NDArray[np.float64], air: float = AIR, seed: int = 0) -> NDArray[np.uint16]:
    """What a detector counts: noisy, 16 bit, air near 57 000."""
    photons = np.random.default_rng(seed).poisson(PHOTONS * np.exp(-integrals))
    return np.clip(np.rint(photons * (air / PHOTONS)), 1, 65535).astype(np.uint16)


@cache
def sound_counts() -> NDArray[np.uint16]:
    """The images of the sound scan."""
    return counts_of(cone_integrals())


@cache
def attenuation(size: int = 16, voxel_mm: float = 1.3) -> NDArray[np.float32]:
    """The balls as a volume [z, y, x] in 1/mm."""
    axis = (np.arange(size) - (size - 1) / 2) * voxel_mm
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    total = np.zeros((size, size, size), np.float32)
    for (cx, cy, cz), radius, mu in BALLS:
        total += np.float32(mu) * ((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= radius**2)
    return total


def total_attenuation_mm2() -> float:
    """The integral of the attenuation over space, from the balls' formula: mm^3 / mm."""
    return float(sum(mu * 4 / 3 * np.pi * r**3 for _, r, mu in BALLS))
