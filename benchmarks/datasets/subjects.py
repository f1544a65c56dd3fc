"""What is scanned: a volume from a file, placed in the middle of the field of view, or a phantom made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import UInt8, Volume
from ...data import read_volume
from ...data.phantom.limb import NAMES, hind_limb
from ...data.volumes.attenuation import GreyScale, as_attenuation
from ...geometry import Grid, Scan

FINER = 1.5  # phantoms are made on voxels that are smaller than the scan's pixel at the axis by this factor
_BODY = 0.02  # 1/mm, half of soft tissue; what is above it has to be in the field of view
_MARGIN = 0.97  # share of the field of view that an object may fill


@dataclass(frozen=True, eq=False)
class Scene:
    """A ``volume`` in 1/mm on ``grid``, with ``labels`` where it is a phantom, and ``facts`` for the record."""

    volume: Volume
    grid: Grid
    labels: UInt8[NDArray, "z y x"] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def scene_of_phantom(seed: int, week: int, scan: Scan, lesions: int = 0) -> Scene:
    """The hind limb ``seed`` at ``week``, scaled to the field of view (28.5 mm high at scale 1), on voxels finer than the pixel of the
    scan.
    """
    radius, half_height, pixel = scan.field_of_view_mm
    scale = min(2 * half_height / 28.5, radius / 12.6)
    voxel = pixel / FINER
    across = int(np.ceil(2 * 12.6 * scale / voxel))
    grid = Grid((int(np.ceil(2 * half_height / voxel)), across, across), voxel)
    leg = hind_limb(grid, seed=seed, week=week, lesions=lesions, scale=scale, supersample=2)
    placed = [asdict(lesion) for lesion in leg.lesions]
    facts = {"phantom": "hind_limb", "seed": seed, "week": week, "scale": scale, "lesions": placed, "labels": list(NAMES)}
    return Scene(leg.volume, grid, leg.labels, {**facts, "grid": grid})


def scene_of_volume(path: str | Path, scan: Scan, grey: GreyScale | None = None, voxel_mm: float | None = None, **options: Any) -> Scene:
    """The volume in a file, with its body centred on the axis and made smaller, if necessary, until it fits the field of view.

    ``grey`` says what its numbers mean and ``voxel_mm`` how large its voxels are, where the file does not: see `as_attenuation` and
    `read_volume`, whose ``options`` may be given too. Raises InputError where the values cannot be attenuation, or where nobody can know
    what they are.
    """
    stored, grid, read_facts = read_volume(path, voxel_mm=voxel_mm, **options)
    found = as_attenuation(stored, read_facts, str(path), grey)
    mu = found.volume
    if not float(mu.max()) > _BODY:
        raise InputError(
            f"{path} holds attenuations up to {float(mu.max()):g} 1/mm",
            expected=f"more than the {_BODY:g} 1/mm that tells the body from air",
            remedy="say what its values mean with --window LOW HIGH",
        )
    body = [np.flatnonzero((mu > _BODY).any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    middle = [(b[0] + b[-1]) / 2 - (n - 1) / 2 for b, n in zip(body, mu.shape, strict=True)]
    y, x = np.nonzero((mu > _BODY).any(axis=0))
    across = float(np.hypot(y - (body[1][0] + body[1][-1]) / 2, x - (body[2][0] + body[2][-1]) / 2).max()) + 0.5
    high = (body[0][-1] - body[0][0] + 1) / 2
    radius, half_height, _ = scan.field_of_view_mm
    # Away from the axis the cone is nearer to the source and so less high.
    largest = min(radius / across, half_height / (high + across * half_height / scan.dso_mm))
    voxel = min(grid.voxel_mm, _MARGIN * largest)
    z, y, x = (float(-m * voxel) for m in middle)
    placed = Grid(grid.shape, voxel, (x, y, z))
    facts = {"file": Path(path).name, "attenuation": found.why, "scale": voxel / grid.voxel_mm, "stored_grid": grid, "grid": placed}
    return Scene(mu, placed, None, facts)
