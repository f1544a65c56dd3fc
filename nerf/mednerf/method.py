"""`mednerf`: a generator of animals, trained against a discriminator of X-ray patches and then fitted to the given X-rays.

It follows MedNeRF (Corona-Figueroa et al. 2022), with X-ray physics in place of optics: line integrals along the rays of the scanner, one
channel, no view direction, a fixed window of intensity, any number of views, and a volume as the result. docs/design_changes.md lists what
differs from the published code.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ...base import InputError, UnknownNameError
from ...base.settings import checked
from ...base.shapes import Float, Image, Images, Volume
from ...data import Projections
from ...geometry import Grid, Scan
from ...recon.method import Callback, Progress, method_function
from ..field.naf import binned
from ..field.rendering import field_volume
from ..training.learner import Example, Given, Group
from ..training.trained_method import TrainedSettings, trained_method
from .dag import Discriminator, discriminator_loss, generator_loss
from .graf import ConditionedField, Frame
from .inversion import Inversion, Inverted, Report, invert
from .patches import Patches, ray_channels
from .perceptual import kernel_distance
from .sizes import PRESETS, TRAINING, Architecture

Tell = Callable[[int, Mapping[str, float], Mapping[str, float]], None]


class MedNerf(nn.Module):
    """The generator, its running average (which samples and inversion use), the discriminator, and the number of steps so far."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.generator = ConditionedField(a.layers, a.width, a.skip, a.octaves, a.shape_code, a.appearance_code)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.discriminator = Discriminator(6 if a.posed else 0, a.base, a.normed)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def steps_done(self) -> int:
        """How many steps the generator has learned."""
        return int(self.get_buffer("step"))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.get_buffer("step").device


def inverted_volume(
    module: nn.Module,
    projections: Projections,
    grid: Grid,
    settings: Inversion,
    generator: Generator,
    report: Report | None = None,
) -> tuple[Float[Tensor, "z y x"], Inverted]:
    """The volume in 1/mm on the voxels of ``grid`` of the averaged generator fitted to the projections, and the fit itself."""
    m, a = _own(module), _own(module).architecture
    with torch.enable_grad():
        found = invert(m.average, binned(projections, grid.voxel_mm), grid, settings, a.optics, a.perceptual, generator, report)
    field = found.network.field(found.code, found.frame)
    return field_volume(lambda points: field(points.to(m.device)).cpu(), grid, chunk=1 << 15), found


def _own(module: nn.Module) -> MedNerf:
    if not isinstance(module, MedNerf):
        raise InputError(f"mednerf was given a {type(module).__name__}", expected="a module that its own build made")
    return module


def _render(m: MedNerf, codes: Tensor, patches: Patches, example: Example, generator: Generator) -> Tensor:
    a = m.architecture
    noise = a.noise * max(0.0, 1 - m.steps_done / a.quiet_after)
    return a.optics.patches(m.generator, codes, patches, example.projections.scan, example.grid, generator, noise)


def _shown(m: MedNerf, images: Tensor, patches: Patches, scan: Scan) -> Tensor:
    if not m.architecture.posed:
        return images
    return torch.cat([images, ray_channels(patches.rays(scan, m.device), Frame.of(scan), len(images))], 1)


@torch.no_grad()
def _follow(m: MedNerf) -> None:
    """One step of the running average. Its memory grows with the steps up to ``average``, so that the first weights are soon forgotten."""
    share = max(1 - m.architecture.average, 10 / (10 + m.steps_done))
    for mean, now in zip(m.average.parameters(), m.generator.parameters(), strict=True):
        mean.lerp_(now, share)
    m.get_buffer("step").add_(1)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients flow through the network without keeping any for its weights."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


