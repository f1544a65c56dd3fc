"""The correction of a whole volume, made on one tile after the other, so that a volume of any size fits into memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ...base.shapes import Float, Volume
from ..device import require_memory_on
from .network import PatchNetwork
from .scales import Convolutions


def tiled(
    network: PatchNetwork | Convolutions,
    volumes: Sequence[Volume],
    facts: Float[NDArray[np.float32], "facts"],
    scale: float,
    tile: int | None = None,
) -> Float[NDArray[np.float32], "z y x"]:
    """What to add to the first of the ``volumes`` in their unit, computed on tiles that take no more memory than one of ``tile``^3 voxels.

    ``scale`` is the grey scale of the object, which the network calls 1.
    """
    shape, device = volumes[0].shape, next(network.parameters()).device
    edges = tile_of(network, shape, tile or network.tile)
    require_memory_on(device, network.bytes_for(edges), "the layers of tvnet")
    told = torch.from_numpy(np.asarray(facts, np.float32)).to(device)
    out = np.empty(shape, np.float32)
    for corner in np.ndindex(*(-(-n // edge) for n, edge in zip(shape, edges, strict=True))):
        core = tuple(slice(c * edge, min(n, (c + 1) * edge)) for c, n, edge in zip(corner, shape, edges, strict=True))
        with torch.no_grad():
            out[core] = network.on(volumes, core, scale, told).float().cpu().numpy()
    out *= np.float32(scale)
    return out


def tile_of(network: PatchNetwork | Convolutions, shape: Sequence[int], tile: int) -> tuple[int, ...]:
    """The edges of a tile for a volume of this shape: the longest is cut, to a multiple of 4 voxels, until a tile takes no more memory than
    one of ``tile``^3 voxels. What tiles see of one another is computed twice, so that a flat volume is best left in one piece.
    """
    parts = [1] * len(shape)
    while True:
        edges = tuple(n if k == 1 else 4 * -(-n // (4 * k)) for n, k in zip(shape, parts, strict=True))
        if max(edges) <= 4 or network.bytes_for(edges) <= network.bytes_for([tile] * len(shape)):
            return edges
        parts[edges.index(max(edges))] += 1
