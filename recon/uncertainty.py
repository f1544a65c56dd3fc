"""How far a volume would move had other views, or other photons, been measured: standard deviations by resampling, for any method."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import InputError, UnknownNameError
from ..base.shapes import Float, Volume, VolumeMask
from ..data import Projections, Reconstruction
from ..geometry import Grid
from .method import Callback, Method, load_method
from .physics.noise import noise_level, ray_variance
from .run_method import reconstruct


def resampled_std(
    projections: Projections,
    method: str | Method | Callable[..., Any] = "fdk",
    grid: Grid | None = None,
    *,
    kind: str = "views",
    replicas: int = 8,
    seed: int = 0,
    scale: float = 1.0,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Reconstruction:
    """The reconstruction of all views, with ``std`` [z, y, x] in 1/mm: the standard deviation of each voxel, by resampling the data.

    ``kind`` "views": the delete-a-group jackknife (Shao and Wu 1989). The views are dealt in turn to ``replicas`` groups, one group is
    left out at a time, and ``std^2 = (g - 1) / g sum (x_k - mean)^2``: noise and sparse-view artefacts together. "rays": the parametric
    bootstrap (Efron and Tibshirani 1993, section 6.5): noise of the variance that the counts (or the data's finest ripple) tell is added
    to every ray; noise alone.

    What the method chose for itself on all the views (lambda, iterations, ...) is kept in the replicas, so they cost no tuning.
    ``callbacks`` follow the first run. Neither kind knows a bias that all replicas share: `coverage` measures what the intervals are worth,
    and ``scale`` multiplies ``std`` by the factor that was found so where the truth is known (`fewview bench intervals`; it is recorded).

    Raises InputError for fewer than 2 replicas, or fewer than 2 views a group left over; UnknownNameError for another kind.
    """
    if kind not in ("views", "rays"):
        raise UnknownNameError("kind of resampling", kind, ["views", "rays"])
    if int(replicas) != replicas or replicas < 2:
        raise InputError(f"replicas is {replicas}", expected="a whole number of 2 or more")
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}", expected="a positive factor")
    count = len(projections)
    if kind == "views" and (replicas > count or count - -(-count // replicas) < 2):
        raise InputError(
            f"{replicas} groups of {count} views", expected="at most one group a view, and two views left when one group is out"
        )
    chosen = load_method(method)
    rec = reconstruct(projections, chosen, grid, callbacks, **settings)
    fixed = chosen_settings(rec, chosen, settings)
    volumes = (reconstruct(p, chosen, rec.grid, check=False, **fixed).volume for p in _resampled(projections, kind, int(replicas), seed))
    mean, squares = moments(volumes, rec.grid.shape)
    factor = (replicas - 1) / replicas if kind == "views" else 1 / (replicas - 1)
    std = (scale * np.sqrt(squares * factor)).astype(np.float32)
    shift = float(np.abs(mean - rec.volume).mean())
    record = {**rec.settings, "std_kind": kind, "std_replicas": int(replicas), "std_scale": float(scale), "std_shift": shift}
    return dataclasses.replace(rec, std=std, settings=record)


def chosen_settings(rec: Reconstruction, method: Method, given: dict[str, Any]) -> dict[str, Any]:
    """The settings for another run like this one: those given, and those left to the method as it chose them."""
    fixed = dict(given)
    for f in dataclasses.fields(method.Settings):
        if f.init and given.get(f.name) is None and f.name in rec.settings and f.default is None:
            fixed[f.name] = rec.settings[f.name]
    return fixed


def _resampled(projections: Projections, kind: str, replicas: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    variance = ray_variance(projections)
    sd = np.float32(noise_level(projections)) if variance is None else np.sqrt(variance)
    for k in range(replicas):
        if kind == "views":
            yield projections[np.arange(len(projections)) % replicas != k]
        else:
            noise = sd * rng.standard_normal(projections.values.shape, dtype=np.float32)
            yield Projections(projections.values + noise, projections.scan, projections.meta)


def moments(volumes: Any, shape: tuple[int, ...]) -> tuple[Float[NDArray[np.float64], "z y x"], Float[NDArray[np.float64], "z y x"]]:
    """The mean of volumes [z, y, x] and the sum of squared deviations from it (Welford 1962), in their unit and its square; one volume at a
    time is in memory.
    """
    mean, squares = np.zeros(shape), np.zeros(shape)
    for count, volume in enumerate(volumes, 1):
        change = volume - mean
        mean += change / count
        squares += change * (volume - mean)
    return mean, squares


def coverage(volume: Volume, std: Volume, truth: Volume, level: float = 0.9, mask: VolumeMask | None = None) -> tuple[float, float]:
    """What an interval of nominal ``level`` is worth where the truth is known: (share of voxels inside, factor on ``std`` to make it so).

    The interval is ``volume +- z std`` with z the normal quantile; a factor above 1 means that ``std`` is too small, a bias included.

    >>> rng = np.random.default_rng(0)
    >>> truth = np.zeros((20, 20, 20), np.float32)
    >>> share, factor = coverage(rng.normal(0, 2, truth.shape), np.ones_like(truth), truth)
    >>> round(share, 1), round(factor, 1)
    (0.6, 2.0)
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}", expected="a probability between 0 and 1, such as 0.9")
    if not volume.shape == std.shape == truth.shape:
        raise InputError(f"shapes are {volume.shape}, {std.shape} and {truth.shape}", expected="the same shape for volume, std and truth")
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    inside = np.ones(volume.shape, bool) if mask is None else mask
    error, spread = np.abs(volume - truth)[inside], z * std[inside]
    share = float((error <= spread).mean())
    ratio = np.where(spread > 0, error / np.maximum(spread, 1e-30), np.where(error > 0, math.inf, 0.0))
    return share, float(np.quantile(ratio, level))