@dataclass(frozen=True)
class MednerfLearner:
    """How `mednerf` learns, and the inversion with which it reconstructs. ``tell(step, values, resolved)`` hears of its progress."""

    name: str = "mednerf"
    presets: Mapping[str, Architecture] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)
    inversion: Inversion = field(default_factory=Inversion)
    tell: Tell | None = None

    def build(self, architecture: Architecture, generator: Generator) -> MedNerf:
        """A module whose weights (torch's own initial ones, and the vectors of the spectral norms) depend on ``generator`` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            return MedNerf(architecture)

    def groups(self, module: MedNerf) -> Mapping[str, Group]:
        """The discriminator learns first in every step, as published; both use RMSprop."""
        m = _own(module)
        return {
            "discriminator": (list(m.discriminator.parameters()), m.architecture.discriminator_rate, "rmsprop"),
            "generator": (list(m.generator.parameters()), m.architecture.generator_rate, "rmsprop"),
        }

    def loss(self, module: MedNerf, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The hinge loss of one group on patches of the ``given`` views and on as many generated ones, each with a code of its own."""
        return self.batch_loss(module, [(example, given)], generator, group)

    def batch_loss(self, module: MedNerf, batch: Sequence[tuple[Example, Given]], generator: Generator, group: str) -> Float[Tensor, ""]:
        """The same on patches of several animals at once, as published: the discriminator's batch norm and hinge see all of them."""
        m, a = _own(module), _own(module).architecture
        if group not in ("discriminator", "generator"):
            raise UnknownNameError("group of mednerf", group, ("discriminator", "generator"))
        least = max(a.least_share, math.exp(-a.anneal * m.steps_done))
        learns = group == "generator"
        if learns and torch.is_grad_enabled():
            _follow(m)
        real, fake = [], []
        for example, given in batch:
            data = example.projections
            drawn = torch.from_numpy(np.asarray(given))[torch.randint(len(given), (a.patches,), generator=generator)]
            measured = Patches.draw(drawn, data.scan.shape, least, generator)
            elsewhere = torch.randint(len(data), (a.patches,), generator=generator)
            posed = measured if a.posed else Patches.draw(elsewhere, data.scan.shape, least, generator)
            code = torch.randn(a.patches, m.generator.code, generator=generator).to(m.device)
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                fake.append(_shown(m, _render(m, code, posed, example, generator), posed, data.scan))
            if not learns:
                real.append(_shown(m, a.optics.measured(measured.read(data.values)).to(m.device), measured, data.scan))
        if learns:
            with _frozen(m.discriminator):
                return generator_loss(m.discriminator, torch.cat(fake), a.augmentations)
        return discriminator_loss(m.discriminator, torch.cat(real), torch.cat(fake), a.augmentations, a.perceptual, generator, a.hinge)

    def reconstruct(self, module: MedNerf, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The volume in 1/mm after an inversion. The PSNR of the first view before and after it is reported."""
        tell = self.tell or (lambda step, values, resolved: None)
        report: Report = lambda step, values: tell(step, values, {})  # noqa: E731
        volume, found = inverted_volume(module, projections, grid, self.inversion, generator, report)
        tell(self.inversion.steps, {}, {"input_psnr_before": found.psnr_before, "input_psnr_after": found.psnr_after})
        return volume

    def score(self, module: MedNerf, example: Example, given: Given, generator: Generator) -> float:
        """How similar random objects look to the ``given`` views of an animal: minus the `kernel_distance` of whole images, 40 of each."""
        m, data = _own(module), example.projections
        views = torch.from_numpy(np.asarray(given))[torch.randint(len(given), (40,), generator=generator)]
        whole = Patches.draw(views, data.scan.shape, 1.0, generator)
        codes = torch.randn(len(views), m.average.code, generator=generator).to(m.device)
        with torch.no_grad():
            fake = m.architecture.optics.patches(m.average, codes, whole, data.scan, example.grid)
            return -float(kernel_distance(m.architecture.optics.measured(whole.read(data.values)), fake.cpu()))

    def rendering(self, module: MedNerf, projections: Projections, grid: Grid, generator: Generator) -> Image:
        """The first view as the generator shows it after the published inversion (`Inversion.as_published`), as line integrals.

        As published, the image is scaled by its own maximum, which becomes white, so that the fit ends at that PSNR of the scored image.
        """
        m, data = _own(module), binned(projections[:1], grid.voxel_mm)
        a, top = m.architecture, float(data.values.max())
        if not top > 0:
            raise InputError(f"a view with a maximum of {top:g}", expected="an object in the beam")
        scaled = Projections(data.values * np.float32(a.window / top), data.scan, data.meta)
        with torch.enable_grad():
            found = invert(m.average, scaled, grid, Inversion.as_published(), a.optics, a.perceptual, generator)
        seen = a.optics.image(found.network, found.code, data.scan, grid, 0).detach().cpu().numpy()
        return ((seen + 1) / 2 * top).astype(np.float32)

    def samples(self, module: MedNerf, scan: Scan, n: int, generator: Generator) -> Images:
        """X-rays (line integrals) of ``n`` random objects in random poses of ``scan``, by the averaged generator."""
        m = _own(module)
        if n < 1:
            raise InputError(f"{n} samples", expected="at least one")
        grid = Grid.fit(scan)
        views = torch.randint(len(scan), (n,), generator=generator).tolist()
        codes = torch.randn(n, m.average.code, generator=generator).to(m.device)
        images = [m.architecture.optics.view(m.average, code, scan, grid, view).cpu() for code, view in zip(codes, views, strict=True)]
        return ((torch.stack(images) + 1) / 2 * m.architecture.window).numpy()


LEARNER = MednerfLearner()


@checked(of="mednerf")
class MednerfSettings(TrainedSettings, Inversion):
    """Settings of `mednerf`: the checkpoint (see `TrainedSettings`) and the inversion (see `Inversion`)."""


@method_function(MednerfSettings)
def mednerf(projections: Projections, grid: Grid, settings: MednerfSettings, callbacks: Sequence[Callback]) -> Volume:
    """The checkpoint's generator fitted to the projections. Callbacks hear of the fit, and of the PSNR of the first view before and after
    it.
    """
    inversion = Inversion(**{f.name: getattr(settings, f.name) for f in fields(Inversion)})

    def tell(step: int, values: Mapping[str, float], resolved: Mapping[str, float]) -> None:
        for callback in callbacks:
            callback(Progress(step, inversion.steps, None, values, resolved))

    method = trained_method(LEARNER, MednerfSettings, lambda module, _: replace(LEARNER, inversion=inversion, tell=tell))
    return method.run(projections, grid, settings, callbacks)
