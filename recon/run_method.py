"""`reconstruct`: the one front door to every method."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..base import InputError
from ..data import Projections, Reconstruction
from ..data.projections import require_projections
from ..data.self_check import DOUBTFUL, WRONG, SelfCheck
from ..geometry import Grid
from ..geometry.grid import require_grid
from .method import Callback, Method, Progress, StopRun, Volume, load_method


def reconstruct(
    projections: Projections,
    method: str | Method | Callable[..., Any] = "fdk",
    grid: Grid | None = None,
    callbacks: Sequence[Callback] = (),
    *,
    check: bool = True,
    **settings: Any,
) -> Reconstruction:
    """Reconstruct a volume in 1/mm from projections.

    ``method`` is a name in METHODS, ``file.py:function``, a Method or a function ``(projections, grid) -> volume``; ``grid`` defaults to
    ``Grid.fit(projections.scan)``; ``callbacks`` are called with a `Progress` at each step; ``settings`` are the method's own.

    ``check``: afterwards ask a few views whether they agree with the volume and with each other, warn where they do not, and keep the
    answer as ``rec.check`` (see `selfcheck.check.self_check`; False, for benchmarks with thousands of small runs, leaves it None).

    A callback ends the run with ``raise StopRun("reason")``: the volume as it is then is the result, and ``settings["stopped"]`` says so.
    Ctrl-C after the first step of a method that shows its volumes ends the run and returns the last whole volume, with
    ``settings["interrupted"]`` the step it is from; before that, KeyboardInterrupt goes on to the caller.

    Raises InputError for something that is no projections or no grid, for an unknown method or setting, and for a method that returns
    the wrong shape, NaN or Inf.
    """
    projections = require_projections(projections)
    chosen = load_method(method)
    given = chosen.settings(**settings)
    grid = Grid.fit(projections.scan) if grid is None else require_grid(grid)
    history: list[dict[str, Any]] = []
    resolved: dict[str, Any] = {}
    latest: list[Progress] = []
    start = time.perf_counter()

    def record(progress: Progress) -> None:
        resolved.update(progress.resolved)
        if progress.has_volume:
            latest[:] = [progress]
        history.append({"step": progress.step, "seconds": time.perf_counter() - start, **progress.values})

    def heard(callback: Callback) -> Callback:
        def call(progress: Progress) -> None:
            try:
                callback(progress)
            except StopRun as stop:
                resolved["stopped"] = f"by a callback{f' ({stop})' if str(stop) else ''}, at step {progress.step}"
                raise

        return call

    try:
        volume = np.asarray(chosen.run(projections, grid, given, (record, *map(heard, callbacks))))
    except StopRun:  # the method does not end by itself
        if not latest:
            raise InputError(
                f"a callback stopped {chosen.name} before it had a volume", expected="a method that shows its volumes, or a later stop"
            ) from None
        volume = np.array(latest[0].volume)
    except KeyboardInterrupt:
        if not latest:
            raise
        volume = np.array(latest[0].volume)
        resolved["interrupted"] = latest[0].step
    seconds = time.perf_counter() - start
    if volume.shape != grid.shape:
        raise InputError(f"method {chosen.name} returned shape {volume.shape}", expected=f"{grid.shape} (z, y, x), as the grid says")
    if volume.dtype.kind not in "biuf":
        raise InputError(f"method {chosen.name} returned values of type {volume.dtype}", expected="real numbers, in 1/mm")
    volume = np.ascontiguousarray(volume, dtype=np.float32)
    if not np.isfinite(volume).all():
        bad = int(np.count_nonzero(~np.isfinite(volume)))
        raise InputError(f"method {chosen.name} returned {bad} voxels that are NaN or Inf", expected="a finite volume")
    used = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)} | resolved
    checked = None
    if check:  # two seconds are left to an interrupted run, and the volume comes first
        checked = _UNCHECKED if "interrupted" in resolved else _checked(projections, _without_learned_grey(volume, used), grid)
    return Reconstruction(volume, grid, projections.scan, chosen.name, used, tuple(history), seconds, check=checked)


def _without_learned_grey(volume: Volume, used: Mapping[str, Any]) -> Volume:
    """The volume [z, y, x] in 1/mm as bright as the views say: a method that learned another grey scale says in ``used["grey"]`` how many
    times as bright its volume is.
    """
    grey = float(used.get("grey", 1.0))
    return volume if grey == 1 else volume / np.float32(grey)


_UNCHECKED = SelfCheck(float("nan"), "interrupted: the volume was not checked against its views", DOUBTFUL)


def _checked(projections: Projections, volume: Volume, grid: Grid) -> SelfCheck:
    """The self-check; a fault in it is said and recorded, and does not cost the volume that may have taken hours."""
    from .selfcheck.check import self_check

    try:
        found = self_check(projections, volume, grid)
    except KeyboardInterrupt:
        return _UNCHECKED
    except Exception as error:
        message = f"FAILED ({type(error).__name__}: {error}): the volume was not checked against its views"
        found = SelfCheck(float("nan"), message, WRONG)
    if found.level == WRONG:
        warnings.warn(f"self-check: {found.message}", stacklevel=3)
    return found


def thinned_history(history: Sequence[Mapping[str, Any]], most: int = 100) -> list[dict[str, Any]]:
    """At most ``most`` entries of a history, evenly spread, the first and the last among them: for a record or a plot.

    >>> [h["step"] for h in thinned_history([{"step": k} for k in range(1, 1001)], most=4)]
    [1, 334, 667, 1000]
    """
    keep = np.unique(np.linspace(0, len(history) - 1, min(most, len(history))).round().astype(int))
    return [dict(history[k]) for k in keep]
