"""Networks made of several of the preset `scales`: side by side (preset `members`), or one after the other (preset `looks`).

Each member knows some objects better than the others do, and what they get wrong in different ways partly cancels (Hansen and Salamon
1990, IEEE Trans. Pattern Anal. Mach. Intell. 12, 993). Where one learned on from another, it forgets less than the mean of their weights
does.

A corrected volume contradicts the views more than total variation does, which fits them: what they say of the correction is seen only when
it is projected. So a network looks again, at the corrected volume and at what that leaves of the views, beside what was seen before
(networks and projections in turn: Adler and Oktem 2018, IEEE Trans. Med. Imaging 37, 1322). The first look does not change any more when
the second one learns, so that what it makes of a scan is computed once.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ...base.settings import Count, checked
from ...base.shapes import Float
from .network import VOLUMES
from .scales import Convolutions, ScaleNetwork, Scales

MEMBER = "net.members."  # and a number: what the names of a member's weights begin with


@checked(of="tvnet")
class Members:
    """The channels on the three scales of each member of a `MemberNetwork`, and how many members there are; a checkpoint fits one set."""

    fine: Count = 16
    middle: Count = 32
    coarse: Count = 48
    members: Count = 2


class MemberNetwork(Convolutions):
    """Networks of one size, each with weights of its own."""

    def __init__(self, a: Members) -> None:
        super().__init__()
        self.members = nn.ModuleList(ScaleNetwork(Scales(a.fine, a.middle, a.coarse)) for _ in range(a.members))

    def forward(self, region: Float[Tensor, "*scans volume z y x"], facts: Float[Tensor, "*scans facts"]) -> Float[Tensor, "*scans z y x"]:
        """The mean correction of each voxel; it and the region are in units of the object's grey scale (dimensionless)."""
        found = self.members[0](region, facts)
        for member in list(self.members)[1:]:
            found = found + member(region, facts)
        return found / len(self.members)


@checked(of="tvnet")
class Looks(Members):
    """The same for each look of a `LookNetwork`, how many members the first one has, and how many looks there are; each that follows the
    first has one network. A checkpoint fits one set.
    """

    looks: Annotated[int, Field(ge=2, description="2 or more")] = 2


class LookAgain(ScaleNetwork):
    """A network of the preset `scales` that sees what networks before it made: the corrected volume and what that leaves of the views, and
    the volume and what it left before they corrected it.
    """

    def __init__(self, a: Scales) -> None:
        super().__init__(a, 2 * VOLUMES)

    def forward(self, region: Float[Tensor, "*scans volume z y x"], facts: Float[Tensor, "*scans facts"]) -> Float[Tensor, "*scans z y x"]:
        """The correction of each voxel of the first volume; it and the region are in units of the object's grey scale (dimensionless)."""
        if region.ndim == 4:
            return self(region[None], facts[None])[0]
        better, left, volume, rest = region.unbind(1)
        return super().forward(torch.stack([better, left, volume - better, rest], 1), facts)


class LookNetwork(Convolutions):
    """Members whose mean correction comes first, and networks that look again one after the other. It answers as the last of them does."""

    def __init__(self, a: Looks) -> None:
        super().__init__()
        self.first = MemberNetwork(a)
        self.again = nn.ModuleList(LookAgain(Scales(a.fine, a.middle, a.coarse)) for _ in range(a.looks - 1))
        for look in self.before:
            look.requires_grad_(False)

    @property
    def before(self) -> tuple[Convolutions, ...]:
        """The looks before the last one, which learn no more."""
        return (self.first, *list(self.again)[:-1])  # type: ignore[arg-type]

    def forward(self, region: Float[Tensor, "*scans volume z y x"], facts: Float[Tensor, "*scans facts"]) -> Float[Tensor, "*scans z y x"]:
        """The last look's correction of the first volume; it and the region are in units of the object's grey scale (dimensionless)."""
        return self.again[-1](region, facts)
