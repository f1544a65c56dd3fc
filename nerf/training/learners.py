"""Which methods learn, by name: loaded when asked for."""

from __future__ import annotations

import importlib

from ...base import InputError, UnknownNameError
from ...recon import METHODS
from .learner import Learner

_PLACES = {"unet": "volumes.unet", "lpd": "volumes.lpd", "pixelnerf": "pixelnerf.method", "mednerf": "mednerf.method"}
_ROOM = "fewview.nerf"


def learners() -> list[str]:
    """Names of the methods that learn."""
    return list(_PLACES)


def find_learner(name: str) -> Learner:
    """The learner of a method; InputError for a method that needs no training, UnknownNameError for none."""
    if name in learners():
        return importlib.import_module(f"{_ROOM}.{_PLACES[name]}").LEARNER
    if name in METHODS:
        raise InputError(
            f"method {name} needs no training", expected=f"one of {', '.join(learners())}", remedy=f"use it: fewview recon --method {name}"
        )
    raise UnknownNameError("method that learns", name, learners())
