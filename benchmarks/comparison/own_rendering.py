"""The one given view as a method itself renders it: what the published code scores, whatever its volume is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...base.shapes import Image
from ...data import Projections
from ...geometry import Grid
from ...nerf.mednerf.method import LEARNER as MEDNERF
from ...nerf.training.checkpoint import module_of, read_checkpoint
from ...nerf.training.learner import RenderingLearner
from ...nerf.training.learners import find_learner, learners
from .control_methods import UNTRAINED, untrained_generator


def own_rendering(method: str, settings: Mapping[str, Any], view: Projections, grid: Grid) -> Image | None:
    """Line integrals [row, col] of the one given ``view``; None for a method whose rendering is the projection of its volume."""
    generator = torch.Generator().manual_seed(0)
    if method == UNTRAINED:
        return MEDNERF.rendering(untrained_generator(), view, grid, generator)
    learner = find_learner(method) if method in learners() else None
    if not isinstance(learner, RenderingLearner) or not settings.get("checkpoint"):
        return None
    module = module_of(read_checkpoint(settings["checkpoint"]), learner, name=str(settings["checkpoint"])).eval()
    return learner.rendering(module, view, grid, generator)
