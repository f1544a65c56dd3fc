"""fewview: sparse-angle cone-beam CT. See README.md and docs/conventions.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Projections, Reconstruction
    from .geometry import Grid, Scan, skyscan_1276, views
    from .recon import METHODS, Method, reconstruct

__version__ = "0.1.0"

# Public name -> room; loaded on first use so that `import fewview` stays instant.
_ROOM = {
    "Scan": "geometry", "Grid": "geometry", "skyscan_1276": "geometry", "views": "geometry", "read_skyscan_log": "geometry",
    "Projections": "data", "Reconstruction": "data", "read": "data", "write_volume": "data",
    "Operator": "recon", "dottest": "recon", "fdk": "recon", "simulate": "recon", "calibrate": "recon",
    "METHODS": "recon", "Method": "recon", "reconstruct": "recon",
}  # fmt: skip

__all__ = ["METHODS", "Grid", "Method", "Projections", "Reconstruction", "Scan", "reconstruct", "skyscan_1276", "views"]


def __getattr__(name: str) -> Any:
    if name not in _ROOM:
        raise AttributeError(f"module 'fewview' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_ROOM[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOM])
