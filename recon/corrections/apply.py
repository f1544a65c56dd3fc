"""All corrections of a scan behind one record of settings, and an account of what each of them changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...base import InputError
from ...base.settings import NotNegative, Positive, checked
from ...base.shapes import LineIntegrals, Volume
from ...data import Projections, RawScan
from ...geometry import Grid
from .beam_hardening import correct_two_materials, linearise, search_grid
from .dead_pixels import find_dead_pixels, mend_pixels
from .rings import reduce_rings
from .scatter import subtract_scatter
from .smoothing import median_volume, smooth

Account = list[dict[str, Any]]


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

    @classmethod
    def off(cls) -> Corrections:
        """Nothing is corrected."""
        return cls(dead_pixels=0.0)

    def changed(self, **changes: Any) -> Corrections:
        """A copy with these settings; UnknownNameError, with the nearest names, for one that does not exist."""
        return dataclasses.replace(self, **changes)


def correct(
    scan: RawScan | Projections, corrections: Corrections | None = None, *, grid: Grid | None = None
) -> tuple[Projections, Account]:
    """(corrected projections, account): every step that is switched on, in order, with its settings and what it changed.

    Detector counts (`RawScan`) go through `fewview.data.prepare` first: flat and dark field, air level of each view, logarithm. Each entry
    of the account has ``step``, the settings, and the mean and root-mean-square change of the line integrals; it is also kept in
    ``meta["corrections"]``, and so goes into the run record. ``bone_hardening`` looks for bone on ``grid`` if that holds the whole field of
    view, else on a grid of its own, see `search_grid`.
    """
    settings = Corrections() if corrections is None else corrections
    account: Account = []
    if isinstance(scan, RawScan):
        from ...data.scans.preparation import prepare

        projections = prepare(scan)
        account.append({"step": "prepare", **projections.meta.get("prepare", {})})
    else:
        projections = scan
    before = list(projections.meta.get("corrections", ()))

    def step(values: NDArray[np.float32], old: NDArray[np.float32], **entry: Any) -> NDArray[np.float32]:
        account.append({**entry, **_change(old, values)})
        return values

    values = projections.values
    if settings.dead_pixels:
        mask = find_dead_pixels(values, settings.dead_pixels)
        mended = mend_pixels(values, mask) if mask.any() else values
        values = step(mended, values, step="dead_pixels", sigmas=settings.dead_pixels, mended_pixels=int(mask.sum()))
    if settings.rings:
        reduced = reduce_rings(values, settings.rings, settings.ring_method)
        values = step(reduced, values, step="rings", level=settings.rings, method=settings.ring_method)
    if settings.scatter:
        clear = subtract_scatter(values, settings.scatter, settings.scatter_width)
        values = step(clear, values, step="scatter", fraction=settings.scatter, width=settings.scatter_width)
    if settings.smoothing:
        smoothed = smooth(values, settings.smoothing, settings.smoothing_kernel)
        values = step(smoothed, values, step="smoothing", level=settings.smoothing, kernel=settings.smoothing_kernel)
    if settings.beam_hardening:
        straight = linearise(values, settings.beam_hardening)
        values = step(straight, values, step="beam_hardening", percent=settings.beam_hardening)
    if settings.bone_hardening:
        beam = _beam_settings(settings, projections.meta)
        where = search_grid(projections.scan, grid)
        hard = _bone_hardening(Projections(values, projections.scan, projections.meta), settings, beam, where)
        facts = {"passes": settings.bone_hardening, "reference_kev": settings.reference_kev, **beam, "voxel_mm": where.voxel_mm}
        values = step(hard, values, step="bone_hardening", **facts)
    return Projections(values, projections.scan, {**projections.meta, "corrections": [*before, *account]}), account


def correct_volume(volume: Volume, corrections: Corrections) -> tuple[Volume, Account]:
    """(volume, account) after the steps that work on the reconstruction: the median."""
    if not corrections.median:
        return volume, []
    out = median_volume(volume, corrections.median)
    return out, [{"step": "median", "radius": corrections.median, **_change(volume, out)}]


def _change(old: NDArray[np.float32], new: NDArray[np.float32]) -> dict[str, float]:
    if new is old:
        return {"mean_change": 0.0, "rms_change": 0.0}
    total = squares = 0.0
    for a, b in zip(old, new, strict=True):  # a view at a time: no copy of the whole scan
        difference = np.subtract(b, a, dtype=np.float64)
        total, squares = total + float(difference.sum()), squares + float((difference**2).sum())
    return {"mean_change": total / old.size, "rms_change": (squares / old.size) ** 0.5}


def _beam_settings(settings: Corrections, meta: Mapping[str, Any]) -> dict[str, float]:
    """Voltage, filter and scintillator: given, or from the scan's meta; InputError naming what is missing."""
    found = {"scintillator_mm": settings.scintillator_mm}
    for name in ("voltage_kv", "filter_mm_al"):
        value = getattr(settings, name)
        value = meta.get(name) if value is None else value
        if value is None:
            raise InputError(
                f"the scan does not say its {name}", expected=f"{name} for bone_hardening", remedy=f"give {name}= (--correct {name}=...)"
            )
        found[name] = float(value)
    return found


def _bone_hardening(projections: Projections, settings: Corrections, beam: Mapping[str, float], grid: Grid) -> LineIntegrals:
    from ..physics.tables import tube_beam

    spectrum = tube_beam(beam["voltage_kv"], beam["filter_mm_al"], beam["scintillator_mm"]).binned(24)
    done = correct_two_materials(projections, spectrum, grid, reference_kev=settings.reference_kev, passes=settings.bone_hardening)
    return done.values
