"""The networks of pixelNeRF, and how they evaluate a point: from the features of the given views that see it, pooled, and from its
position.

They follow Yu, Ye, Tancik, Kanazawa: pixelNeRF, CVPR 2021 (arXiv:2012.02190), with what X-rays require: images of one channel, points
projected with the vectors of the scan, and line integrals in place of colour and opacity. Lengths are in units of R, the
radius of the field of view of the scans used for training, and attenuation is in 1/R. R is kept with the weights, so that a wider panel or
a scan that was cropped shows the same animal at the same position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from ...base import InputError
from ...base.settings import Count, NotNegative, Positive, Several, Whole, checked
from ...base.shapes import Float
from ...data import Projections
from ...geometry import Grid
from ...geometry.transform import rotation_matrix
from ...recon.analytic.feldkamp import filtered_backprojection
from ..field.encoding import positional
from ..field.fine_samples import Cells, fine_cells
from ..field.rendering import Field, volume_field
from ..training.bank import Bank
from . import encoder, point_network
from .encoder import Encoder
from .point_network import PointNetwork
from .view_features import Cameras, sampled


@checked(of="pixelnerf")
class PixelNerfArchitecture:
    """``channels``, ``blocks``, ``stride``, ``features``, ``groups`` of the `Encoder`; ``width`` and blocks of the `PointNetwork`.

    ``own_fine`` gives the fine points a second network (as published) in place of one for both passes. ``fdk`` adds so many features of the
    FDK volume of the given views, smoothed over 1, 3, 9, ... voxels; 0 is pure pixelNeRF.

    ``space`` is that of the positions which are encoded, with ``octaves`` of sines from ``base`` on: that of the scanner, in which the
    network may learn how animals lie in the bed, or, as published, that of each given view, which no turn of scanner and animal together
    changes. ``directions`` tells it the direction of the ray too, in the same space (as published; attenuation has none). ``mean_alone``
    and ``whole`` are those of the `PointNetwork` and the `Encoder`.

    How it learns: each step has ``rays`` rays with ``coarse`` + ``fine`` points each, compared with measured views, and ``points`` voxels
    compared with the reference (0: X-rays alone), whose squared error is multiplied by ``points_weight``. ``jitter`` (in R) are random
    shifts of the positions that the networks are told, in training only. ``learning_rate`` is that of Adam.
    """

    channels: Several[Count] = (64, 64, 128, 256, 512)
    blocks: Several[Count] = (3, 4, 6, 3)
    stride: Count = 2
    features: Count | None = None
    groups: Whole = 32
    width: Count = 512
    view_blocks: Whole = 3
    joint_blocks: Whole = 2
    octaves: Whole = 6
    base: Positive = math.pi
    space: Literal["scanner", "views"] = "scanner"
    directions: bool = False
    mean_alone: bool = False
    whole: bool = True
    own_fine: bool = True
    fdk: Whole = 0
    rays: Whole = 128
    coarse: Count = 64
    fine: Whole = 32
    points: Whole = 0
    points_weight: NotNegative = 1.0
    jitter: NotNegative = 0.0
    learning_rate: Positive = 1e-4

    def __post_init__(self) -> None:
        if self.directions and self.space == "scanner":
            raise InputError("directions=True with space='scanner'", expected="space='views', in which directions are told")
        if self.fdk and self.space == "views":
            raise InputError(f"fdk={self.fdk} with space='views'", expected="space='scanner', in which the FDK volume is")


PAPER = PixelNerfArchitecture()
PUBLISHED = PixelNerfArchitecture(base=1.5, space="views", directions=True, mean_alone=True, whole=False)
SMALL = PixelNerfArchitecture(
    channels=(48, 48, 64, 96, 96),
    blocks=(2, 2, 2, 2),
    stride=2,
    features=32,
    groups=0,
    width=64,
    view_blocks=2,
    joint_blocks=2,
    own_fine=False,
    rays=8,
    coarse=48,
    fine=24,
    points=3072,
    jitter=0.05,
    learning_rate=1e-3,
)


@dataclass(frozen=True)
class Scene:
    """What the given views say: feature ``maps`` [view, channel, r, c], ``cameras``, and the ``source`` of the first; the frame of the
    points; the fields of the FDK volume.

    A point p has the position ``turn @ (p - center) / radius``: the axis of rotation is along z, the plane of the sources is at z = 0, and
    the field of view of the scans used for training lies within -1 .. 1.
    """

    maps: Float[Tensor, "view channel r c"]
    cameras: Cameras
    source: Float[Tensor, "3"]
    center: Float[Tensor, "3"]
    radius: float
    turn: Float[Tensor, "3 3"]
    extra: tuple[Field, ...]


class PixelNerf(nn.Module):
    """The encoder, the network for the coarse points, and the network for the fine points (the same object where they share it).

    ``radius_mm`` is R, which is kept with the weights; it is 0 until the first scan is learned.
    """

    def __init__(self, architecture: PixelNerfArchitecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.encoder = Encoder(tuple(a.channels), tuple(a.blocks), a.stride, a.features, a.groups, a.whole)
        place = 3 * (1 + 2 * a.octaves) + a.fdk + 3 * a.directions
        told = self.encoder.width + 3 * (a.space == "scanner")
        sizes = (place, told, a.width, a.view_blocks, a.joint_blocks, a.mean_alone)
        self.coarse = PointNetwork(*sizes)
        self.fine = PointNetwork(*sizes) if a.own_fine else self.coarse
        self.bank = Bank()
        self.radius_mm: Tensor
        self.register_buffer("radius_mm", torch.zeros(()))

    def scene(self, projections: Projections) -> Scene:
        """Encode the given views, once for all points."""
        scan, like = projections.scan, self.coarse.leave.weight
        maps = self.encoder(torch.tensor(projections.values, dtype=like.dtype, device=like.device))
        axis, radius = scan.axis, float(self.radius_mm) or scan.field_of_view_mm.radius_mm
        places = (scan.source[0], axis.point_mm, _upright(axis.direction))
        source, center, turn = (torch.tensor(a, dtype=like.dtype, device=like.device) for a in places)
        extra = _fdk_fields(projections, radius, self.architecture.fdk, like) if self.architecture.fdk else ()
        return Scene(maps, Cameras.of(scan, like.dtype, like.device), source, center, radius, turn, extra)

    def attenuation(
        self, scene: Scene, points: Float[Tensor, "point 3"], *, fine: bool = True, along: Float[Tensor, "point 3"] | None = None
    ) -> Float[Tensor, "point"]:
        """The attenuation in 1/mm at points (x, y, z) in mm anywhere in the scan of which ``scene`` was made.

        ``along`` are the unit vectors of the rays to the points, for a network that is told them; by default those of the first given view.
        """
        a = self.architecture
        with torch.autocast(points.device.type, enabled=False):  # the position of a point needs more than eight bits
            row, col, seen = scene.cameras.project(points)
            offset = (points - scene.center) / scene.radius
            views, turned = sampled(scene.maps.to(points), row, col, a.stride), scene.cameras.turned(offset)
            if a.space == "scanner":
                views = torch.cat([views, turned], dim=-1)
                place = [positional(offset @ scene.turn.T, a.octaves, a.base), *(field(points)[:, None] for field in scene.extra)]
            else:
                place = [positional(turned, a.octaves, a.base)]
                if a.directions:
                    place.append(scene.cameras.turned(nn.functional.normalize(points - scene.source, dim=1) if along is None else along))
        network = self.fine if fine else self.coarse
        return nn.functional.softplus(network(torch.cat(place, dim=-1), views, seen).to(points)) / scene.radius

    def lines(
        self, scene: Scene, cells: Cells, fine: int, generator: Generator | None
    ) -> tuple[Float[Tensor, "ray"] | None, Float[Tensor, "ray"]]:
        """The line integrals along rays by the coarse network (None where it is also the fine one) and by the fine network."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and (self.architecture.own_fine or fine == 0)):
            first = self.attenuation(scene, cells.points, fine=False, along=cells.directions)
        if fine == 0:
            return None, cells.integral(first)
        torch.clear_autocast_cache()  # before torch 2.10 the weights that were cast without a gradient were reused for the pass with one
        both = fine_cells(cells, first, fine, generator)
        second = both.integral(self.attenuation(scene, both.points, along=both.directions))
        return (cells.integral(first) if self.architecture.own_fine else None), second


