"""What an iterative method is given (`Run`), and how a function of it becomes a method of the library (`iterative_method`)."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from ....data import Projections
from ....data.multiresolution import bin_detector, bin_projections
from ....geometry import Grid
from ...analytic.feldkamp import fdk
from ...method import Callback, MethodFunction, method_function
from ..arrays import Volume, as_numpy
from ..region.beside import SEEN_BESIDE, attenuation_beside, covers_what_is_seen
from ..region.region import Region, region_of
from .data_term import DataTerm
from .protocols import Solver, Values
from .setup import IterativeSettings, data_term, ray_weights, require_room, start_volume
from .solve import solve

P = ParamSpec("P")
G = TypeVar("G", bound=IterativeSettings)
G_co = TypeVar("G_co", bound=IterativeSettings, covariant=True)


@dataclass(frozen=True, eq=False)
class Run(Generic[G_co]):
    """One run of a method: the projections, the grid, the settings, the callbacks, and the data term that is made from them.

    ``told`` are facts for the record. Where the grid is a region of a larger object, ``whole`` are the settings that were chosen for the
    object as a whole, and callbacks see the part ``shown`` of the volume. In the run of that whole, ``coarser`` is the ratio of its voxels
    to those of the region.
    """

    name: str
    projections: Projections
    grid: Grid
    settings: G_co
    callbacks: Sequence[Callback]
    term: DataTerm
    told: Mapping[str, Any] = field(default_factory=dict)
    whole: Mapping[str, Any] = field(default_factory=dict)
    shown: tuple[slice, ...] = ()
    coarser: int = 1

    def require_room(self, volumes: float, rays: float = 0) -> None:
        """InputError where the memory cannot hold so many volumes, and so many numbers for each ray, beside the data."""
        require_room(self.term, volumes, rays, self.name)

    def start(self) -> Volume:
        """The volume [z, y, x] in 1/mm to begin with."""
        return start_volume(self.projections, self.grid, self.settings, self.term)

    def solve(
        self,
        solver: Solver[Any],
        iterations: int,
        told: Mapping[str, Any] | None = None,
        stop: Callable[[Values], str | None] | None = None,
    ) -> Volume:
        """The volume [z, y, x] in 1/mm after so many steps from the start; ``told`` and ``stop`` are those of the function `solve`."""
        return solve(solver, solver.start(self.start()), iterations, self.callbacks, {**(told or {}), **self.told}, stop, self.shown)


def run_of(name: str, projections: Projections, grid: Grid, settings: G, callbacks: Sequence[Callback]) -> Run[G]:
    """The run of the method of this name, with its data term."""
    return Run(name, projections, grid, settings, callbacks, data_term(projections, grid, settings))


@dataclass(frozen=True, eq=False)
class Whole:
    """A coarse ``volume`` [z, y, x] in 1/mm of a whole object, of which a grid is the ``region``. ``chosen`` are the settings that were
    chosen for it, and ``told`` says in the record what was done.
    """

    region: Region
    volume: Volume
    chosen: Mapping[str, Any]
    told: Mapping[str, Any]


def inside_the_whole(
    name: str, method: Callable[[Run[G]], Volume], projections: Projections, grid: Grid, settings: G, callbacks: Sequence[Callback]
) -> Volume:
    """The volume [z, y, x] in 1/mm on the grid. Where the views show an object that is larger than the grid, the method first makes a
    coarse volume of the whole, whose line integrals outside the grid are subtracted from the views (see `region.region`).
    """
    whole = whole_around(name, method, projections, grid, settings)
    if whole is None:
        return as_numpy(method(run_of(name, projections, grid, settings, callbacks)))
    return np.ascontiguousarray(within_whole(name, method, projections, whole, settings, callbacks)[whole.region.cut])


def whole_around(name: str, method: Callable[[Run[G]], Volume], projections: Projections, grid: Grid, settings: G) -> Whole | None:
    """The whole object, coarsely by the method; None where the grid holds all that the views show, or the rest is to be ignored."""
    if settings.outside == "ignore" or covers_what_is_seen(projections, grid):
        return None
    beside = attenuation_beside(projections, grid)
    if beside < SEEN_BESIDE:
        return None
    region = region_of(projections.scan, grid)
    begin, chosen = time.perf_counter(), {}
    small = bin_projections(projections, region.factor)
    listener: Callback = lambda progress: chosen.update(progress.resolved)  # noqa: E731
    outer = _for_the_whole(settings, region.factor)
    coarse = Run(name, small, region.whole, outer, (listener,), data_term(small, region.whole, outer), coarser=region.factor)
    volume = as_numpy(method(coarse))
    return Whole(region, volume, chosen, region.described(name, beside, time.perf_counter() - begin))


def within_whole(
    name: str, method: Callable[[Run[G]], Volume], projections: Projections, whole: Whole, settings: G, callbacks: Sequence[Callback]
) -> Volume:
    """The volume [z, y, x] in 1/mm of a region of the whole with its margin; callbacks see the part that was asked for."""
    region = whole.region
    views = region.without_outside(region.window.views(projections), whole.volume)
    inner = _for_the_region(settings, projections, region)
    run = Run(name, views, region.grid, inner, callbacks, data_term(views, region.grid, inner), whole.told, whole.chosen, region.cut)
    return as_numpy(method(run))


def _reference_of(settings: IterativeSettings) -> Any:
    """The earlier volume [z, y, x] in 1/mm, of a method that takes one."""
    return getattr(settings, "reference", None)


def _for_the_whole(settings: G, factor: int) -> G:
    """The settings of the coarse run. Arrays on the grid say nothing of the whole; weights of rays are binned as the views are."""
    changes: dict[str, Any] = {"outside": "ignore"}
    changes |= {"reference": None} if _reference_of(settings) is not None else {}
    changes |= {name: default for name, default in (("start", "fdk"), ("mask", None)) if not isinstance(getattr(settings, name), str)}
    if settings.weights is not None and not isinstance(settings.weights, str):
        changes["weights"] = bin_detector(np.asarray(settings.weights, np.float32), factor)
    return dataclasses.replace(settings, **changes)


def _for_the_region(settings: G, projections: Projections, region: Region) -> G:
    """The settings of the run on the region with its margin. What follows from the views is taken from those that were measured."""
    changes: dict[str, Any] = {"outside": "ignore"}
    if (reference := _reference_of(settings)) is not None:
        changes["reference"] = region.with_margin(reference)
    if not isinstance(settings.start, str):
        changes["start"] = region.with_margin(settings.start)
    elif settings.start == "fdk":
        changes["start"] = fdk(projections, region.grid)
    if isinstance(settings.mask, str):
        changes["mask"] = region.grid.in_cylinder(projections.scan)
    elif settings.mask is not None:
        changes["mask"] = region.with_margin(settings.mask, fill=True)
    weights = ray_weights(projections, settings.weights)
    if weights is not None:
        changes["weights"] = region.window.of(weights)
    return dataclasses.replace(settings, **changes)


def iterative_method(Settings: Callable[P, G]) -> Callable[[Callable[[Run[G]], Volume]], MethodFunction[P]]:
    """Make ``name(run)`` callable as ``name(projections, grid, callbacks=(), **settings)``, like every method."""

    def made(method: Callable[[Run[G]], Volume]) -> MethodFunction[P]:
        @functools.wraps(method)
        def run(projections: Projections, grid: Grid, settings: G, callbacks: Sequence[Callback]) -> Volume:
            return inside_the_whole(method.__name__, method, projections, grid, settings, callbacks)

        return method_function(Settings)(run)

    return made
