"""The corrections of the views, in order: of an array, or of a scan that lies on a disk, with a view or a few rows in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import FloatImage, NewViews
from ...data.scans.view_store import ViewStore
from ...geometry import Grid, Scan
from .beam_hardening import linearise, search_grid, two_materials
from .dead_pixels import find_dead_pixels
from .rings import greed_of, reduce_rings, static_pattern
from .scatter import subtract_scatter
from .settings import Account, Corrections, tube_of
from .smoothing import smooth

_BLOCK_BYTES = 64 << 20
Views: TypeAlias = NDArray[np.float32] | ViewStore  # line integrals [view, row, col]
Change = Callable[[int, FloatImage], FloatImage]  # (number of the view, its line integrals) -> new ones, or the same object


def rows_around(settings: Corrections) -> int | None:
    """How many rows on either side a corrected row depends on; None where it takes the whole panel.

    >>> rows_around(Corrections.off()), rows_around(Corrections(dead_pixels=0, smoothing=2)), rows_around(Corrections(rings=5))
    (0, 2, None)
    """
    if settings.dead_pixels or settings.scatter or settings.bone_hardening or (settings.rings and settings.ring_method == "static"):
        return None
    return settings.smoothing


def corrected(
    values: Views,
    scan: Scan,
    settings: Corrections,
    meta: Mapping[str, Any],
    grid: Grid | None = None,
    done: Callable[[int, int], object] = lambda step, steps: None,
) -> tuple[Views, Account]:
    """(line integrals, account) after every step that is on. A `ViewStore` is changed in place; an array is copied before its first change.

    In a store that holds a part of the panel, rows next to a cut (see `rows_around`) come out otherwise than in the whole. ``meta`` says
    what the settings leave to the scan, and ``grid`` is for `search_grid`; ``done`` is called with the number of steps that are done.
    """
    account: Account = []
    steps = [step for step in _steps(scan, settings, meta, grid) if step[0]]
    own = isinstance(values, ViewStore)
    for number, (_, entry, act) in enumerate(steps):
        done(number, len(steps))
        facts, values, own = act(values, own)
        account.append({**entry, **facts})
    return values, account


Act = Callable[[Views, bool], tuple[dict[str, Any], Views, bool]]
"""(values, whether they may be changed in place) -> (facts for the account, new values, whether these may be)."""


def _steps(scan: Scan, s: Corrections, meta: Mapping[str, Any], grid: Grid | None) -> Iterator[tuple[bool, dict[str, Any], Act]]:
    """All steps in their order: whether each is on, what the account says of it, and what it does. This is the one place of the order."""
    yield s.dead_pixels > 0, {"step": "dead_pixels", "sigmas": s.dead_pixels}, partial(_without_dead, s.dead_pixels)
    yield s.rings > 0, {"step": "rings", "level": s.rings, "method": s.ring_method}, partial(_without_rings, s)
    scatter = _each(lambda view: subtract_scatter(view, s.scatter, s.scatter_width))
    yield s.scatter > 0, {"step": "scatter", "fraction": s.scatter, "width": s.scatter_width}, scatter
    smoothed = _each(lambda view: smooth(view, s.smoothing, s.smoothing_kernel))
    yield s.smoothing > 0, {"step": "smoothing", "level": s.smoothing, "kernel": s.smoothing_kernel}, smoothed
    yield s.beam_hardening > 0, {"step": "beam_hardening", "percent": s.beam_hardening}, _each(lambda v: linearise(v, s.beam_hardening))
    entry = {"step": "bone_hardening", "passes": s.bone_hardening, "reference_kev": s.reference_kev}
    yield s.bone_hardening > 0, entry, partial(_without_bone_hardening, s, scan, meta, grid)


def _each(change: Callable[[NewViews], NewViews]) -> Act:
    """A step that treats every view by itself; ``change`` takes a stack of one."""
    return lambda values, own: _by_view(values, own, lambda number, view: change(view[None])[0])


def _without_dead(sigmas: float, values: Views, own: bool) -> tuple[dict[str, Any], Views, bool]:
    from ...data.images.pixel_filling import mend_dead

    mask = find_dead_pixels(values, sigmas)
    if mask.all():
        raise InputError("every pixel of the panel is marked as dead", expected="some good pixels to mend from")

    def mend(number: int, view: FloatImage) -> FloatImage:
        out = view.copy()
        mend_dead(out, mask)
        return out

    facts, values, own = _by_view(values, own, mend if mask.any() else lambda number, view: view)
    return {"mended_pixels": int(mask.sum()), **facts}, values, own


def _without_rings(s: Corrections, values: Views, own: bool) -> tuple[dict[str, Any], Views, bool]:
    if s.ring_method != "static":
        return _by_rows(values, own, lambda block: reduce_rings(block, s.rings, s.ring_method))
    pattern = static_pattern(values, greed_of(s.rings)).astype(np.float32)
    return _by_view(values, own, lambda number, view: view - pattern)


def _without_bone_hardening(
    s: Corrections, scan: Scan, meta: Mapping[str, Any], grid: Grid | None, values: Views, own: bool
) -> tuple[dict[str, Any], Views, bool]:
    (beam, spectrum), where = tube_of(s, meta), search_grid(scan, grid)
    straight = two_materials(values, scan, spectrum, where, reference_kev=s.reference_kev, passes=s.bone_hardening)
    facts, values, own = _by_view(values, own, lambda number, view: straight(slice(number, number + 1), view[None])[0])
    return {**beam, "voxel_mm": where.voxel_mm, **facts}, values, own


def _by_view(values: Views, own: bool, change: Change) -> tuple[dict[str, Any], Views, bool]:
    total = squares = 0.0
    for view in range(len(values)):
        old = values[view]
        new = change(view, old)
        if new is not old:
            first, second = _sums(old, new)
            total, squares = total + first, squares + second
            values, own = values if own else np.array(values, np.float32), True
            values[view] = new
    return _moved(total, squares, values.size), values, own


def _by_rows(values: Views, own: bool, change: Callable[[NewViews], NewViews]) -> tuple[dict[str, Any], Views, bool]:
    """For changes of sinograms: all views of some rows at a time."""
    views, rows, cols = values.shape
    step, total, squares = max(1, _BLOCK_BYTES // (4 * views * cols)), 0.0, 0.0
    values = values if own else np.array(values, np.float32)
    for top in range(0, rows, step):
        part = slice(top, min(top + step, rows))
        old = np.ascontiguousarray(values[:, part])
        new = change(old)
        first, second = _sums(old, new)
        total, squares = total + first, squares + second
        values[:, part] = new
    return _moved(total, squares, values.size), values, True


def change_of(old: NDArray[np.float32], new: NDArray[np.float32]) -> dict[str, float]:
    """The mean and the root mean square of a change of an array of any shape and unit, in that unit; a part of it at a time."""
    sums = [_sums(a, b) for a, b in zip(old, new, strict=True)]
    return _moved(sum(first for first, _ in sums), sum(second for _, second in sums), old.size)


def _sums(old: NDArray[np.float32], new: NDArray[np.float32]) -> tuple[float, float]:
    """The sum of the changes, and of their squares."""
    difference = np.subtract(new, old, dtype=np.float64)
    return float(difference.sum()), float((difference**2).sum())


def _moved(total: float, squares: float, size: int) -> dict[str, float]:
    return {"mean_change": total / size, "rms_change": (squares / size) ** 0.5}
