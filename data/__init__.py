"""What comes in and what goes out: projections, reconstructions, readers, writers, phantoms.

No module here has the name of a public function, so that ``fewview.data.prepare`` is always the function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .projections import Projections
from .raw import RawScan
from .reconstruction import Reconstruction

if TYPE_CHECKING:
    from .bonemet_layout import find_bonemet, write_bonemet_slices, write_bonemet_xray
    from .grey import from_grey, to_grey
    from .hdf5 import write_projections
    from .phantom import Phantom, hind_limb
    from .preparation import prepare
    from .reader import read, read_raw
    from .record import make_record, write_record
    from .skyscan_folder import write_skyscan
    from .volume_reader import read_volume
    from .write import write_volume

# Public name -> module; loaded on first use, so that a room which needs only the data classes starts at once.
_MODULE = {
    "find_bonemet": "bonemet_layout", "write_bonemet_slices": "bonemet_layout", "write_bonemet_xray": "bonemet_layout",
    "from_grey": "grey", "to_grey": "grey", "write_projections": "hdf5", "hind_limb": "phantom", "Phantom": "phantom",
    "prepare": "preparation", "read": "reader", "read_raw": "reader",
    "make_record": "record", "write_record": "record", "write_skyscan": "skyscan_folder", "read_volume": "volume_reader",
    "write_volume": "write",
}  # fmt: skip

__all__ = [
    "Phantom",
    "Projections",
    "RawScan",
    "Reconstruction",
    "find_bonemet",
    "from_grey",
    "hind_limb",
    "make_record",
    "prepare",
    "read",
    "read_raw",
    "read_volume",
    "to_grey",
    "write_bonemet_slices",
    "write_bonemet_xray",
    "write_projections",
    "write_record",
    "write_skyscan",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'fewview.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE[name]}", __name__), name)
