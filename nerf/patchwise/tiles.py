"""The correction of a whole volume, made on one tile after the other, so that a volume of any size fits into memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ...base.shapes import Float, Volume
from ..device import require_memory_on
from .network import PatchNetwork
from .scales import ScaleNetwork


def tiled(
    network: PatchNetwork | ScaleNetwork,
    volumes: Sequence[Volume],
    facts: Float[NDArray[np.float32], "facts"],
    scale: float,
    tile: int | None = None,
) -> Float[NDArray[np.float32], "z y x"]:
    """What to add to the first of the ``volumes`` in their unit, computed on tiles of ``tile``^3 voxels (a multiple of 4).

    ``scale`` is the grey scale of the object, which the network calls 1.
    """
    shape, edge = volumes[0].shape, tile or network.tile
    device = next(network.parameters()).device
    require_memory_on(device, network.bytes_for([min(n, edge) for n in shape]), "the layers of tvnet")
    told = torch.from_numpy(np.asarray(facts, np.float32)).to(device)
    out = np.empty(shape, np.float32)
    for corner in np.ndindex(*(-(-n // edge) for n in shape)):
        core = tuple(slice(c * edge, min(n, (c + 1) * edge)) for c, n in zip(corner, shape, strict=True))
        with torch.no_grad():
            out[core] = network.on(volumes, core, scale, told).float().cpu().numpy()
    out *= np.float32(scale)
    return out
