"""Inversion: finding the code (and the adapted generator) whose object looks like the given X-rays, in every given view."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...base.psnr import psnr_db
from ...base.settings import Count, NotNegative, Positive, Whole, checked
from ...base.shapes import Float
from ...data import Projections
from ...geometry import Grid
from .graf import ConditionedField, Frame
from .optics import Optics
from .patches import Patches
from .perceptual import distance

Report = Callable[[int, dict[str, float]], None]


@checked(of="mednerf")
class Inversion:
    """How a generator is fitted to X-rays. The loss is the weighted sum of a perceptual distance, the squared error and mean z^2 / 2.

    ``fit`` "generator" changes generator and code (as published), "z" the code alone. ``views`` is "all" that are given, or only the first
    "one". First ``starts`` random codes and the mean code (0) are tried; the best one is fitted for ``steps`` steps of ``patches`` patches,
    with Adam for the code and RMSprop for the generator, at rates that fall to a tenth. Published are the weights 0.3, 0.1, 0.3, rates of
    5e-4 each, one view, and one start, until a chosen PSNR is reached (`as_published`). ``whole`` compares whole images, not patches, and
    ``psnr_stop`` ends the fit when the compared images are that near.
    """

    steps: Whole = 150
    fit: Literal["generator", "z"] = "generator"
    views: Literal["all", "one"] = "all"
    starts: Whole = 16
    patches: Count = 2
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    perceptual: NotNegative = 0.3
    squared: NotNegative = 1.0
    prior: NotNegative = 1e-3
    code_rate: NotNegative = 2e-2
    generator_rate: NotNegative = 5e-4
    whole: bool = False
    psnr_stop: Positive | None = None

    @classmethod
    def as_published(cls) -> Inversion:
        """The published inversion: one whole view, from one random code, until its PSNR is 25 dB (here: 500 steps at most)."""
        fitted = cls(steps=500, views="one", starts=1, code_rate=5e-4, whole=True, psnr_stop=25.0)
        return replace(fitted, perceptual=0.3, squared=0.1, prior=0.3)


@dataclass(frozen=True)
class Inverted:
    """The fitted generator and its code, with the PSNR in dB of the first given view at the start (``psnr_before``) and at the end."""

    network: ConditionedField
    code: Float[Tensor, "code"]
    frame: Frame
    psnr_before: float
    psnr_after: float


def invert(
    network: ConditionedField,
    data: Projections,
    grid: Grid,
    settings: Inversion,
    optics: Optics,
    perceptual: str,
    generator: torch.Generator,
    report: Report | None = None,
) -> Inverted:
    """Fit a copy of ``network`` and a code to the given views; ``network`` does not change. ``report(step, values)`` is called every 10
    steps.
    """
    data = data[:1] if settings.views == "one" else data
    network = copy.deepcopy(network).requires_grad_(settings.fit == "generator")
    code = _best_start(network, data, grid, settings, optics, generator).requires_grad_(True)
    before = view_psnr(network, code.detach(), data, grid, optics)
    optimisers: list[torch.optim.Optimizer] = [torch.optim.Adam([code], settings.code_rate, betas=(0.0, 0.999))]
    if settings.fit == "generator":
        optimisers.append(torch.optim.RMSprop(network.parameters(), settings.generator_rate, alpha=0.99))
    decays = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _cosine(step / max(1, settings.steps))) for o in optimisers]
    measure = distance(perceptual)
    for step in range(1, settings.steps + 1):
        view = torch.randint(len(data), (settings.patches,), generator=generator)
        seen, target = (_whole if settings.whole else _patches)(network, code, data, grid, settings, optics, view, generator)
        squared, prior = ((seen - target) ** 2).mean(), (code**2 / 2).mean()
        loss = settings.perceptual * measure(seen, target) + settings.squared * squared + settings.prior * prior
        reached = settings.psnr_stop is not None and _psnr(squared.item()) >= settings.psnr_stop
        if report and (reached or step % 10 == 0 or step == settings.steps):
            report(step, {"loss": loss.item(), "psnr_patches": _psnr(squared.item()), "prior": prior.item()})
        if reached:  # before the step, so that the images are as near as they were just found to be
            break
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser, decay in zip(optimisers, decays, strict=True):
            optimiser.step()
            decay.step()
    after = view_psnr(network, code.detach(), data, grid, optics)
    return Inverted(network.requires_grad_(False), code.detach(), Frame.of(data.scan), before, after)


def _patches(
    network: ConditionedField,
    code: Tensor,
    data: Projections,
    grid: Grid,
    settings: Inversion,
    optics: Optics,
    view: Tensor,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "patch 1 side side"], Float[Tensor, "patch 1 side side"]]:
    """Random patches of the object in these views, and the measured ones."""
    patches = Patches.draw(view, data.scan.shape, settings.least_share, generator)
    seen = optics.patches(network, code.expand(len(view), -1), patches, data.scan, grid, generator)
    return seen, optics.measured(patches.read(data.values)).to(code)


def _whole(
    network: ConditionedField,
    code: Tensor,
    data: Projections,
    grid: Grid,
    settings: Inversion,
    optics: Optics,
    view: Tensor,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "1 1 row col"], Float[Tensor, "1 1 row col"]]:
    """One whole image of the object in the first of these views, and the measured one."""
    first = int(view[0])
    seen = optics.image(network, code, data.scan, grid, first)
    return seen[None, None], optics.measured(torch.from_numpy(data.values[first].copy())).to(code)[None, None]


def _cosine(share: float) -> float:
    return 0.1 + 0.9 * (1 + math.cos(math.pi * min(1.0, share))) / 2


@torch.no_grad()
def _best_start(
    network: ConditionedField, data: Projections, grid: Grid, settings: Inversion, optics: Optics, generator: torch.Generator
) -> Float[Tensor, "code"]:
    """Of the mean code and ``starts`` random codes, the one whose images are nearest to up to two of the views, spread over those given."""
    device = next(network.parameters()).device
    codes = torch.cat([torch.zeros(1, network.code), torch.randn(settings.starts, network.code, generator=generator)]).to(device)
    views = torch.tensor([0, len(data) // 2] if len(data) > 1 else [0])
    whole = Patches.draw(views, data.scan.shape, 1.0, generator)
    target = optics.measured(whole.read(data.values)).to(device)
    errors = [((optics.patches(network, c.expand(len(views), -1), whole, data.scan, grid) - target) ** 2).mean() for c in codes]
    return codes[int(torch.stack(errors).argmin())].clone()


def view_psnr(
    network: ConditionedField, code: Float[Tensor, "code"], data: Projections, grid: Grid, optics: Optics, view: int = 0
) -> float:
    """The PSNR in dB of one rendered view against the measured one, with data range 2 on -1..1 of the fixed window."""
    seen = optics.view(network, code, data.scan, grid, view).cpu()
    return _psnr(((seen - optics.measured(torch.from_numpy(data.values[view].copy()))) ** 2).mean().item())


def _psnr(squared: float) -> float:
    return psnr_db(max(squared, 1e-20), data_range=2.0)
