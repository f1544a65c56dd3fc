"""The physics of a simulated scan: one frozen record of settings, and the pure steps from path lengths to detector counts."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter

from ...base import InputError
from ...base.settings import Positive, checked
from ...base.shapes import AnyViews, Float, ViewValues
from ...geometry import Scan, transform
from .tables import Beam, attenuation, tube_beam

Values = Float[NDArray[np.float32], "*shape"]  # one number for each voxel, of any part of a volume


def _within(low: float, high: float) -> Any:
    return Field(ge=low, le=high)


# No scanner and no sensible experiment is beyond these: what is beyond them is a typing error.
Kilovolts = Annotated[float, _within(5, 1000)]
Millimetres = Annotated[float, _within(0, 1000)]
Shift = Annotated[float, _within(-1000, 1000)]
Spread = Annotated[float, _within(0, 1)]
Pixels = Annotated[float, _within(0, 100)]
Rays = Annotated[int, _within(1, 100)]
Fraction = Annotated[float, Field(ge=0, lt=1, description="0 (off), or a fraction below 1")]


@checked(kind="physics setting")
class Physics:
    """Every effect of a simulated scan; the defaults are a SkyScan 1276 as BoneMet used it. `Physics.ideal` switches all of them off.

    **Beam.** ``voltage_kv``, ``filter_mm_al`` and ``scintillator_mm`` (caesium iodide) give the spectrum; ``energy_bins`` its
    sampling. The volume's numbers are attenuation at ``reference_kev``; with ``polychromatic`` False that is the only energy.

    **Counts.** ``photons`` is the mean count of an unattenuated pixel at 200 uA and 900 ms (0: no noise at all), and scales with
    ``current_ua`` and ``exposure_ms``; ``electronic_noise`` is the readout's standard deviation, in photons; ``flux_sd`` the relative
    drift of the tube from view to view. Poisson noise is drawn on the energy-weighted mean signal: the Swank factor, some 5 % in
    variance here, is left out.

    **Detector.** ``blur_px`` (standard deviation; focal spot and scintillator together), ``gain_sd`` (relative gain error of each
    pixel left after the scanner's flat-field correction: rings), ``dead_fraction`` of the pixels read 0, ``air_level`` is the grey
    value of air, ``bits`` the type of the images (16, or 0 for floating point without rounding).

    **Scatter.** ``scatter`` is the share of what the object takes out of the beam that reaches the panel as a veil, ``scatter_width`` the
    veil's standard deviation as a share of the panel's width. 0.005 makes 0.3 % of the signal behind a mouse's leg and 1 % behind a head:
    small bodies, far from the camera.

    **Geometry.** ``axis_shift_mm``, ``row_shift_mm``, ``roll_deg`` as in `Scan.circular`, ``jitter_px`` (standard deviation of
    the shift of each view's image): the true scan has them, the scan that is handed on does not. They are 0 by default: a scan is nominally
    aligned, and a hidden shift would turn every comparison of methods into one of calibrations. Ask for them, and calibrate.

    **Sampling.** ``rays`` x ``rays`` rays a pixel, averaged in intensity; ``refine`` divides the voxels of the volume before
    projection (smooth interpolation; None: 2 where a voxel is larger than 3/4 of a pixel at the axis, else 1), so that no
    reconstruction shares the grid.
    """

    polychromatic: bool = True
    voltage_kv: Kilovolts = 50.0
    filter_mm_al: Millimetres = 0.5
    scintillator_mm: Millimetres = 0.15
    energy_bins: Annotated[int, _within(1, 1000)] = 15
    reference_kev: Annotated[float, _within(1, 1000)] = 30.0
    photons: Annotated[float, _within(0, 1e12)] = 20_000.0
    current_ua: Positive = 200.0
    exposure_ms: Positive = 900.0
    electronic_noise: Annotated[float, _within(0, 1e6)] = 10.0
    flux_sd: Spread = 0.002
    blur_px: Pixels = 0.4
    gain_sd: Spread = 0.003
    dead_fraction: Fraction = 1e-4
    air_level: Positive = 57_000.0
    bits: Annotated[Literal[0, 16], Field(description="16, or 0 for floating point")] = 16
    scatter: Fraction = 0.005
    scatter_width: Positive = 0.15
    axis_shift_mm: Shift = 0.0
    row_shift_mm: Shift = 0.0
    roll_deg: Annotated[float, _within(-45, 45)] = 0.0
    jitter_px: Pixels = 0.0
    rays: Rays = 2
    refine: Rays | None = None

    def __post_init__(self) -> None:
        if self.bits and self.air_level > 2**self.bits - 1:
            raise InputError(f"air_level is {self.air_level}", expected=f"at most {2**self.bits - 1} for {self.bits} bits")

    @classmethod
    def ideal(cls, **changes: Any) -> Physics:
        """One energy, no noise, no blur, no scatter, perfect pixels, aligned, floating point; ``changes`` switch effects on."""
        off = dict.fromkeys(("photons", "electronic_noise", "flux_sd", "blur_px", "gain_sd", "dead_fraction", "scatter"), 0.0)
        return cls(polychromatic=False, bits=0, **off).changed(**changes)

    def changed(self, **changes: Any) -> Physics:
        """A copy with these settings; UnknownNameError, with the nearest names, for one that does not exist."""
        return dataclasses.replace(self, **changes)

    @property
    def counts(self) -> float:
        """Mean count of an unattenuated pixel at this current and exposure; 0 without noise."""
        return self.photons * self.current_ua / 200.0 * self.exposure_ms / 900.0

    def beam(self) -> Beam:
        """The signal spectrum of the open beam, unbinned."""
        if not self.polychromatic:
            return Beam(np.array([self.reference_kev]), np.ones(1))
        return tube_beam(self.voltage_kv, self.filter_mm_al, self.scintillator_mm)


def split_materials(mu: Values, mu_soft: float, mu_bone: float) -> tuple[Values, Values]:
    """The volume fractions (soft, bone) of two materials in voxels of attenuation ``mu`` (1/mm), so that soft mu_soft + bone mu_bone = mu.

    Up to ``mu_soft`` a voxel is soft tissue of less density; from there to ``mu_bone`` a mixture by volume; beyond, denser bone.
    """
    bone = np.clip((mu - mu_soft) / (mu_bone - mu_soft), 0, None)
    soft = np.where(mu < mu_soft, mu / mu_soft, 1 - bone)
    over = bone > 1
    return np.where(over, 0, soft).astype(np.float32), np.where(over, mu / mu_bone, bone).astype(np.float32)


def transmission(soft_mm: ViewValues, bone_mm: ViewValues, beam: Beam) -> ViewValues:
    """The share of the open beam's signal behind path lengths of soft tissue and bone in mm (Beer-Lambert, summed over the energies)."""
    mu_soft, mu_bone = attenuation("soft", beam.energy_kev), attenuation("bone", beam.energy_kev)
    total = np.zeros(soft_mm.shape, np.float32)
    for weight, soft, bone in zip(beam.weight, mu_soft, mu_bone, strict=True):
        total += np.float32(weight) * np.exp(np.float32(-soft) * soft_mm - np.float32(bone) * bone_mm)
    return total


def true_scan(scan: Scan, physics: Physics, jitter_px: Float[NDArray[np.float64], "view 2"]) -> Scan:
    """The scan as it really ran: misaligned, and each view's image shifted by its ``jitter_px`` (view, (col, row))."""
    if not (physics.axis_shift_mm or physics.row_shift_mm or physics.roll_deg or jitter_px.any()):
        return scan
    moved = transform.correct(scan, physics.axis_shift_mm, physics.row_shift_mm, physics.roll_deg)
    return transform.shift_views(moved, jitter_px[:, 0], jitter_px[:, 1])


def detect(signal: ViewValues, physics: Physics, seed: int) -> tuple[AnyViews, dict[str, Any]]:
    """Transmission [view, row, col] to the scanner's grey values (uint16, or float32 for ``bits`` 0), and the truth about the detector.

    Each effect draws from its own random stream: switching one off leaves the others as they were.
    """
    views, rows, cols = signal.shape
    stream = [np.random.default_rng([seed, 10 + i]) for i in range(5)]
    gain = np.clip(stream[0].normal(1.0, physics.gain_sd, (rows, cols)), 0.05, None).astype(np.float32)
    dead = stream[1].random((rows, cols)) < physics.dead_fraction
    flux = np.clip(stream[2].normal(1.0, physics.flux_sd, views), 0.05, None)
    grey = np.empty(signal.shape, np.uint16 if physics.bits else np.float32)
    for view in range(views):
        image = _blurred(signal[view], physics.blur_px)
        if physics.scatter:
            image = image + physics.scatter * _blurred(1 - image, physics.scatter_width * cols)
        image = image * flux[view]
        if physics.counts:
            image = stream[3].poisson(np.maximum(image, 0) * physics.counts) / physics.counts
            image = image + stream[4].normal(0.0, physics.electronic_noise / physics.counts, (rows, cols))
        image = np.where(dead, 0.0, image * gain * physics.air_level)
        grey[view] = np.clip(np.rint(image), 0, 2**physics.bits - 1) if physics.bits else image
    return grey, {"gain": gain, "dead": dead, "flux": flux}


def _blurred(image: NDArray[np.floating], sigma_px: float) -> NDArray[np.floating]:
    return gaussian_filter(image, sigma_px, mode="nearest") if sigma_px else image
