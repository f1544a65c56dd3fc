"""Which methods learn, by name: loaded when asked for."""

from __future__ import annotations

import importlib
import importlib.util

from ..geometry import InputError, UnknownNameError
from ..recon import METHODS
from .learner import Learner

_PLACES = {"unet": "unet", "lpd": "lpd", "pixelnerf": "pixelnerf", "mednerf": "mednerf"}


def learners() -> list[str]:
    """Names of the methods that learn."""
    return [name for name, module in _PLACES.items() if importlib.util.find_spec(f"{__package__}.{module}")]


def find_learner(name: str) -> Learner:
    """The learner of a method; InputError for a method that needs no training, UnknownNameError for none."""
    if name in learners():
        return importlib.import_module(f".{_PLACES[name]}", __package__).LEARNER
    if name in METHODS:
        raise InputError(
            f"method {name} needs no training", expected=f"one of {', '.join(learners())}", remedy=f"use it: fewview recon --method {name}"
        )
    raise UnknownNameError("method that learns", name, learners())
