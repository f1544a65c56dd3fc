"""Which change to the geometry makes rays that were measured twice agree? The simplest one is the likeliest fault."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...base.shapes import Floats
from .opposite_rays import Change, OppositeRays

_AROUND = np.array([-1.0, 0.0, 1.0])
_NEAR = {"axis_px": 0.5, "step_percent": 1.0, "roll_deg": 0.5}
_LATTICE = {"axis_px": 1.0, "step_percent": 1.0, "roll_deg": 0.5}
_REACH = {"step_percent": 4.0, "roll_deg": 1.5}


@dataclass(frozen=True)
class Fit:
    """A change and the energy of the disagreement that it leaves."""

    change: Change
    energy: float


def near_fit(test: OppositeRays, given: float) -> Fit | None:
    """The given geometry, its parameters moved to the minima of parabolas through it and its neighbours, where it is the best of them;
    else None: a search is needed.
    """
    found = {}
    for name in test.free:
        fit = _best_of(test, Change(), name, _NEAR[name] * _AROUND, between=True)
        if fit.energy < given:
            return None
        found[name] = getattr(fit.change, name)
    return Fit(Change(**found), given)


def chance_gain(pairs: int, alone: bool) -> float:
    """How many times less the disagreement may become by chance when one change alone (or all together) is fitted to so few pairs."""
    return 1.1 + 8 / max(pairs, 14) if alone else 1.15 + 14 / max(pairs, 14)


def simplest_fit(test: OppositeRays, reach_px: float) -> Fit:
    """The simplest change after which no other makes the rays agree better than chance might: none, the other sense of rotation by
    itself, then the best of axis, step or roll alone, then all of them together, in the given sense or the other one.
    """
    given = Fit(Change(), test.energy(Change()))
    alone = [Fit(Change(reverse=True), test.energy(Change(reverse=True)))] if test.tells_sense else []
    alone += [_fit(test, (name,), reach_px, reverse=False) for name in test.free]
    together = []
    for reverse in (False, True) if test.tells_sense else (False,):
        orders = (
            test.free,
            (*test.free[1:2], *test.free[:1], *test.free[2:]),
        )  # both orders, axis or step first, because either fault can hide the other
        together.append(min((_fit(test, order, reach_px, reverse) for order in orders), key=_energy))
    small, large = (chance_gain(test.count, alone) for alone in (True, False))
    least, least_alone = min(map(_energy, together)), min(map(_energy, alone))
    if _energy(given) <= large * min(least, least_alone) and _energy(given) <= small * least_alone:
        return given
    if least_alone > large * least:
        return min(together, key=_energy)
    likely = [fit for fit in alone if _energy(fit) <= small * least_alone]
    return likely[0] if likely[0].change.reverse else min(likely, key=_energy)


def _energy(fit: Fit) -> float:
    return float(np.nan_to_num(fit.energy, nan=np.inf))


def _fit(test: OppositeRays, names: tuple[str, ...], reach_px: float, reverse: bool) -> Fit:
    """The least disagreement as each of ``names`` changes in turn, on a lattice and then between its points."""
    fit = Fit(Change(reverse=reverse), np.inf)
    for name in names:
        reach = _REACH.get(name, reach_px)
        step = _LATTICE[name]
        fit = _best_of(test, fit.change, name, np.arange(-np.floor(reach / step), np.floor(reach / step) + 1) * step)
    for share in (0.5, 0.25):
        for name in names:
            fit = _best_of(test, fit.change, name, getattr(fit.change, name) + share * _LATTICE[name] * _AROUND, between=True)
    return fit


def _best_of(test: OppositeRays, base: Change, name: str, ticks: Floats, between: bool = False) -> Fit:
    energies = np.array([test.energy(replace(base, **{name: float(tick)})) for tick in ticks])
    if not np.isfinite(energies).any():
        return Fit(base, np.nan)
    k = int(np.nanargmin(energies))
    value = float(ticks[k])
    if between and 0 < k < len(ticks) - 1 and np.isfinite(energies[k - 1 : k + 2]).all():
        bend = energies[k - 1] - 2 * energies[k] + energies[k + 1]
        value += float(0.5 * (energies[k - 1] - energies[k + 1]) / bend * (ticks[1] - ticks[0])) if bend > 0 else 0.0
    return Fit(replace(base, **{name: value}), float(energies[k]))
