"""The methods that learn, by name, as the registry of methods lists them; they are loaded when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from ...base import InputError, UnknownNameError
from ...recon import METHODS
from ...recon.method import ROWS, names_of_kind
from .learner import Learner


def learners() -> list[str]:
    """The names of the methods that learn."""
    return [name for name in names_of_kind("learned") if ROWS[name].learner]


def find_learner(name: str) -> Learner[Any, Any]:
    """The learner of a method; InputError for a method that needs no training, UnknownNameError for an unknown one."""
    if name not in METHODS:
        raise UnknownNameError("method that learns", name, learners())
    module, _, attribute = (ROWS[name] if name in ROWS else METHODS[name]).learner.partition(":")
    if not module:
        raise InputError(
            f"method {name} needs no training", expected=f"one of {', '.join(learners())}", remedy=f"use it: fewview recon --method {name}"
        )
    return getattr(importlib.import_module(module), attribute)
