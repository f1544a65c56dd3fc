"""`tvnet`: total variation at its own weight, what a small network learned that it misses, and the views' word on whether to believe it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ...base.settings import Whole, checked
from ...base.shapes import Volume
from ...data import Projections
from ...geometry import Grid
from ...recon.iterative.sirt import sirt
from ...recon.iterative.tuning.supported_share import as_bright_as_the_views, in_its_own_grey_scale, mixed, support
from ...recon.method import Callback, Progress, StopRun, method_function
from ..device import autocast_type, require_memory_on, usable_device
from ..training.checkpoint import module_of, read_checkpoint
from ..weights import shipped_checkpoint
from .adapt import adapted
from .inputs import SIZE, TvWeight, facts, far_from_learned, grey_scale, total_variation
from .learner import LEARNER, Network, correction
from .tiles import tile_of

VOLUMES_HELD = 6  # at a time after total variation: it, what it leaves, its filtered copy, the correction, their sum, the mixture
A_LOOK_HOLDS = 2  # volumes besides, for each look before the last one: the corrected volume and what it leaves


@checked(of="tvnet")
class TvnetSettings:
    """Settings of `tvnet`.

    Args:
        checkpoint: a file that `fewview train tvnet` wrote; None: the weights that come with fewview. The volume is in the grey scale
            of what they were trained on (those that come with fewview: of the views).
        consistency: SIRT iterations from the corrected volume towards the measured line integrals. On the heads of docs/model_cards.md they
            neither help nor harm (1 to 6: -0.01 to -0.1 dB), because the network has seen what total variation leaves of the views.
        held_out: ask held-out views how much of the network's correction to take, and fall back towards total variation where they are
            predicted worse with it; of a scan that is far from all that the network was trained on, take none of it. False takes all of it.
        adapt: rounds, at most, in which the network first learns from the scan itself by predicting hidden views (of 20 or more); it
            stops where views that took no part are predicted no better. For objects unlike those of the training: it made teeth 0.4 to 3.4
            dB better and heads, which the network knows how to correct, 0.8 to 1.2 dB worse (docs/model_cards.md).
        precision: in which the layers compute; "auto" is bf16 on a card that has it and on a processor that multiplies tiles of it (Intel
            AMX), and float32 elsewhere. It changed two bones by 0.01 dB at most (docs/model_cards.md).
    """

    checkpoint: str | Path | None = None
    consistency: Whole = 0
    held_out: bool = True
    adapt: Whole = 0
    precision: Literal["auto", "float32", "bf16"] = "auto"
    device: str = "cpu"


@method_function(TvnetSettings)
def tvnet(projections: Projections, grid: Grid, settings: TvnetSettings, callbacks: Sequence[Callback]) -> Volume:
    """The volume [z, y, x] in 1/mm: `pdhg_tv`, corrected by a small residual network as far as held-out views support it.

    The network works on tiles, so that little more memory is needed than for `pdhg_tv`; it is asked for before the work begins. Where the
    views show an object beside the grid, that is taken away from them as for `pdhg_tv`, and all that follows sees these views.
    """
    module, told = _network(settings)
    require_memory_on(torch.device("cpu"), *memory(module, grid))
    listeners = [_without_total(call) for call in callbacks]
    first = total_variation(projections, grid, listeners)
    projections, grid = first.projections, first.grid
    told |= {"lambda_": first.lambda_} | {name: value for name, value in first.told.items() if name.startswith("outside")}
    volume, far = first.volume, unfamiliar(module, projections, grid, first.volume, first.lambda_)
    refused = settings.held_out and any(name != SIZE for name in far)
    if far:
        told["unfamiliar"] = far
        _say_unfamiliar(far, refused)
    if refused:
        told |= {"share": 0.0, "share_rule": "no correction of an unfamiliar scan"}
    else:
        if settings.adapt:
            module, found = adapted(module, projections, grid, first.weight, settings.adapt)
            told |= found
            if found["adapt_gain"] <= 0:
                warnings.warn(f"tvnet: nothing was learned from the scan itself: {found['adapt_rule']}", stacklevel=3)
        after = corrected(module, projections, grid, first.volume, first.lambda_, settings.consistency)
        if settings.held_out:
            told |= _supported(module, projections, grid, first.weight, settings.consistency)
        volume = mixed(first.volume, after, float(told.get("share", 1.0)))
    volume = volume[first.cut] * np.float32(module.grey)
    try:
        for call in callbacks:
            call(Progress(int(first.told.get("iterations", 0)) + 1, int(first.told.get("iterations", 0)) + 1, volume, {}, told))
    except StopRun:
        pass
    return volume


def memory(module: Network, grid: Grid) -> tuple[int, str]:
    """The bytes that the network's part takes (total variation asks for its own), and for what."""
    tile = module.net.bytes_for(tile_of(module.net, grid.shape, module.net.tile))
    held = VOLUMES_HELD + A_LOOK_HOLDS * len(module.net.before)
    return 4 * held * math.prod(grid.shape) + tile, f"the volumes and layers of tvnet on {' x '.join(map(str, grid.shape))} voxels"


