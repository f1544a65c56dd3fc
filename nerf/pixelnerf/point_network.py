"""From what every view says of a point to its attenuation: the residual network of pixelNeRF, pooled over any number of views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...base.shapes import Bool, Float


class Residual(nn.Module):
    """x + W2 relu(W1 relu(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """Features of the same shape."""
        return x + self.second(torch.relu(self.first(torch.relu(x))))


class PointNetwork(nn.Module):
    """Residual blocks for each view by itself, into which its features are fed again and again; then the views are pooled, and residual
    blocks follow for the point.

    Mean and standard deviation over the views that see the point are pooled, and the number of these views. At the start of training it is
    the published mean (``spread`` and ``count`` are zero), and with ``mean_alone`` it stays so. The order of the views makes no difference.
    """

    def __init__(
        self, point_width: int, view_width: int, width: int, view_blocks: int, joint_blocks: int, mean_alone: bool = False
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(point_width, width)
        self.told = nn.ModuleList(nn.Linear(view_width, width) for _ in range(view_blocks))
        self.apart = nn.ModuleList(Residual(width) for _ in range(view_blocks))
        self.spread, self.count = (nn.Parameter(torch.zeros(width), requires_grad=not mean_alone) for _ in range(2))
        self.joint = nn.ModuleList(Residual(width) for _ in range(joint_blocks))
        self.leave = nn.Linear(width, 1)

    def forward(
        self, point: Float[Tensor, "*each point p"], views: Float[Tensor, "view point v"], seen: Bool[Tensor, "view point"]
    ) -> Float[Tensor, "point"]:
        """The output feature of each point, before its last activation. Views that do not see a point have no say in it.

        ``point`` is what is told of a point: the same to all views [point, p], or to each view its own [view, point, p].
        """
        entered: Tensor = self.enter(point)
        state = entered if entered.ndim == 3 else entered[None]
        for told, block in zip(self.told, self.apart, strict=True):
            state = block(state + told(views))
        pooled = self.pooled(state.expand(len(views), -1, -1), seen)
        for block in self.joint:
            pooled = block(pooled)
        return self.leave(torch.relu(pooled))[:, 0]

    def pooled(self, state: Float[Tensor, "view point width"], seen: Bool[Tensor, "view point"]) -> Float[Tensor, "point width"]:
        """Mean + spread * standard deviation + count / number of views, for each channel; 0 where no view sees the point."""
        weight = seen.to(state.dtype)[..., None]
        number = weight.sum(0)
        mean = (weight * state).sum(0) / number.clamp(min=1)
        variance = (weight * (state - mean) ** 2).sum(0) / number.clamp(min=1)
        deviation = torch.sqrt(variance + 1e-4) - 1e-2
        return mean + self.spread * deviation + self.count * (number > 0) / number.clamp(min=1)
