"""A geometry that is refined together with a field: the deviations of the detector from its nominal pose, as a few
numbers with gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ...base import UnknownNameError
from .rendering import Pose

PARTS = ("axis", "roll", "drift")


class Refinement(nn.Module):
    """Corrections of a pose: ``axis`` is one shift along the columns, ``roll`` one turn about the normal, and ``drift`` shifts (u, v) for
    each view.

    Shifts are kept in pixels of the pose and the roll in units of 0.1 deg, so that one learning rate suits all. The drift has mean zero,
    because a common shift belongs to the axis. ``pixels`` (along u, along v) says how many pixels of the detector one of the pose spans,
    where the pose was binned; what was `found` is in pixels of the detector.
    """

    def __init__(self, nominal: Pose, parts: Sequence[str], pixels: tuple[float, float] = (1.0, 1.0)) -> None:
        super().__init__()
        for part in parts:
            if part not in PARTS:
                raise UnknownNameError("geometry to refine", part, PARTS)
        self.nominal, self.parts, self.pixels = nominal, tuple(parts), pixels
        self.axis = nn.Parameter(torch.zeros(()), requires_grad="axis" in parts)
        self.roll = nn.Parameter(torch.zeros(()), requires_grad="roll" in parts)
        self.drift = nn.Parameter(torch.zeros(len(nominal.source), 2), requires_grad="drift" in parts)

    def pose(self) -> Pose:
        """The corrected pose, or the nominal one, unchanged, when nothing is refined."""
        if not self.parts:
            return self.nominal
        pose, drift = self.nominal, self.drift - self.drift.mean(0)
        angle = torch.deg2rad(self.roll * 0.1)
        u_size, v_size = pose.u.norm(dim=1, keepdim=True), pose.v.norm(dim=1, keepdim=True)
        u_hat, v_hat = pose.u / u_size, pose.v / v_size
        u = u_size * (torch.cos(angle) * u_hat + torch.sin(angle) * v_hat)
        v = v_size * (torch.cos(angle) * v_hat - torch.sin(angle) * u_hat)
        detector = pose.detector + (drift[:, :1] - self.axis) * u + drift[:, 1:] * v
        return replace(pose, detector=detector, u=u, v=v)

    def found(self) -> dict[str, Any]:
        """The corrections in a form that a record can keep: ``axis_shift_px`` (with the sign of `Scan.circular`), ``roll_deg``,
        ``drift_px``.
        """
        out: dict[str, Any] = {}
        if "axis" in self.parts:
            out["axis_shift_px"] = self.axis.item() * self.pixels[0]
        if "roll" in self.parts:
            out["roll_deg"] = self.roll.item() * 0.1
        if "drift" in self.parts:
            out["drift_px"] = ((self.drift - self.drift.mean(0)).detach().cpu().numpy() * self.pixels).round(4).tolist()
        return out
