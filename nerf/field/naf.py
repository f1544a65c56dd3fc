"""`naf`: a field of attenuation fitted to one scan (after NAF, Zha et al. 2022): a dense or hashed grid and a small network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...base import InputError
from ...base.settings import Count, NotNegative, Positive, Seed, Several, checked
from ...base.shapes import Float, Volume
from ...data import Projections
from ...data.multiresolution import bin_projections
from ...geometry import Grid, Scan
from ...recon import Operator
from ...recon.iterative.region.beside import require_whole_object
from ...recon.method import Callback, Progress, StopRun, method_function
from ..device import autocast_type, require_memory_on, usable_device
from .encoding import DenseGrids, HashGrids
from .refinement import Refinement
from .rendering import Pose, box_of, grid_points, render
from .smoothness import total_variation, variation

VOXELS_A_CHUNK = {"cuda": 1 << 22}  # voxels that go through the network at once; elsewhere few enough for the cache of a processor


@checked(of="naf")
class NafSettings:
    """Settings of `naf`.

    Args:
        render: "volume" reads the field at the voxel centres and projects them with the `Operator`, the whole scan in every step, which is
            fast on a CPU. "rays" draws random rays; it depends on no grid, and a geometry can be refined with it.
        steps: number of steps; by default 300 ("volume") or 1500 ("rays").
        rays: random rays in a step of "rays".
        samples: points on a ray; by default 1.5 for each voxel of the longest side.
        encoding: "dense" or "hash".
        tv: weight of total variation relative to the data term.
        refine: any of "axis", "roll" and "drift" (of each view), which are estimated with the field, in pixels of the detector itself.
        bin: average detector pixels while they are smaller than a voxel.
        precision: "bf16" computes the small network in bfloat16 (positions, grids and line integrals stay float32); "auto" does so on CUDA.
        compiled: let torch.compile fuse the network, and with rays or hashing the look-up. It takes half a minute first, and pays off for
            long fits on CUDA.
    """

    render: Literal["volume", "rays"] = "volume"
    steps: Count | None = None
    rays: Count = 512
    samples: Count | None = None
    encoding: Literal["dense", "hash"] = "dense"
    features: Count = 4
    hidden: Count = 32
    learning_rate: Positive = 2e-2
    tv: NotNegative = 2e-3
    refine: Several[Literal["axis", "roll", "drift"]] = ()
    bin: bool = True
    precision: Literal["auto", "float32", "bf16"] = "auto"
    compiled: bool = False
    seed: Seed = 0
    device: str = "cpu"
    report_every: Count = 50

    def __post_init__(self) -> None:
        if self.refine and self.render != "rays":
            raise InputError(
                f"refine={self.refine} with render={self.render!r}",
                expected='render="rays": only rays have gradients for the geometry',
            )


class _Head(nn.Module):
    """Features [n, width] -> values [n] >= 0 by one hidden layer and softplus; products are computed in ``dtype``."""

    def __init__(self, width: int, hidden: int, dtype: torch.dtype, generator: torch.Generator) -> None:
        super().__init__()
        self.dtype = dtype
        self.hidden, self.out = nn.Linear(width, hidden), nn.Linear(hidden, 1)
        with torch.no_grad():
            for layer, fan_in in ((self.hidden, width), (self.out, hidden)):
                layer.weight.copy_((torch.rand(layer.weight.shape, generator=generator) * 2 - 1) * math.sqrt(3 / fan_in))
                layer.bias.zero_()
            self.out.bias.fill_(-2.0)  # an almost empty field: softplus(-2) = 0.13

    def forward(self, features: Float[Tensor, "n width"]) -> Float[Tensor, "n"]:
        with torch.autocast(features.device.type, self.dtype, enabled=self.dtype != torch.float32):
            value = self.out(torch.relu(self.hidden(features)))
        return nn.functional.softplus(value.float()).squeeze(1)  # [:, 0] would fill a gradient with zeros first


class AttenuationField(nn.Module):
    """The attenuation [n] >= 0 in 1/mm at points [n, 3] in mm: an encoding, one hidden layer, and softplus, times ``scale`` (1/mm)."""

    def __init__(self, grid: Grid, settings: NafSettings, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("box", box_of(grid))
        self.scale = scale
        longest = max(grid.shape)
        if settings.encoding == "dense":
            levels = [max(2, longest // f) for f in (8, 4, 2, 1)]
            aspect = [s / max(grid.size_mm) for s in grid.size_mm]
            self.encoding: DenseGrids | HashGrids = DenseGrids(levels, settings.features, aspect, generator)
        else:
            self.encoding = HashGrids(8, settings.features, 17, max(2, longest // 8), longest, generator)
        precision = "float32" if settings.precision == "auto" and torch.device(settings.device).type == "cpu" else settings.precision
        half = autocast_type(precision, torch.device(settings.device)) is torch.bfloat16  # never fp16: it would need scaled losses
        self.head = _Head(self.encoding.width, settings.hidden, torch.bfloat16 if half else torch.float32, generator)
        if settings.compiled:
            self.encoding.compile()
            self.head.compile()

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """The attenuation in 1/mm at points in mm inside the box. Outside it the border's value would be returned, so ask only inside."""
        box = self.get_buffer("box")
        unit = 2 * (points - box[0]) / (box[1] - box[0]) - 1
        return self._of_features(self.encoding(unit))

    def volume(self, grid: Grid) -> Float[Tensor, "z y x"]:
        """The field in 1/mm at the voxel centres of the grid that it was made for, equal to `forward` there; dense grids are read level by
        level.
        """
        if isinstance(self.encoding, DenseGrids):
            network, given = self._of_features, self.encoding.on_grid(grid.shape)
        else:
            network, given = self.forward, grid_points(grid).to(self.get_buffer("box"))
        parts = given.split(VOXELS_A_CHUNK.get(given.device.type, 1 << 14))
        return torch.cat([_again(network, part) for part in parts]).reshape(grid.shape)

    def _of_features(self, features: Float[Tensor, "n width"]) -> Float[Tensor, "n"]:
        return self.head(features) * self.scale


