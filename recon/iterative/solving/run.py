"""What an iterative method is given (`Run`), and how a function of it becomes a method of the library (`iterative_method`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from ....data import Projections
from ....geometry import Grid
from ...method import Callback, MethodFunction, method_function
from ..arrays import Volume, as_numpy
from .data_term import DataTerm
from .protocols import Solver, Values
from .setup import IterativeSettings, data_term, require_room, start_volume
from .solve import solve

P = ParamSpec("P")
G = TypeVar("G", bound=IterativeSettings)
G_co = TypeVar("G_co", bound=IterativeSettings, covariant=True)


@dataclass(frozen=True, eq=False)
class Run(Generic[G_co]):
    """One run of a method: the projections, the grid, the settings, the callbacks, and the data term that is made from them."""

    name: str
    projections: Projections
    grid: Grid
    settings: G_co
    callbacks: Sequence[Callback]
    term: DataTerm

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
        return solve(solver, solver.start(self.start()), iterations, self.callbacks, told, stop)


def run_of(name: str, projections: Projections, grid: Grid, settings: G, callbacks: Sequence[Callback]) -> Run[G]:
    """The run of the method of this name, with its data term."""
    return Run(name, projections, grid, settings, callbacks, data_term(projections, grid, settings))


def iterative_method(Settings: Callable[P, G]) -> Callable[[Callable[[Run[G]], Volume]], MethodFunction[P]]:
    """Make ``name(run)`` callable as ``name(projections, grid, callbacks=(), **settings)``, like every method."""

    def made(method: Callable[[Run[G]], Volume]) -> MethodFunction[P]:
        @functools.wraps(method)
        def run(projections: Projections, grid: Grid, settings: G, callbacks: Sequence[Callback]) -> Volume:
            return as_numpy(method(run_of(method.__name__, projections, grid, settings, callbacks)))

        return method_function(Settings)(run)

    return made
