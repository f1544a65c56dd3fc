"""The attenuation that the stored numbers of a volume mean. The file says it, or the user does, or the user is asked; it is never guessed
silently.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ...base import InputError
from ...base.settings import NotNegative, Several, checked
from ...base.shapes import AnyVolume, FloatVolume

USUAL_MU_MAX = 0.20  # 1/mm, cortical bone of a mouse at 30 keV: near the brightest level of a micro-CT
_MOST, _MUCH, _LEAST = 10.0, 1.0, 1e-3  # 1/mm: iron at 30 keV absorbs 6.4, bone 0.2, foam 0.002
PerMm = Annotated[float, Field(gt=0, le=100, description="a number above 0 and up to 100, in 1/mm")]
_MOST_LABELS = 16
_AIR_HU = -200.0  # in Hounsfield units only air is so far below zero


@checked(of="the grey scale")
class GreyScale:
    """What the user says about the stored numbers; at most one of ``window``, ``mu_max``, ``mu`` and ``mu_water``.

    Args:
        window: attenuation in 1/mm of the lowest and of the highest grey level: of 0 and 2^bits - 1 for whole numbers, of the smallest
            and the largest value of a volume that is signed or in real numbers.
        mu_max: attenuation in 1/mm of the highest grey level; the lowest is 0.
        mu: attenuation in 1/mm of label 0, 1, 2, ... of a segmentation.
        mu_water: attenuation in 1/mm of water (about 0.038 at 30 keV), for a volume in Hounsfield units.
        bits: how many bits the grey levels have, where that is not the whole type (12 of 16).
    """

    window: tuple[float, float] | None = None
    mu_max: PerMm | None = None
    mu: Several[NotNegative] = ()
    mu_water: PerMm | None = None
    bits: Annotated[int, Field(ge=1, le=32)] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("window", "mu_max", "mu", "mu_water") if getattr(self, name) not in (None, ())]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} are given together", expected="one of them: each says what the values mean")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise InputError(f"window is {self.window}", expected="(low, high) in 1/mm, the first the smaller")
        if self.bits is not None and (self.mu or self.mu_water):
            raise InputError(f"bits is {self.bits} with {given[0]}", expected="bits with window or mu_max: it counts grey levels")

    @property
    def ends(self) -> tuple[float, float] | None:
        """The attenuation in 1/mm of the lowest and of the highest grey level, where the user stated it."""
        return self.window if self.window is not None else None if self.mu_max is None else (0.0, self.mu_max)


@dataclass(frozen=True, eq=False)
class Attenuation:
    """The ``volume`` in 1/mm, nowhere negative; ``largest`` is the largest value that it can have, and ``why`` says how that is known."""

    volume: FloatVolume
    largest: float
    why: str


def as_attenuation(stored: AnyVolume, facts: Mapping[str, Any], name: str, scale: GreyScale | None = None) -> Attenuation:
    """The attenuation that the numbers ``stored`` mean, from the ``facts`` of `read_volume` and what the user says; ``name`` is that of the
    file.

    Whole numbers that fill their type are grey levels from 0 to `USUAL_MU_MAX` 1/mm unless ``scale`` says otherwise, and a warning says so.
    Real numbers that can be attenuation in 1/mm are taken as such; values below zero (noise, streaks) become zero.

    Raises an InputError that asks for the grey scale where it cannot be known: for Hounsfield units, labels, grey levels that leave bits of
    their type unused, values from 0 to 1, and attenuations that no material has.
    """
    scale = scale or GreyScale()
    low, high = float(stored.min()), float(stored.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{name} holds NaN or Inf", expected="finite values")
    if low == high <= 0:
        raise InputError(f"{name} holds nothing but {low:g}", expected="an object in air")
    said = facts.get("units") == "1/mm"
    if said and scale != GreyScale():
        raise InputError(f"{name} is in 1/mm by itself", expected="no window, mu_max, mu, mu_water or bits", remedy="leave them out")
    if scale.mu:
        return _of_labels(stored, name, scale.mu, low, high)
    if scale.mu_water is not None:
        return _of_hounsfield(stored, scale.mu_water, high)
    whole = stored.dtype.kind in "bui"
    if scale.ends is not None:
        return _of_levels(stored, name, scale.ends, scale.bits, low, high)
    if scale.bits is not None:
        raise InputError(f"{name}: bits is {scale.bits}, and the attenuation of the levels is not said", remedy=_SAY_WINDOW)
    if low <= _AIR_HU or (whole and low < 0):
        raise _unknown(name, low, high, "Hounsfield units" if low <= _AIR_HU else "signed grey levels", _SAY_WATER)
    if high < _MOST_LABELS and (whole or all(np.array_equal(plane, np.rint(plane)) for plane in stored)):
        raise _unknown(name, low, high, "labels or a mask", _SAY_LABELS)
    if not whole:
        return _of_real(stored, name, low, high, said)
    found = _of_levels(stored, name, (0.0, USUAL_MU_MAX), None, low, high)
    warnings.warn(f"{name}: {found.why}, as is usual for bone; {_SAY_WINDOW} to decide otherwise", stacklevel=2)
    return found


_SAY_WINDOW = "give --window LOW HIGH or --mu-max (in 1/mm)"
_SAY_WATER = "give --mu-water, the attenuation of water in 1/mm (about 0.038 at 30 keV), or --window LOW HIGH"
_SAY_LABELS = "give --mu M0 M1 ..., the attenuation of each label in 1/mm; if they are grey levels --window LOW HIGH and --bits"


def _unknown(name: str, low: float, high: float, kind: str, remedy: str) -> InputError:
    return InputError(f"{name} holds values from {low:g} to {high:g}, such as {kind}", expected="a known grey scale", remedy=remedy)


def _of_labels(stored: AnyVolume, name: str, mu: tuple[float, ...], low: float, high: float) -> Attenuation:
    labels = np.rint(stored).astype(np.intp)
    if low < 0 or high > len(mu) - 1 or not np.array_equal(labels, stored):
        raise InputError(
            f"{name} holds values from {low:g} to {high:g} and mu has {len(mu)} numbers", expected="one for each whole number from 0 on"
        )
    return Attenuation(np.asarray(mu, dtype=np.float32)[labels], max(mu), f"labels 0 to {len(mu) - 1} with the attenuations of --mu")


def _of_hounsfield(stored: AnyVolume, mu_water: float, high: float) -> Attenuation:
    values = np.maximum(np.float32(mu_water) * (1 + stored.astype(np.float32) / 1000), 0)
    return Attenuation(values, float(f"{mu_water * (1 + high / 1000):.2g}"), f"Hounsfield units with water at {mu_water:g} 1/mm")


def _of_levels(stored: AnyVolume, name: str, ends: tuple[float, float], bits: int | None, low: float, high: float) -> Attenuation:
    """Grey levels as attenuation; InputError where two or more bits of their type are unused and nobody says how many bits they have."""
    first, last = low, high
    if stored.dtype.kind in "bui" and low >= 0:
        used, room = int(high).bit_length(), 8 * stored.dtype.itemsize - (stored.dtype.kind == "i")
        if bits is None and used <= room - 2:
            raise _unknown(
                name,
                low,
                high,
                f"{used}-bit grey levels in {stored.dtype} (or labels)",
                f"give --window LOW HIGH or --mu-max together with --bits {used} (or --bits {room}); for labels --mu M0 M1 ...",
            )
        first, last = 0.0, float(2 ** (room if bits is None else bits) - 1)
        if high > last:
            raise InputError(f"{name} holds values up to {high:g}", expected=f"at most {last:g}, as bits={bits} says")
    elif bits is not None:
        raise InputError(f"{name}: bits is {bits} for values from {low:g} to {high:g}", expected="grey levels that are whole, from 0 on")
    if first == last:
        raise InputError(f"{name} holds nothing but {low:g}", expected="at least two grey levels, for the two ends of the window")
    at, to = ends
    values = np.float32(at) + (stored.astype(np.float32) - np.float32(first)) * np.float32((to - at) / (last - first))
    if float(values.max()) <= 0:
        raise InputError(f"{name} has no attenuation above 0 with the window {at:g} to {to:g} 1/mm", expected="an object in air")
    return Attenuation(np.maximum(values, 0), to, f"grey levels {first:g} to {last:g} are taken as {at:g} to {to:g} 1/mm")


def _of_real(stored: AnyVolume, name: str, low: float, high: float, said: bool) -> Attenuation:
    """Real numbers as attenuation in 1/mm."""
    if not said and low >= 0 and high == 1:
        raise _unknown(name, low, high, "a volume scaled to 1", _SAY_WINDOW)
    if not _LEAST <= high <= _MOST:
        raise _unknown(name, low, high, f"no attenuation in 1/mm: bone has {USUAL_MU_MAX:g} at 30 keV, iron 6.4", _SAY_WINDOW)
    if high > _MUCH:
        warnings.warn(
            f"{name}: values up to {high:g} are taken as 1/mm, far more than the {USUAL_MU_MAX:g} of bone at 30 keV; if they are in 1/cm "
            "or on another scale, give --window LOW HIGH",
            stacklevel=3,
        )
    if low < -0.3 * high:
        warnings.warn(f"{name}: values down to {low:g} 1/mm are taken as 0; the largest is {high:g}", stacklevel=3)
    why = "the file says 1/mm" if said else "real numbers are taken as 1/mm"
    return Attenuation(np.maximum(stored.astype(np.float32), 0), float(f"{high:.2g}"), f"{why}; the largest value, to two digits")
