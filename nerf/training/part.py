"""What a trained network is given where the grid is a part of the object that the views show: each method names one of three rules.

Some need nothing (`as_they_are`): `pixelnerf` asks the views point by point, and `unet` begins with FDK, of which a part is a cut of the
whole, and with `pdhg_tv`, which takes away what lies outside by itself. A network that explains the views by the voxels of the grid needs
them `without_the_rest`. One that makes whole objects is `refused` a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ...base.memory import require_memory
from ...data import Projections
from ...geometry import Grid
from ...recon.corrections.prepared import straightened
from ...recon.iterative.pdhg_tv import PdhgTvSettings, minimised
from ...recon.iterative.region.beside import require_whole_object
from ...recon.iterative.solving.run import whole_around


@dataclass(frozen=True, eq=False)
class Part:
    """What a network works on: the views, and a grid of which ``cut`` is what was asked for. ``told`` says in the record what was done."""

    projections: Projections
    grid: Grid
    cut: tuple[slice, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)


PartRule = Callable[[str, nn.Module, Projections, Grid], Part]


def refused(name: str, module: nn.Module, projections: Projections, grid: Grid) -> Part:
    """The views and the grid as they are; InputError where the views show more than the grid holds."""
    require_whole_object(projections, grid, name, "use pdhg_tv or tvnet, which take away what lies outside, or leave --box out")
    return Part(projections, grid)


def as_they_are(name: str, module: nn.Module, projections: Projections, grid: Grid) -> Part:
    """The views and the grid as they are."""
    return Part(projections, grid)


def without_the_rest(name: str, module: Any, projections: Projections, grid: Grid) -> Part:
    """The views without what `pdhg_tv` finds outside the grid, as it does for itself, and the grid with a margin.

    They are straightened first, by what the architecture of the network states: the beam hardened on its way through all of the object.
    Views that show nothing beside the grid are left as they are, and so is the grid.
    """
    straight = straightened(projections, module.architecture.hardening)
    whole = whole_around("pdhg_tv", minimised, straight, grid, PdhgTvSettings())
    if whole is None:
        return Part(projections, grid)
    require_memory(projections.values.nbytes, "the views without what lies outside the grid", "use fewer views, or bin their pixels")
    views = whole.region.without_outside(straight, whole.volume)
    return Part(views, whole.region.grid, whole.region.cut, whole.told)
