"""The corrections of a scan that lies on a disk: the numbers of `correct`, with a view or a few rows in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import FloatImage, NewViews
from .apply import Account, Corrections
from .beam_hardening import linearise
from .dead_pixels import find_dead_pixels
from .rings import greed_of, reduce_rings, static_pattern
from .scatter import subtract_scatter
from .smoothing import smooth

_BLOCK_BYTES = 64 << 20
Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def rows_around(settings: Corrections) -> int | None:
    """How many rows on either side a corrected row depends on; None where it takes the whole panel.

    >>> rows_around(Corrections.off()), rows_around(Corrections(dead_pixels=0, smoothing=2)), rows_around(Corrections(rings=5))
    (0, 2, None)
    """
    if settings.dead_pixels or settings.scatter or (settings.rings and settings.ring_method == "static"):
        return None
    return settings.smoothing


def require_by_view(settings: Corrections) -> None:
    """InputError for a correction that needs all views in memory."""
    if settings.bone_hardening:
        raise InputError(
            f"bone_hardening={settings.bone_hardening} of a scan that is reconstructed by slabs",
            expected="0: it reconstructs and projects the whole object before it corrects a view",
            remedy="give --beam-hardening (a polynomial, which works by slabs), or --binning 2, so that the scan fits into memory",
        )


def correct_stored(values: Any, settings: Corrections, done: Callable[[int, int], object] = lambda step, steps: None) -> Account:
    """Correct ``values`` [view, row, col] in place, where that is a `ViewStore` or an array; returns the account that `correct` returns.

    Rows next to a cut (see `rows_around`) come out otherwise than in the whole panel.
    """
    require_by_view(settings)
    account: Account = []
    steps = list(_steps(values, settings))
    for number, (entry, make) in enumerate(steps):
        done(number, len(steps))
        change, facts = make()
        moved = _by_rows(values, change) if entry["step"] == "rings" and settings.ring_method != "static" else _by_view(values, change)
        account.append({**entry, **facts, **moved})
    return account


def _steps(values: Any, settings: Corrections) -> Iterator[tuple[dict[str, Any], Callable[[], tuple[Change, dict[str, Any]]]]]:
    """The steps that are on, in order: what the account says, and what makes the change (after the steps before it were done)."""
    s = settings
    if s.dead_pixels:
        yield {"step": "dead_pixels", "sigmas": s.dead_pixels}, lambda: _without_dead(values, s.dead_pixels)
    if s.rings:
        yield {"step": "rings", "level": s.rings, "method": s.ring_method}, lambda: (_without_rings(values, s), {})
    if s.scatter:
        entry = {"step": "scatter", "fraction": s.scatter, "width": s.scatter_width}
        yield entry, lambda: (lambda view: subtract_scatter(view[None], s.scatter, s.scatter_width)[0], {})
    if s.smoothing:
        entry = {"step": "smoothing", "level": s.smoothing, "kernel": s.smoothing_kernel}
        yield entry, lambda: (lambda view: smooth(view[None], s.smoothing, s.smoothing_kernel)[0], {})
    if s.beam_hardening:
        entry = {"step": "beam_hardening", "percent": s.beam_hardening}
        yield entry, lambda: (lambda view: linearise(view[None], s.beam_hardening)[0], {})


def _without_dead(values: Any, sigmas: float) -> tuple[Change, dict[str, Any]]:
    from ...data.images.pixel_filling import mend_dead

    mask = find_dead_pixels(values, sigmas)
    if mask.all():
        raise InputError("every pixel of the panel is marked as dead", expected="some good pixels to mend from")

    def mend(view: FloatImage) -> FloatImage:
        out = view.copy()
        mend_dead(out, mask)
        return out

    return (mend if mask.any() else lambda view: view), {"mended_pixels": int(mask.sum())}


def _without_rings(values: Any, settings: Corrections) -> Change:
    if settings.ring_method != "static":
        return lambda block: reduce_rings(block, settings.rings, settings.ring_method)
    pattern = static_pattern(values, greed_of(settings.rings)).astype(np.float32)
    return lambda view: view - pattern


def _by_view(values: Any, change: Change) -> dict[str, float]:
    total = squares = 0.0
    for view in range(len(values)):
        old = values[view]
        new = change(old)
        if new is not old:
            difference = np.subtract(new, old, dtype=np.float64)
            total, squares = total + float(difference.sum()), squares + float((difference**2).sum())
            values[view] = new
    return {"mean_change": total / values.size, "rms_change": (squares / values.size) ** 0.5}


def _by_rows(values: Any, change: Callable[[NewViews], NewViews]) -> dict[str, float]:
    """For changes of sinograms: all views of some rows at a time."""
    views, rows, cols = values.shape
    step, total, squares = max(1, _BLOCK_BYTES // (4 * views * cols)), 0.0, 0.0
    for top in range(0, rows, step):
        part = slice(top, min(top + step, rows))
        old = np.asarray(values[:, part])
        new = change(old)
        difference = np.subtract(new, old, dtype=np.float64)
        total, squares = total + float(difference.sum()), squares + float((difference**2).sum())
        values[:, part] = new
    return {"mean_change": total / values.size, "rms_change": (squares / values.size) ** 0.5}
