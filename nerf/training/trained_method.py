"""A trained network as a method like any other: it loads the checkpoint, works on the voxels that it knows, and adds data consistency if
asked.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import torch

from ...base import InputError
from ...base.settings import Seed, Whole, checked
from ...base.shapes import Volume
from ...data import Projections
from ...data.volumes.resample import resample
from ...geometry import Grid
from ...recon.iterative.sirt import sirt
from ...recon.method import Callback, MethodFunction, Progress, StopRun, method_function
from ..device import usable_device
from ..field.naf import binned
from .checkpoint import module_of, read_checkpoint
from .learner import Learner
from .part import PartRule, refused
from .state import step_generator

P = ParamSpec("P")


@checked(of="a trained method")
class TrainedSettings:
    """Settings of a method that was trained.

    Args:
        checkpoint: the file that `fewview train` wrote.
        consistency: SIRT iterations from the network's volume towards the measured line integrals; 0 leaves the volume as it is. They
            partly undo what the network learned beyond these, such as a correction of beam hardening. A single view corrects no
            volume: then the iterations are left out, with a warning, and the result says ``consistency`` 0.
        seed: seed of what the network draws at random, if anything.
    """

    checkpoint: str | Path | None = None
    consistency: Whole = 0
    seed: Seed = 0
    device: str = "cpu"


def trained_method(
    learner: Learner[Any, Any],
    Settings: Callable[P, Any],
    configure: Callable[[torch.nn.Module, Any], Learner[Any, Any] | None] | None = None,
    part: PartRule = refused,
) -> MethodFunction[P]:
    """The method of a learner, as a function. It works on the voxels that were used for training, with the detector binned as it was then.

    A grid whose voxels differ by more than 5 % is reconstructed on the voxels of the training over the same box and interpolated; a warning
    and ``trained_voxel_mm`` in the result say so. ``Settings`` may add fields to `TrainedSettings`. ``configure(module, settings)`` is told
    of them before the reconstruction, and may return another learner to reconstruct with. ``part`` is the rule of `training.part` for a
    grid that holds a part of what the views show. Data consistency sees the views as they are, and takes the outside away by itself.
    """

    def run(projections: Projections, grid: Grid, settings: Any, callbacks: Sequence[Callback]) -> Volume:
        if settings.checkpoint is None:
            raise InputError(
                f"method {learner.name} has to be trained first",
                expected="checkpoint=FILE",
                remedy=f"make one: fewview train {learner.name} --data FOLDER --out {learner.name}.pt",
            )
        checkpoint = read_checkpoint(settings.checkpoint)
        module = module_of(checkpoint, learner, name=str(settings.checkpoint)).to(usable_device(settings.device))
        chosen = (configure(module, settings) if configure else None) or learner
        known = float(checkpoint.geometry["voxel_mm"])
        box = _grid_known(grid, known)
        told = {"trained_preset": checkpoint.preset, "trained_voxel_mm": known, "trained_steps": checkpoint.step}
        if box is not grid:
            warnings.warn(
                f"{learner.name} was trained on voxels of {known:.4g} mm: the volume is reconstructed on those and interpolated to "
                f"{grid.voxel_mm:.4g} mm",
                stacklevel=2,
            )
        data = binned(projections, box.voxel_mm)
        given = part(learner.name, module, data, box)
        told |= given.told
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            tensor = chosen.reconstruct(module, given.projections, given.grid, step_generator(settings.seed, 0))
        volume = np.ascontiguousarray(tensor.detach().float().cpu().numpy()[given.cut])
        iterations = settings.consistency if len(projections) > 1 else 0
        if iterations < settings.consistency:
            warnings.warn(f"{learner.name}: one view corrects no volume, so data consistency is left out", stacklevel=2)
            told["consistency"] = 0
        shown = box is grid  # a volume on other voxels is not what was asked for
        try:
            for callback in callbacks:
                callback(Progress(1, 1 + iterations, volume if shown else None, {}, told))
        except StopRun:
            iterations = 0
        if iterations:
            volume = sirt(data, box, [_later(callback, shown) for callback in callbacks], iterations=iterations, start=volume)
        return volume if box is grid else resample(volume, box, grid)

    run.__name__ = run.__qualname__ = learner.name
    run.__module__ = Settings.__module__
    run.__doc__ = f"The volume [z, y, x] in 1/mm by `{learner.name}`, from the checkpoint that `fewview train {learner.name}` wrote."
    return method_function(Settings)(run)


def _grid_known(grid: Grid, voxel_mm: float) -> Grid:
    """``grid``, or a grid of the same box with voxels of ``voxel_mm`` where its own differ by more than 5 %."""
    if abs(grid.voxel_mm / voxel_mm - 1) <= 0.05:
        return grid
    nx, ny, nz = (max(1, int(np.ceil(length / voxel_mm - 1e-6))) for length in grid.size_mm)
    return Grid((nz, ny, nx), voxel_mm, grid.center_mm)


def _later(callback: Callback, shown: bool) -> Callback:
    """The callback, for steps that follow those of the network, with or without the volume."""
    return lambda p: callback(dataclasses.replace(p, step=p.step + 1, total=p.total + 1, volume=p.volume if shown else None))
