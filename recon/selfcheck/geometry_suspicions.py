"""What is probably wrong with the geometry, judged by how well rays or planes agree. All thresholds of the geometry are here.

They were chosen on 20 simulated scans of real heads and hold on 20 others (docs/self_check.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.self_check import DOUBTFUL, WRONG, Suspicion
from ...geometry import Scan
from .opposite_rays import Change, OppositeRays
from .ray_search import Fit, chance_gain, near_fit, simplest_fit
from .shared_planes import PlaneAgreement

_AXIS_PX, _STEP_PERCENT, _ROLL_DEG = 0.15, 0.7, 0.4  # smaller changes do no harm; in pixels of the small views
_PLANES_AXIS_PX, _PLANES_GAIN, _PLANES_SENSE = 0.6, 1.5, 1.3
_CERTAINLY_SMALL = 0.01  # below it, only the nearest other geometries are tried
_MOST_LEFT = 0.05  # energy of the disagreement that noise, blur and scatter leave in the best geometry
_PERFECT = 1e-4  # differences as small as these say nothing of the geometry: noise-free rods, rounding
_FEW_PAIRS, _NOISE_SD = 4, 3


@dataclass(frozen=True)
class GeometryFindings:
    """``contradiction``: relative disagreement, 0 to 1; ``test`` in words; ``facts`` for the record."""

    suspicions: tuple[Suspicion, ...]
    contradiction: float
    test: str
    facts: Mapping[str, Any]


def judge_rays(rays: OppositeRays, factor: int, scan: Scan, noise: float) -> GeometryFindings | None:
    """What rays measured twice say of the geometry; None where there are too few. ``noise``: the energy that noise alone would leave."""
    given = rays.energy(Change())
    if (rays.count < _FEW_PAIRS and rays.reach < rays.scan.shape[1]) or not np.isfinite(given):
        return None
    fit = near_fit(rays, given) if given < _CERTAINLY_SMALL + 3 * noise else None
    mirrored = rays.energy(Change(reverse=True)) if rays.tells_sense else np.inf
    if fit is None or mirrored < chance_gain(rays.count, alone=False) * given:
        fit = simplest_fit(rays, max(4.0, 0.06 * rays.scan.shape[1]))
    by_chance = max(_PERFECT, _NOISE_SD * noise * np.sqrt(2 / (3 * rays.count)))
    found: list[Suspicion] = []
    if given - fit.energy > by_chance:
        found = [_sense(given / fit.energy)] if fit.change.reverse else _changes(rays, fit, factor, scan)
    if fit.energy > _MOST_LEFT + 3 * noise:
        text = (
            f"rays that were measured twice differ by {100 * _relative(fit.energy):.0f} %, and no axis, step or sense of rotation mends it"
        )
        found.append(Suspicion("contradiction", DOUBTFUL, f"{text}: did the object move, or are views missing or out of order?"))
    facts = {
        "pairs": rays.count, "energy": given, "energy_reversed": mirrored, "noise_energy": noise, "least_energy": fit.energy,
        "axis_px": fit.change.axis_px * factor, "step_percent": fit.change.step_percent, "roll_deg": fit.change.roll_deg,
        "reversed": fit.change.reverse,
    }  # fmt: skip
    return GeometryFindings(tuple(found), _relative(given), "rays measured from both sides", facts)


def judge_planes(planes: PlaneAgreement, factor: int, scan: Scan) -> GeometryFindings:
    """What the planes that pairs of views share say of the geometry."""
    found = []
    if planes.best > _PLANES_SENSE * planes.reversed and planes.given > 2 * planes.reversed:
        found.append(_sense(planes.given / planes.reversed))
    elif abs(planes.axis_px) > _PLANES_AXIS_PX and planes.given > _PLANES_GAIN * planes.best:
        found.append(_axis(planes.axis_px * factor, scan))
    facts = {
        "pairs": planes.pairs, "energy": planes.given, "least_energy": planes.best, "least_energy_reversed": planes.reversed,
        "axis_px": planes.axis_px * factor,
    }  # fmt: skip
    return GeometryFindings(tuple(found), _relative(planes.given), "planes shared by pairs of views", facts)


def _changes(rays: OppositeRays, fit: Fit, factor: int, scan: Scan) -> list[Suspicion]:
    """The parts of a change that matter, the most important one first."""
    best = fit.change
    gains = {name: rays.energy(replace(best, **{name: 0.0})) / fit.energy for name in rays.free}
    found = []
    for name, gain in sorted(gains.items(), key=lambda item: -item[1]):
        if not gain > chance_gain(rays.count, alone=True):
            continue
        if name == "axis_px" and abs(best.axis_px) >= _AXIS_PX:
            found.append(_axis(best.axis_px * factor, scan))
        elif name == "step_percent" and abs(best.step_percent) >= _STEP_PERCENT:
            found.append(_step(best.step_percent, scan))
        elif name == "roll_deg" and abs(best.roll_deg) >= _ROLL_DEG:
            text = f"the panel looks rolled by {best.roll_deg:+.1f} deg against the geometry (fewview recon --calibrate finds it)"
            found.append(Suspicion("roll", WRONG if abs(best.roll_deg) >= 2 * _ROLL_DEG else DOUBTFUL, text, best.roll_deg, "deg"))
    return found


def _axis(shift_px: float, scan: Scan) -> Suspicion:
    mm = shift_px * float(np.linalg.norm(scan.u, axis=1).mean())
    text = f"the rotation axis lies {abs(shift_px):.1f} px beside where the geometry puts it"
    text += f" (axis_shift_mm should be {mm:+.4g} mm more; fewview recon --calibrate finds it)"
    return Suspicion("axis", WRONG, text, shift_px, "px")


def _step(percent: float, scan: Scan) -> Suspicion:
    step = float(np.median(np.abs(np.diff(scan.angles_deg))))
    text = f"the step from view to view is off by about {percent:+.1f} %: the geometry says {step:.4g} deg, "
    text += f"the views agree best at {step * (1 + percent / 100):.4g} deg"
    return Suspicion("step", WRONG, text, percent, "%")


def _sense(gain: float) -> Suspicion:
    text = "the rotation runs the other way than the geometry says, or the columns are flipped"
    return Suspicion("sense", WRONG, f"{text} (reversed, the views agree {gain:.0f} times better)", gain)


def _relative(energy: float) -> float:
    return float(np.sqrt(energy / 2))
