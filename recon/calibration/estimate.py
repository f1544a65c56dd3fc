"""Self-calibration: the geometry of a scan from its own projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...base.shapes import LineIntegrals
from ...data import Projections
from ...data.projections import require_projections
from ...geometry import Scan, views
from ...geometry.transform import correct, flip_rows, move, reverse_rotation, rotation_matrix
from ..corrections.beam_hardening import linearise
from ..method import Callback
from .axis import axis_estimate
from .epipolar import Epipolar
from .hardening import consistent_percent
from .reprojection import Reprojection
from .result import Calibration, Curve
from .search import NAMES, Corrected, Estimate, Search, binned, row_found
from .steps import Steps
from .trust import LEAST, only_what_helps, the_clearer, with_error_of_hardening, with_floor

_SEARCH_COLS, _FINE_COLS, _MOST_VIEWS = 192, 384, 104
_NARROW_DEG, _HALF_TURN_DEG = 2.0, 179.0
_REPROJECTED_VIEWS, _MANY_VIEWS = 65, 48
_COARSE_COLS, _COARSE_COLS_OF_MANY = 64, 96  # a finer copy gives a better roll; but from 26 views, 96 columns find a wrong axis


def calibrate(
    projections: Projections,
    *,
    fit: Sequence[str] = NAMES,
    sense: bool = True,
    hardening: bool = True,
    search_px: float | None = None,
    most_views: int = _MOST_VIEWS,
    callbacks: Sequence[Callback] = (),
) -> Calibration:
    """Find the rotation axis' column, the optical axis' row, the detector's roll and the sense of rotation from the views themselves.

    Works on any cone-beam scan, full turn or short, with many views or few. What any two views say about the planes through both their
    sources must agree (see `epipolar`): the corrections that make the contradiction smallest are found from coarse to fine. Views that go
    at least half way around then sharpen axis shift and roll, by whether a small reconstruction gives them back (see `reprojection`). A
    hardened beam makes right geometries contradictory too, so the line integrals are straightened for the search by the polynomial that
    makes the views agree best (see `calibration_hardening`; ``hardening`` False leaves them as they are). ``fit`` names the corrections
    that may change (``axis_shift``, ``row_shift``, ``roll``), ``sense`` whether the rotation may be reversed, ``search_px`` how far off
    axis and row may be (default a twentieth of the columns), ``most_views`` how many views are used at most (evenly chosen).
    ``callbacks`` are called with a `Progress` as the search goes on.

    A narrow beam (below 2 deg between the outermost rows, or fewer than 16 rows: fan and parallel beam) has no such planes: only
    axis shift and sense are found there, by reprojection of the middle rows.

    Raises InputError for fewer than 6 views, views that span less than 40 deg, a blank image, or unknown names in ``fit``.
    """
    free = _free(fit)
    if search_px is not None and not (np.isfinite(search_px) and search_px > 0):
        raise InputError(f"search_px is {search_px}", expected="a positive number of detector pixels")
    if most_views < 6:
        raise InputError(f"most_views is {most_views}", expected="6 or more")
    span = _check(require_projections(projections))
    scan = projections.scan
    chosen = projections if len(scan) <= most_views else projections[views.evenly(scan, most_views)]
    chosen, sign = _upright(chosen)
    reach = scan.shape[1] / 20 if search_px is None else float(search_px)
    if scan.cone_angles_deg[1] < _NARROW_DEG or scan.shape[0] < 16:
        return _calibrate_narrow(scan, chosen, free, sense, reach, callbacks)
    return _calibrate_cone(scan, chosen, sign, free, sense, hardening, reach, span, callbacks)


def _upright(projections: Projections) -> tuple[Projections, NDArray[np.float64]]:
    """The same views with the axis along z through the origin and rows upwards, and the signs that corrections found there take."""
    scan, values = projections.scan, projections.values
    axis = scan.axis
    across = np.cross(axis.direction, (0.0, 0.0, 1.0))
    lean = float(np.degrees(np.arctan2(np.linalg.norm(across), axis.direction[2])))
    turn = rotation_matrix(across, lean) if lean > 1e-9 else np.eye(3)
    if lean > 1e-9 or np.abs(axis.point_mm).max() > 1e-9 * scan.dso_mm:
        scan = move(scan, turn, -turn @ axis.point_mm)
    if (scan.v[:, 2] < 0).all():
        return Projections(values[:, ::-1], flip_rows(scan)), np.array([1.0, -1.0, -1.0])
    return Projections(values, scan), np.ones(3)


def _calibrate_cone(
    scan: Scan,
    chosen: Projections,
    sign: NDArray[np.float64],
    free: list[int],
    sense: bool,
    hardening: bool,
    reach: float,
    span: float,
    callbacks: Sequence[Callback],
) -> Calibration:
    cols = scan.shape[1]
    factor, fine = max(1, cols // _SEARCH_COLS), max(1, cols // _FINE_COLS)
    values, small = binned(chosen.values, chosen.scan, factor)
    done = Steps(callbacks, 3 * (1 + sense) + 4)
    found = _both_senses(values, small, free, sense, reach / factor, done)
    best = the_clearer(found)
    if fine < factor:
        values, small = binned(chosen.values, chosen.scan, fine)
        best = best.scaled(factor / fine)
    search, best, percent = _straightened(values, small, free, best, hardening)
    done()
    notes: list[str] = []
    sharp = [which for which in free if NAMES[which] != "row_shift"]
    if sharp and span >= _HALF_TURN_DEG:
        best = _sharpened(Projections(linearise(chosen.values, percent), chosen.scan), best, fine, sharp)
        done()
        if 1 in free:  # the row goes with the axis, which is known better now
            best = _row(values, small, best, percent, 2 in free)
    elif sharp:
        notes.append(f"the views span {span:.0f} deg, less than half a turn: axis shift and roll are from the epipolar test alone")
    scores = {"reversed" if estimate.reverse else "as given": estimate.score for estimate in found} if sense else {}
    done()
    best, left_alone = only_what_helps(search, with_floor(best, small.shape[1], percent))
    notes += left_alone
    before = float(search.scores([np.zeros(3)], False)[0][0])
    score = float(search.scores([best.values], best.reverse)[0][0])
    if before < 0.9 * score:  # an object without structure (a centred ball) misleads the search
        best, score = best.changed(values=np.zeros(3), reverse=False), before
        notes.append("no correction makes the views agree better: the given geometry is kept; is there structure off the axis?")
    curves = {which: (x * sign[which], y) for which, (x, y) in _curves(search, best).items()}
    done()
    best = best.changed(values=best.values * sign, score=score)
    return _result(scan, best, scores, before, curves, search.geometry.pixel_mm, fine, notes, percent)


def _both_senses(values: LineIntegrals, scan: Scan, free: list[int], sense: bool, reach: float, done: Steps) -> list[Estimate]:
    rough = Search(Epipolar(values, scan, 4.0, most_pairs=600), free)
    better = Search(Epipolar(values, scan, 2.0, most_pairs=2000), free)
    found = []
    for reverse in (False, True) if sense else (False,):
        start = rough.grid(reach, 2.0, reverse)
        done()
        start = rough.newton(start, (1.5, 3.0, 0.8), 3)
        done()
        found.append(better.newton(start, (1.0, 2.0, 0.5)))
        done()
    return found


def _straightened(values: LineIntegrals, scan: Scan, free: list[int], best: Estimate, hardening: bool) -> tuple[Search, Estimate, float]:
    """(search, its minimum, percent): geometry and beam hardening in turns, for an error in one biases the other."""
    steps, percent = (0.5, 1.5, 0.3), 0.0
    for _ in range(2 if hardening else 0):
        percent = consistent_percent(values, Corrected(scan)(best.values, best.reverse))
        if not percent:
            break
        best = Search(Epipolar(linearise(values, percent), scan, 1.0, most_pairs=2000), free).newton(best, steps, 1)
    search = Search(Epipolar(linearise(values, percent), scan, 1.0, most_pairs=5000), free)
    return search, search.newton(best, steps), percent


def _sharpened(chosen: Projections, best: Estimate, factor: int, sharp: list[int]) -> Estimate:
    """Axis shift and roll from the reprojection of coarse views; ``best`` is in units of ``factor`` detector pixels."""
    if len(chosen) > _REPROJECTED_VIEWS:
        chosen = chosen[views.evenly(chosen.scan, _REPROJECTED_VIEWS)]
    cols = _COARSE_COLS_OF_MANY if len(chosen) >= _MANY_VIEWS else _COARSE_COLS
    coarse = max(1, round(chosen.scan.shape[1] / cols))
    values, small = binned(chosen.values, chosen.scan, coarse)
    geometry = Corrected(small)
    steps = [(0.1, 0.0, 0.3)[which] for which in sharp]
    test = Reprojection(values, small, refinements=5)  # with 3 the roll comes out up to 0.01 deg worse
    return test.refine(geometry, best.scaled(factor / coarse), sharp, steps).scaled(coarse / factor)


def _row(values: LineIntegrals, scan: Scan, best: Estimate, percent: float, roll_free: bool) -> Estimate:
    """``best`` with its row from straightened views, and an error that knows how much the straightening moved it."""
    found = row_found(linearise(values, percent), scan, best, 5000, roll_free)
    if not percent:
        return found
    return with_error_of_hardening(found, row_found(values, scan, best, 5000, roll_free))


def _curves(search: Search, best: Estimate) -> dict[int, Curve]:
    return {which: search.curve(best, which, (2.0, 4.0, 1.0)[which]) for which in search.free}


def _calibrate_narrow(
    scan: Scan, chosen: Projections, free: list[int], sense: bool, reach: float, callbacks: Sequence[Callback]
) -> Calibration:
    if 0 not in free:
        raise InputError("fit leaves out axis_shift, and a narrow beam has nothing else to fit", expected="'axis_shift' in fit")
    best, scores, before, curve = axis_estimate(chosen, sense, reach, callbacks)
    best, unhelpful = _if_it_helps(with_floor(best, chosen.scan.shape[1]), before)
    note = ["a narrow beam: only the axis shift and the sense of rotation show in it"] if len(free) > 1 else []
    pixel = Corrected(chosen.scan).pixel_mm
    return _result(scan, best, scores, before, {0: curve}, pixel, 1, [*note, *unhelpful])


def _if_it_helps(best: Estimate, before: float) -> tuple[Estimate, list[str]]:
    """The axis shift of a narrow beam, unless it is less than twice its error, or the small reconstruction gives the views back as well
    without.
    """
    value, error = float(best.values[0]), float(best.errors[0])
    if abs(value) >= LEAST * error and (best.reverse or best.score < before):
        return best, []
    return best.changed(values=np.zeros(3)), [f"axis shift {value:+.3f} +- {error:.3f} px is not applied: it is less than twice its error"]


def _result(
    scan: Scan,
    best: Estimate,
    scores: dict[str, float],
    before: float,
    curves: Mapping[int, Curve],
    pixel_mm: NDArray[np.float64],
    factor: int,
    notes: list[str],
    percent: float = 0.0,
) -> Calibration:
    unit = np.array([*pixel_mm, 1.0])
    axis, row, roll = (float(value) for value in best.values * unit)
    names = {which: f"{NAMES[which]}_{'deg' if NAMES[which] == 'roll' else 'mm'}" for which in curves}
    errors = {name: float(best.errors[which] * unit[which]) for which, name in names.items()}
    shown = {names[which]: (x * unit[which], y) for which, (x, y) in curves.items()}
    base = reverse_rotation(scan) if best.reverse else scan
    pixel = float(pixel_mm[0]) / factor
    corrected = correct(base, axis, row, roll)
    return Calibration(corrected, axis, row, roll, best.score, before, best.reverse, errors, shown, scores, percent, pixel, tuple(notes))


def _free(fit: Sequence[str]) -> list[int]:
    for name in fit:
        if name not in NAMES:
            raise UnknownNameError("correction", name, NAMES)
    if not fit:
        raise InputError("fit names no correction", expected=f"one or more of {', '.join(NAMES)}")
    return [i for i, name in enumerate(NAMES) if name in fit]


def _check(projections: Projections) -> float:
    """How far the views go around, in degrees."""
    scan = projections.scan
    if len(scan) < 6:
        raise InputError(f"calibration from {len(scan)} views", expected="6 or more")
    span = float(np.ptp(scan.angles_deg)) * len(scan) / (len(scan) - 1)
    if span < 40:
        raise InputError(f"the views span {span:.3g} deg", expected="40 deg or more", remedy="give more of the scan's views")
    if not np.ptp(projections.values) > 0:
        raise InputError("all pixels have the same value", expected="projections of an object")
    return span
