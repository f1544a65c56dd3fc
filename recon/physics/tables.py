"""Tube spectrum and attenuation tables: spekpy and xraydb, asked when a polychromatic simulation or correction needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError, MissingBackendError, UnknownNameError
from ...base.shapes import Float


@dataclass(frozen=True)
class Material:
    """Mass fractions of the elements, and the density in g/cm3."""

    name: str
    density_g_cm3: float
    fractions: Mapping[str, float]


# ICRU Report 44 (1989), mass fractions.
_SOFT = {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710, "Na": 0.001, "P": 0.002, "S": 0.003, "Cl": 0.001, "K": 0.004}
_BONE = {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225}
MATERIALS: Mapping[str, Material] = {
    "soft": Material("soft", 1.05, _SOFT),  # skeletal muscle
    "bone": Material("bone", 1.92, _BONE),  # cortical bone
    "water": Material("water", 1.0, {"H": 0.1119, "O": 0.8881}),
    "aluminium": Material("aluminium", 2.699, {"Al": 1.0}),
    "csi": Material("csi", 4.51, {"Cs": 0.5115, "I": 0.4885}),
}


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingBackendError(
            f"the package {name} is not installed",
            expected="spekpy and xraydb for a polychromatic beam",
            remedy="install fewview[physics], or ask for one energy: Physics(polychromatic=False)",
        ) from error


def attenuation(material: str, energy_kev: ArrayLike) -> Float[NDArray[np.float64], "energy"]:
    """Linear attenuation coefficients (n,) in 1/mm of a material of MATERIALS at energies (n,) in keV (Elam tables, by xraydb)."""
    if material not in MATERIALS:
        raise UnknownNameError("material", material, MATERIALS)
    energy = np.atleast_1d(np.asarray(energy_kev, dtype=np.float64))
    if not (np.isfinite(energy).all() and (energy > 0.2).all()):
        raise InputError(f"energy_kev has the value {energy.min()}", expected="energies above 0.2 keV")
    known, xraydb = MATERIALS[material], _import("xraydb")
    mass = sum(share * xraydb.mu_elam(element, energy * 1000.0, kind="total") for element, share in known.fractions.items())
    return np.asarray(mass) * known.density_g_cm3 / 10.0


@dataclass(frozen=True, eq=False)
class Beam:
    """What the detector sees of an open beam: ``weight`` (sums to 1) of the signal at each ``energy_kev``; ``energy_kev`` ascending."""

    energy_kev: Float[NDArray[np.float64], "energy"]
    weight: Float[NDArray[np.float64], "energy"]

    @property
    def mean_kev(self) -> float:
        """Signal-weighted mean energy."""
        return float(self.energy_kev @ self.weight)

    def binned(self, bins: int) -> Beam:
        """``bins`` bins of about equal signal, each at its own mean energy: the mean energy of the whole is kept."""
        if bins < 1:
            raise InputError(f"bins is {bins}", expected="1 or more energy bins")
        middle = np.cumsum(self.weight) - self.weight / 2
        which = np.minimum((middle * bins).astype(int), bins - 1)
        weight = np.bincount(which, self.weight, bins).astype(np.float64)
        mean = np.bincount(which, self.weight * self.energy_kev, bins)
        return Beam(mean[weight > 0] / weight[weight > 0], weight[weight > 0])


def tube_beam(voltage_kv: float, filter_mm_al: float, scintillator_mm: float = 0.15, anode_deg: float = 12.0) -> Beam:
    """Signal spectrum of a tungsten tube behind aluminium, on an energy-integrating caesium-iodide scintillator.

    The fluence is spekpy's (Poludniowski et al., Med Phys 48 (2021) 3630); the signal of a photon is its energy times the probability
    of its absorption in ``scintillator_mm`` of CsI (0: energy alone).

    Raises InputError for a voltage outside 10 to 300 kV or a negative thickness, MissingBackendError without spekpy and xraydb.
    """
    if not 10 <= voltage_kv <= 300:
        raise InputError(f"voltage_kv is {voltage_kv}", expected="10 to 300 kV")
    for name, value in (("filter_mm_al", filter_mm_al), ("scintillator_mm", scintillator_mm)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"{name} is {value}", expected="a thickness of 0 mm or more")
    tube = _import("spekpy").Spek(kvp=voltage_kv, th=anode_deg, dk=0.5)
    if filter_mm_al:
        tube.filter("Al", filter_mm_al)
    energy, fluence = (np.asarray(a, dtype=np.float64) for a in tube.get_spectrum())
    absorbed = -np.expm1(-attenuation("csi", energy) * scintillator_mm) if scintillator_mm else 1.0
    signal = fluence * energy * absorbed
    keep = signal > 1e-6 * signal.max()
    return Beam(energy[keep], signal[keep] / signal[keep].sum())
