"""The network of the preset `members`: several of the preset `scales`, whose corrections are averaged.

Each knows some objects better than the others do, and what they get wrong in different ways partly cancels (Hansen and Salamon 1990,
IEEE Trans. Pattern Anal. Mach. Intell. 12, 993). Where one learned on from another, it forgets less than the mean of their weights does.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...base.settings import Count, checked
from ...base.shapes import Float
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