def _again(network: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    """``network(given)`` whose layers are computed again for the gradient; keeping them for every voxel would take more memory and time."""
    found: Any = checkpoint(network, given, use_reentrant=False, preserve_rng_state=False)
    return found


def binned(projections: Projections, voxel_mm: float) -> Projections:
    """The projections averaged over detector pixels, while two of them still fit into one voxel at the axis."""
    pixel_mm = projections.scan.field_of_view_mm.pixel_mm
    return bin_projections(projections, max(1, min(int(voxel_mm / pixel_mm + 1e-6), *projections.scan.shape)))


def fit(projections: Projections, grid: Grid, settings: NafSettings, callbacks: Sequence[Callback]) -> tuple[AttenuationField, Refinement]:
    """Fit the field (and, if asked, the geometry) to the line integrals with Adam; each squared error is weighted
    by its expected counts.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    data = binned(projections, grid.voxel_mm) if settings.bin else projections
    longest = float(data.values.max())
    if longest <= 0:
        raise InputError("the projections hold no positive line integral", expected="an object in the beam")
    if settings.render == "volume":
        _require_memory(grid, settings)
    field = AttenuationField(grid, settings, longest / min(grid.size_mm[:2]), generator).to(settings.device)
    pose, pixels = Pose.of(data.scan, settings.device), _bins(projections.scan, data.scan)
    refinement = Refinement(pose, settings.refine, pixels).to(settings.device)
    groups = [{"params": field.parameters(), "lr": settings.learning_rate}, {"params": refinement.parameters(), "lr": 3e-2}]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
    steps = settings.steps or (300 if settings.render == "volume" else 1500)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.03 ** (step / steps))
    losses = (
        _whole_scan(data, grid, settings, field)
        if settings.render == "volume"
        else _random_rays(data, grid, settings, field, refinement, generator)
    )
    for step in range(1, steps + 1):
        error, smooth = next(losses)
        loss = error / longest**2 + settings.tv * smooth / field.scale
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        decay.step()
        if step % settings.report_every == 0 or step == steps:
            values = {"loss": loss.item(), "residual": error.item() ** 0.5}
            try:
                for callback in callbacks:
                    callback(Progress(step, steps, None, values, refinement.found()))
            except StopRun:
                break
    return field, refinement


def _require_memory(grid: Grid, settings: NafSettings) -> None:
    """Check the memory for the whole field, which every step needs; random rays need next to nothing."""
    per_voxel = 48 * settings.features + 200 if settings.encoding == "dense" else 150  # bytes, as measured
    needed = per_voxel * math.prod(grid.shape)
    what = f"a field of {grid.shape} voxels and its gradients"
    require_memory_on(torch.device(settings.device), needed, what, 'use render="rays" or larger voxels')


def _bins(fine: Scan, coarse: Scan) -> tuple[float, float]:
    """How many pixels of ``fine`` one pixel of ``coarse`` spans, along u and along v."""
    return float(np.linalg.norm(coarse.u[0]) / np.linalg.norm(fine.u[0])), float(np.linalg.norm(coarse.v[0]) / np.linalg.norm(fine.v[0]))


def _whole_scan(data: Projections, grid: Grid, settings: NafSettings, field: AttenuationField) -> Iterator[tuple[Tensor, Tensor]]:
    """The weighted mean squared error and the total variation of all rays and all voxels, again and again."""
    A = Operator(data.scan, grid)
    target = torch.from_numpy(np.array(data.values)).to(settings.device)
    weight = torch.exp(-target)  # the variance of -ln(counts) is one over the counts
    weight /= weight.sum()
    while True:
        volume = field.volume(grid)
        yield (weight * (A(volume) - target) ** 2).sum(), variation(volume[None])


def _random_rays(
    data: Projections, grid: Grid, settings: NafSettings, field: AttenuationField, refinement: Refinement, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same for random rays, each of which is seen once before any is seen twice, and for random cubes of the field."""
    values = torch.from_numpy(np.array(data.values)).reshape(-1)
    samples = settings.samples or math.ceil(1.5 * max(grid.shape))
    box, (rows, cols) = box_of(grid, device=settings.device), data.scan.shape
    while True:
        for pixel in torch.randperm(values.numel(), generator=generator).split(settings.rays):
            target, pixel = values[pixel].to(settings.device), pixel.to(settings.device)
            rays = refinement.pose().rays(pixel // (rows * cols), pixel % (rows * cols) // cols, pixel % cols)
            seen = render(field, rays, box, samples, generator)
            weight = torch.exp(-target)
            yield (weight * (seen - target) ** 2).sum() / weight.sum(), total_variation(field, grid, 4, 8, generator)


@method_function(NafSettings)
def naf(projections: Projections, grid: Grid, settings: NafSettings, callbacks: Sequence[Callback]) -> Volume:
    """Fit a field to the projections, then read it at the voxel centres. InputError where the views show an object beside the grid: the
    field has no place for it, and would put it inside.
    """
    usable_device(settings.device)
    require_whole_object(projections, grid, "naf", "use pdhg_tv or tvnet, which take away what lies outside, or leave --box out")
    field, _ = fit(projections, grid, settings, callbacks)
    with torch.no_grad():
        return field.volume(grid).cpu().numpy()
