"""The settings of all corrections in one record, in the order in which they run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ...base import InputError
from ...base.settings import NotNegative, Positive, checked

if TYPE_CHECKING:
    from ..physics.tables import Beam

Account = list[dict[str, Any]]
"""What was done, one entry for each step: its name, its settings and how much it changed."""


@checked(kind="correction setting")
class Corrections:
    """What to correct, in the words of NRecon. 0 switches a step off; the steps that are on run in this order.

    Args:
        dead_pixels: mend pixels that stick out by this many robust standard deviations (10 is careful); 0 is off.
        rings: ring reduction as NRecon's Ring Artifact Correction, from 0 (off) to 20.
        ring_method: static, sorting (needs algotom), or tomopy.
        scatter: the share of what the object takes out of the beam that comes back as a veil, such as 0.005; 0 is off.
        scatter_width: how far the veil spreads, as a share of the width of the panel.
        smoothing: radius in pixels of the smoothing of the views, from 0 (off) to 10.
        smoothing_kernel: gaussian or box.
        beam_hardening: polynomial correction in percent, from 0 (off) to 100; 20 to 40 is usual for bone.
        bone_hardening: passes of the correction from the spectrum of the tube, instead of beam_hardening; 0 is off.
        voltage_kv: of the tube, for that spectrum; by default what the scan says.
        filter_mm_al: thickness of the aluminium filter, for that spectrum; by default what the scan says.
        scintillator_mm: thickness of the scintillator (caesium iodide), for that spectrum.
        reference_kev: energy for which the corrected values hold.
        median: radius in voxels of a median filter of the volume, up to 5; 0 is off.
    """

    dead_pixels: Annotated[float, Field(ge=0, description="a positive threshold, or 0 to switch it off")] = 10.0
    rings: Annotated[int, Field(ge=0, le=20, description="0 (off) to 20, a whole number")] = 0
    ring_method: Literal["static", "sorting", "tomopy"] = "static"
    scatter: Annotated[float, Field(ge=0, le=0.5, description="0 (off) to 0.5")] = 0.0
    scatter_width: Positive = 0.15
    smoothing: Annotated[int, Field(ge=0, le=10, description="0 (off) to 10, a whole number")] = 0
    smoothing_kernel: Literal["gaussian", "box"] = "gaussian"
    beam_hardening: Annotated[float, Field(ge=0, le=100, description="0 (off) to 100 %")] = 0.0
    bone_hardening: Annotated[int, Field(ge=0, le=20, description="0 (off) to 20 passes, a whole number")] = 0
    voltage_kv: Annotated[float, Field(ge=5, le=1000)] | None = None
    filter_mm_al: NotNegative | None = None
    scintillator_mm: NotNegative = 0.15
    reference_kev: Positive = 30.0
    median: Annotated[int, Field(ge=0, le=5, description="a radius of whole voxels from 0 (off) to 5")] = 0

    def __post_init__(self) -> None:
        if self.beam_hardening and self.bone_hardening:
            raise InputError(
                f"beam_hardening={self.beam_hardening} and bone_hardening={self.bone_hardening}",
                expected="one of the two: both would correct the same thing twice",
            )

    @property
    def acts_on_views(self) -> bool:
        """Whether a step that changes the views is on."""
        s = self
        return any((s.dead_pixels, s.rings, s.scatter, s.smoothing, s.beam_hardening, s.bone_hardening))

    @classmethod
    def off(cls) -> Corrections:
        """Nothing is corrected."""
        return cls(dead_pixels=0.0)

    def changed(self, **changes: Any) -> Corrections:
        """A copy with these settings; UnknownNameError, with the nearest names, for one that does not exist."""
        return dataclasses.replace(self, **changes)


def tube_of(settings: Corrections, meta: Mapping[str, Any]) -> tuple[dict[str, float], Beam]:
    """(voltage, filter and scintillator, the beam that they make): given, or from the scan's meta; InputError naming what is missing."""
    from ..physics.tables import tube_beam

    found = {"scintillator_mm": settings.scintillator_mm}
    for name in ("voltage_kv", "filter_mm_al"):
        value = getattr(settings, name)
        value = meta.get(name) if value is None else value
        if value is None:
            raise InputError(
                f"the scan does not say its {name}", expected=f"{name} for bone_hardening", remedy=f"give {name}= (--correct {name}=...)"
            )
        found[name] = float(value)
    return found, tube_beam(found["voltage_kv"], found["filter_mm_al"], found["scintillator_mm"]).binned(24)
