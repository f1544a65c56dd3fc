"""The generator of MedNeRF (GRAF, Schwarz et al. 2020): a field of attenuation that two codes, for shape and
appearance, make one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...base import UnknownNameError
from ...base.shapes import Float
from ...geometry import Scan
from ..field.encoding import positional
from ..field.rendering import Field, Points, Rays, composite, integrate, sample

RENDERINGS = ("line", "composite")


@dataclass(frozen=True)
class Frame:
    """The field of view of the scanner: its middle (x, y, z) and radius in mm. A network's coordinates are in units of this radius."""

    center_mm: tuple[float, float, float]
    radius_mm: float

    @classmethod
    def of(cls, scan: Scan) -> Frame:
        """The frame of a scan. Any subset of its views, even one view, has the frame of the whole scan, if the scan was not moved."""
        x, y, z = (float(c) for c in scan.axis_point_mm + scan.field_of_view_height_mm * scan.axis.direction)
        return cls((x, y, z), scan.field_of_view_mm.radius_mm)

    def unit(self, points: Float[Tensor, "*any 3"]) -> Float[Tensor, "*any 3"]:
        """Points in mm as multiples of the radius from the middle."""
        return (points - points.new_tensor(self.center_mm)) / self.radius_mm


class ConditionedLinear(nn.Module):
    """``nn.Linear`` on a concatenation of parts. Parts that are equal for all points of an object are multiplied only once.

    ``points`` and ``codes`` are the widths of the two kinds of parts; the weight is that of one ``nn.Linear(points + codes, out)``.
    """

    def __init__(self, points: int, codes: int, out: int) -> None:
        super().__init__()
        self.points = points
        self.linear = nn.Linear(points + codes, out)

    def forward(self, parts: Sequence[Float[Tensor, "n _"]], code: Float[Tensor, "c"]) -> Float[Tensor, "n width"]:
        """The features of this layer at the points of one object, from ``parts`` (whose widths sum to ``points``) and the object's code."""
        weight, start = self.linear.weight, 0
        out = nn.functional.linear(code, weight[:, self.points :], self.linear.bias)
        for part in parts:
            out = torch.addmm(out, part, weight[:, start : start + part.shape[1]].T)
            start += part.shape[1]
        return out


class ConditionedField(nn.Module):
    """Points and codes -> density and brightness, with ``layers`` x ``width`` (ReLU) and the input repeated after layer ``skip``.

    The shape code joins the encoded point at the input, and the appearance code only the brightness, as in GRAF. There is no view
    direction, because attenuation does not depend on it. The density (softplus) is per radius of the field of view, and the brightness in
    0..1.
    """

    def __init__(self, layers: int, width: int, skip: int, octaves: int, shape_code: int, appearance_code: int) -> None:
        super().__init__()
        self.octaves, self.skip, self.shape_code = octaves, skip, shape_code
        self.code = shape_code + appearance_code
        encoded = 3 + 6 * octaves
        self.first = ConditionedLinear(encoded, shape_code, width)
        self.layers = nn.ModuleList(
            ConditionedLinear(width + encoded, shape_code, width) if i == skip else nn.Linear(width, width) for i in range(1, layers)
        )
        self.density = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        self.tint = ConditionedLinear(width, appearance_code, width // 2)
        self.brightness = nn.Linear(width // 2, 1)
        with torch.no_grad():
            self.density.bias.fill_(-2.0)  # an almost empty field, as naf starts

    def forward(
        self, unit: Float[Tensor, "n 3"], code: Float[Tensor, "code"], noise: Float[Tensor, "n"] | None = None
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """The density (>= 0, per radius) and the brightness (0..1) of one object at points in units of the frame.

        ``noise`` is added to the density before its activation, as in training (GRAF's raw noise).
        """
        shape, appearance = code[: self.shape_code], code[self.shape_code :]
        points = positional(unit, self.octaves)
        hidden = self.first([points], shape).relu_()
        for layer in self.layers:
            after = layer([hidden, points], shape) if isinstance(layer, ConditionedLinear) else layer(hidden)
            hidden = after.relu_()
        raw = self.density(hidden)[:, 0]
        density = nn.functional.softplus(raw if noise is None else raw + noise)
        tint = self.tint([self.feature(hidden)], appearance).relu_()
        return density, torch.sigmoid(self.brightness(tint))[:, 0]

    def field(self, code: Float[Tensor, "code"], frame: Frame) -> Field:
        """The attenuation in 1/mm of the object with this code, as a function of points in mm."""

        def field(points: Points) -> Float[Tensor, "n"]:
            density, brightness = self(frame.unit(points), code)
            return attenuation(density, brightness, frame)

        return field


def attenuation(density: Float[Tensor, "*points"], brightness: Float[Tensor, "*points"], frame: Frame) -> Float[Tensor, "*points"]:
    """The attenuation in 1/mm: the density, multiplied by 0.5 to 2 as the brightness says, which depends on the appearance code."""
    return 2 * density * brightness / frame.radius_mm


def render_object(
    network: ConditionedField,
    code: Float[Tensor, "code"],
    rays: Rays,
    box: Float[Tensor, "2 3"],
    frame: Frame,
    count: int,
    rendering: str = "line",
    generator: torch.Generator | None = None,
    noise: float = 0.0,
) -> Float[Tensor, "ray"]:
    """What rays through one object see.

    "line": line integrals (dimensionless). "composite": optical alpha compositing, a brightness in 0..1, used for `table2-compat` only.
    ``count`` points are taken on each ray inside the box, in the middle of equal steps, or jittered with a ``generator``, from which normal
    ``noise`` of that standard deviation comes too.
    """
    if rendering not in RENDERINGS:
        raise UnknownNameError("rendering", rendering, RENDERINGS)
    samples = sample(rays, box, count, generator)
    points = samples.points
    unit = frame.unit(points).reshape(-1, 3)
    added = noise * torch.randn(len(unit), generator=generator).to(unit) if noise else None
    density, brightness = (a.reshape(points.shape[:2]) for a in network(unit, code, added))
    if rendering == "line":
        return integrate(attenuation(density, brightness, frame), samples)
    return composite(density / frame.radius_mm, brightness, samples)