def corrected(module: Network, projections: Projections, grid: Grid, volume: Volume, lambda_: float, consistency: int) -> Volume:
    """Total variation with the network's correction, and ``consistency`` SIRT iterations towards the views; in 1/mm as the views have it,
    never below zero.
    """
    after = np.maximum(volume + correction(module, projections, grid, volume, lambda_), 0)
    return sirt(projections, grid, iterations=consistency, start=after, outside="ignore") if consistency else after


def _network(settings: TvnetSettings) -> tuple[Network, dict[str, Any]]:
    """The network, and what to say about its weights."""
    if settings.checkpoint is None:
        checkpoint, name = shipped_checkpoint("tvnet"), "the weights that come with fewview"
    else:
        checkpoint, name = read_checkpoint(settings.checkpoint), str(settings.checkpoint)
    device = usable_device(settings.device)
    module: Any = module_of(checkpoint, LEARNER, name=name).to(device)
    module.precision = torch.bfloat16 if autocast_type(settings.precision, device) is torch.bfloat16 else None
    return module, {"weights": name, "trained_steps": checkpoint.step, "grey": module.grey}


def _supported(module: Network, projections: Projections, grid: Grid, weight: TvWeight, consistency: int) -> dict[str, Any]:
    """The part of the correction that held-out views support, and how it was found; a warning where it is not all of it."""

    def both(data: Projections, box: Grid) -> tuple[Volume, Volume]:
        volume = weight.volume(data, box)
        return volume, corrected(module, data, box, volume, weight.lambda_, consistency)

    judge = in_its_own_grey_scale if module.grey_is_learned else as_bright_as_the_views
    found = support(projections, grid, both, judge)
    if found.share < 1:
        share = "none" if found.share == 0 else f"{100 * found.share:.0f} %"
        warnings.warn(
            f"tvnet: {share} of the network's correction is taken, the rest is total variation: {found.described}, and with all of it they "
            f"are predicted {abs(100 * found.gain):.1f} % {'better' if found.gain > 0 else 'worse'}",
            stacklevel=4,
        )
    return {"share": found.share, "share_best": found.best, "share_gain": found.gain, "share_rule": found.described}


def unfamiliar(module: Network, projections: Projections, grid: Grid, volume: Volume, lambda_: float) -> list[str]:
    """The facts about a scan that are far from all that the network was trained on; more views than there were then are not."""
    scale = grey_scale(volume)
    return far_from_learned(facts(projections, grid, scale, lambda_), module.known.cpu().numpy()) if scale else []


def _say_unfamiliar(far: Sequence[str], refused: bool) -> None:
    """A warning that names what is unfamiliar, and says whether the correction is left out for it."""
    what = f"the {', '.join(far)} of this scan {'is' if len(far) == 1 else 'are'} far from what the network was trained on"
    but = ": the result is total variation (--set held_out=false takes the network's correction all the same)" if refused else ""
    warnings.warn(f"tvnet: {what}{but}", stacklevel=4)


def _without_total(call: Callback) -> Callback:
    """The callback, for the steps of total variation, after which one more follows."""
    return lambda p: call(dataclasses.replace(p, total=p.total + 1))
