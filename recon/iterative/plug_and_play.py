"""Plug and play: any function that denoises a volume takes the place of a prior's proximal map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ...base import InputError
from ...base.settings import checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, Method
from .solving import DataTerm, IterativeSettings, State, Values, Volume, beside, copied, module_of
from .solving.run import Run, inside_the_whole
from .solving.step_sizes import largest_eigenvalue, next_momentum

Denoise = Callable[[Volume], Volume]


@checked(of="plug_and_play")
class PlugAndPlaySettings(IterativeSettings):
    """Settings of a plug-and-play method. Each step goes the share ``relaxation``, in (0, 1], of the way to the denoised volume."""

    relaxation: Annotated[float, Field(gt=0, le=1)] = 1.0


@dataclass
class PlugAndPlayState(State):
    """The last two volumes and the momentum."""

    before: Volume
    momentum: float = 1.0


class PlugAndPlaySolver:
    """x <- P[(1 - r) z + r D(z)], z = y - A' W (A y - b) / L, y extrapolated as in FISTA (Kamilov, Mansour, Wohlberg 2017).

    The momentum starts again whenever the step turns back (O'Donoghue and Candes 2015): a denoiser need not minimise any function.
    """

    def __init__(self, term: DataTerm, denoise: Denoise, relaxation: float = 1.0) -> None:
        self.term, self.denoise, self.relaxation = term, denoise, relaxation
        self.lipschitz = largest_eigenvalue(term)

    def start(self, x: Volume) -> PlugAndPlayState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        return PlugAndPlayState(copied(x), copied(x))

    def step(self, s: PlugAndPlayState) -> Values:
        """One iteration; the residual is that of the extrapolated volume."""
        momentum = next_momentum(s.momentum)
        y = s.x + (s.x - s.before) * ((s.momentum - 1) / momentum)
        data, slope = self.term.gradient(y)
        z = y - slope / self.lipschitz
        smooth = beside(self.denoise(z), z)
        finite = bool(module_of(z).isfinite(smooth).all())
        if smooth.shape != z.shape or not finite:
            raise InputError(f"the denoiser returned shape {tuple(smooth.shape)}, finite: {finite}", expected=f"{tuple(z.shape)}, finite")
        x = self.term.project(z + (smooth - z) * self.relaxation)
        turned = float(((y - x) * (x - s.x)).sum(dtype=module_of(x).float64)) > 0
        s.x, s.before, s.momentum, s.count = x, s.x, 1.0 if turned else momentum, s.count + 1
        return {"residual": math.sqrt(2 * data)}


def plug_and_play(denoise: Denoise, name: str = "plug_and_play") -> Method:
    """A method that uses ``denoise(volume) -> volume`` ([z, y, x] float32, 1/mm) as its prior, ready for `reconstruct`.

    >>> from scipy.ndimage import median_filter
    >>> plug_and_play(lambda volume: median_filter(volume, 3)).name
    'plug_and_play'
    """
    if not callable(denoise):
        raise InputError(f"the denoiser is a {type(denoise).__name__}", expected="a function volume -> volume")

    def run(projections: Projections, grid: Grid, settings: PlugAndPlaySettings, callbacks: Sequence[Callback]) -> Volume:
        return inside_the_whole(name, method, projections, grid, settings, callbacks)

    def method(made: Run[PlugAndPlaySettings]) -> Volume:
        return made.solve(PlugAndPlaySolver(made.term, denoise, made.settings.relaxation), made.settings.iterations or 30)

    return Method(name, run, PlugAndPlaySettings, reference="Kamilov, Mansour, Wohlberg, IEEE Signal Process. Lett. 24 (2017) 1872")
