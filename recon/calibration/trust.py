"""How far a calibration can be trusted: errors that cover what the jackknife cannot see, and only those changes that help.

The jackknife compares parts of one scan. What biases all of them alike (beam hardening that is left, scatter, cone artefacts) it does not
see: on simulated scans of 20 real heads with the whole default physics the row was wrong by up to 8 of its standard errors, the roll by up
to 6 (docs/calibration_table.md). So a floor is added to each error, chosen so that all 60 runs there lie within 2.1 errors, 48 to 54 of
them within one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .search import GROUPS, NAMES, Estimate, Search

FLOORS = (0.01, 0.05, 0.012)  # axis and row shift in pixels of a panel of 192 columns, roll in degrees
FLOOR_HARDENED_ROW = 0.12  # where the beam hardened by 50 % or more, in the terms of `linearise`
OF_STRAIGHTENING = 0.25  # share of what straightening the line integrals moved the row by that may still be wrong
LEAST = 2.0  # standard errors: a smaller change may well be chance
SENSE_CLEAR = 0.6  # the other sense must contradict itself this much less, or it cannot be told from the given one


def with_floor(estimate: Estimate, cols: int, hardening_percent: float = 0.0) -> Estimate:
    """The estimate of a panel of ``cols`` columns, with errors that cover what biases all views alike."""
    scale = max(192 / cols, cols / 192)  # of finer panels a pixel is less; coarser ones leave fewer lines to compare
    row = max(FLOORS[1], FLOOR_HARDENED_ROW * min(1.0, hardening_percent / 50))
    floor = np.array([FLOORS[0] * scale, row * scale, FLOORS[2]])
    return estimate.changed(errors=np.sqrt(estimate.errors**2 + floor**2))


def with_error_of_hardening(straightened: Estimate, plain: Estimate) -> Estimate:
    """The estimate from straightened views, its row's error widened by a share of how far that from the plain views lies away."""
    errors = straightened.errors.copy()
    errors[1] = np.hypot(errors[1], OF_STRAIGHTENING * (straightened.values[1] - plain.values[1]))
    return straightened.changed(errors=errors)


def held_out_gain(search: Search, estimate: Estimate, which: int) -> float:
    """By what share the views contradict each other less with one correction, judged by views that were not used to find it.

    Every fifth view in turn is left out, the correction that the others found is applied, and the pairs of views with one of those left
    out are asked. Negative: the correction makes them agree less.
    """
    before = after = 0.0
    for group in range(GROUPS):
        applied: NDArray[np.float64] = estimate.parts[group]
        left = applied.copy()
        left[which] = 0.0
        with_it, without = search.scores_of_group([applied, left], estimate.reverse, group)
        before, after = before + without, after + with_it
    return 1 - after / max(before, 1e-300)


def only_what_helps(search: Search, estimate: Estimate) -> tuple[Estimate, list[str]]:
    """The estimate without corrections that are less than twice their errors or that held-out views do not confirm, and a line on each."""
    values, notes = estimate.values.copy(), []
    for which in search.free:
        value, error = float(values[which]), float(estimate.errors[which])
        unit, name = ("deg" if NAMES[which] == "roll" else "px"), NAMES[which].replace("_", " ")
        said = f"{name} {value:+.3f} +- {error:.3f} {unit} is not applied: "
        if abs(value) < LEAST * error:
            notes.append(said + "it is less than twice its error")
        elif held_out_gain(search, estimate, which) <= 0:
            notes.append(said + "views that were left out agree no better with it")
        else:
            continue
        values[which] = 0.0
    return estimate.changed(values=values), notes


def sense_is_clear(given: float, reversed_: float) -> bool:
    """Whether the scores of the two senses of rotation tell them apart."""
    return min(given, reversed_) <= SENSE_CLEAR * max(given, reversed_)


def the_clearer(found: list[Estimate]) -> Estimate:
    """The estimate with less contradiction, given or reversed; the given one where the two cannot be told apart."""
    if len(found) == 2 and sense_is_clear(found[0].score, found[1].score) and found[1].score < found[0].score:
        return found[1]
    return found[0]


def sense_line(scores: dict[str, float], reversed_: bool) -> str:
    """The line about the sense of rotation in what a calibration says."""
    told = ", ".join(f"{name} {score:.4g}" for name, score in scores.items())
    if not sense_is_clear(*scores.values()):
        return f"the sense of rotation cannot be told from these views (score: {told}): it is kept as given; check the scanner's log"
    return f"the sense of rotation is {'REVERSED: the views contradict the given one' if reversed_ else 'as given'} (score: {told})"
