"""Between projections and volumes: operator, FDK, iterative methods, simulator, corrections, calibration.

No module here has the name of a public function, so that ``fewview.recon.fdk`` is always the function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .front import reconstruct
from .method import METHODS, Method, Progress, load_method

if TYPE_CHECKING:
    from .calibration import calibrate
    from .feldkamp import fdk
    from .operator import Operator, dottest
    from .physics import Physics
    from .simulator import simulate, simulate_raw

# Loaded on first use: numba and torch take seconds to import.
_MODULE = {
    "Operator": "operator", "dottest": "operator", "fdk": "feldkamp", "Physics": "physics", "simulate": "simulator",
    "simulate_raw": "simulator", "calibrate": "calibration",
}  # fmt: skip

__all__ = [
    "METHODS",
    "Method",
    "Operator",
    "Physics",
    "Progress",
    "calibrate",
    "dottest",
    "fdk",
    "load_method",
    "reconstruct",
    "simulate",
    "simulate_raw",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'fewview.recon' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE[name]}", __name__), name)