def _upright(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation that turns the unit vector ``direction`` to z."""
    about = np.cross(direction, (0.0, 0.0, 1.0))
    sine = float(np.linalg.norm(about))
    if sine < 1e-9:
        return np.eye(3)
    return rotation_matrix(about, math.degrees(math.atan2(sine, float(direction[2]))))


def _fdk_fields(projections: Projections, radius: float, count: int, like: Tensor) -> tuple[Field, ...]:
    """FDK of the given views at the resolution of the detector, times R, and its means over 3, 9, ... voxels, as fields."""
    from scipy.ndimage import uniform_filter

    grid = Grid.fit(projections.scan)
    level = filtered_backprojection(projections, grid, filter="hann") * np.float32(radius)
    fields = []
    for _ in range(count):
        fields.append(volume_field(torch.tensor(level, dtype=like.dtype, device=like.device), grid))
        level = uniform_filter(level, 3 ** len(fields), mode="nearest")
    return tuple(fields)


def build(architecture: PixelNerfArchitecture, generator: Generator) -> PixelNerf:
    """The network with weights drawn from ``generator`` alone (He et al. 2015). What each residual block adds is zero at the start."""
    with torch.device("meta"):
        network = PixelNerf(architecture)
    network.to_empty(device="cpu")
    with torch.no_grad():
        network.radius_mm.zero_()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * math.sqrt(2 / fan_in))
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.GroupNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
            elif isinstance(module, PointNetwork):
                nn.init.zeros_(module.spread)
                nn.init.zeros_(module.count)
        _still_residuals(network)
    return network


def _still_residuals(network: PixelNerf) -> None:
    """Make every residual block the identity (as published for the points), and the field softplus(-3.5) = 0.03 everywhere.

    That is about the mean attenuation of a field of view with an animal in it, in 1/R. With four times as much, the first steps on line
    integrals, which push all points of a ray the same way, emptied the field for good when it was tried.
    """
    for module in network.modules():
        if isinstance(module, point_network.Residual):
            module.second.weight.zero_()
        elif isinstance(module, encoder.Residual):
            last = module.second[1] if isinstance(module.second, nn.Sequential) else module.second
            nn.init.zeros_(last.get_parameter("weight"))
    for points in {network.coarse, network.fine}:
        points.leave.weight.mul_(0.01)
        points.leave.bias.fill_(-3.5)
