"""Paired scans at the size used for training, and the changes to them that leave the physics intact: turning and mirroring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...base.memory import require_memory
from ...base.record import sha256
from ...base.shapes import Shaped, ViewIndices, Volume
from ...data import Projections, read_volume
from ...data.pairs import Pair
from ...data.volumes.resample import resample
from ...geometry import Grid, Scan, transform
from ...recon import fdk
from ...recon.corrections.prepared import prepared_views
from ..field.naf import binned
from .learner import Example

T = TypeVar("T", bound=np.generic)
AUGMENTATIONS = ("none", "quarter", "any")
TARGETS = ("recon-ct", "truth")
SELECTIONS = ("evenly", "random")


def load_examples(
    pairs: Sequence[Pair], size: int, target: str = "recon-ct", progress: Callable[[int, int, str], None] | None = None
) -> list[Example]:
    """All pairs as examples with ``size`` voxels across the field of view and the detector binned to match; see `Example`.

    The views are corrected as Recon-CT was, where the data set says how (`prepared_views`): as every benchmark gives them to every method.
    With ``target`` "recon-ct" the reference is Recon-CT; with "truth" it is the volume that was scanned, where a simulated data set kept
    it. ``progress(done, total, name)`` is called before each. Raises InputError for a size below 8, for Recon-CT that does not cover the
    field of view, for a truth that was not kept, and where they do not all fit into memory.
    """
    if target not in TARGETS:
        raise UnknownNameError("target", target, TARGETS)
    found: list[Example] = []
    for done, pair in enumerate(pairs):
        if progress:
            progress(done, len(pairs), pair.name)
        whole = prepared_views(pair, size)
        grid = Grid.across(whole.scan, size)
        if not found:
            pixels = whole.values.size * min(1.0, whole.scan.field_of_view_mm.pixel_mm / grid.voxel_mm) ** 2
            require_memory(int(4 * len(pairs) * (pixels + np.prod(grid.shape))), f"{len(pairs)} scans", "take a smaller --size")
        data, print_of = binned(whole, grid.voxel_mm), pair.fingerprint()
        if target == "truth":
            volume, own, print_of = _truth(pair, print_of)
            reference = resample(volume, own, grid)
        else:
            reference = _recon_ct(pair, data, grid)
        found.append(Example(pair.name, pair.animal, data, grid, reference, print_of, pair.window))
    if progress:
        progress(len(pairs), len(pairs), "")
    return found


def _recon_ct(pair: Pair, data: Projections, grid: Grid) -> Volume:
    """Recon-CT; where NRecon cropped it, the FDK of all views, so that a network does not learn that an animal ends there."""
    volume, known = pair.reference_on(grid)
    return np.asarray(volume if known is None else np.where(known, volume, fdk(data, grid)), dtype=np.float32)


def _truth(pair: Pair, fingerprint: str) -> tuple[NDArray[np.float32], Grid, str]:
    """The scanned volume, its grid, and a fingerprint of both."""
    if pair.truth is None:
        raise InputError(
            f"the data set has no truth of {pair.name}", expected="a simulated one that kept it", remedy="take --target recon-ct"
        )
    volume, own, _ = read_volume(pair.truth)
    return volume, own, f"{fingerprint} truth {sha256(pair.truth)}"


def draw_views(scan: Scan, counts: Sequence[int], selections: Sequence[str], generator: torch.Generator) -> ViewIndices:
    """The views that one training step sees: their number is one of ``counts`` and their selection one of ``selections``, both drawn at
    random.

    "evenly" starts at a random view, with a spacing of no less than a share of the scan and no more than from its first view to its last.
    "random" takes any views. Raises InputError for a number that the scan does not have, and UnknownNameError for another selection.
    """
    total = len(scan)
    for count in counts:
        if int(count) != count or not 1 <= count <= total:
            raise InputError(f"{count} views in a step", expected=f"whole numbers from 1 to {total}, the views of a scan")
    for selection in selections:
        if selection not in SELECTIONS:
            raise UnknownNameError("selection of views", selection, SELECTIONS)
    if not counts or not selections:
        raise InputError("no number of views, or no selection", expected="at least one of each")
    which, how, spread, first = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    count = int(counts[int(which * len(counts))])
    if selections[int(how * len(selections))] == "random":
        return np.sort(torch.randperm(total, generator=generator)[:count].numpy()).astype(np.intp)
    step = total / count if count == 1 else (1 - spread) * total / count + spread * (total - 1) / (count - 1)
    start = first * (total - 1 - (count - 1) * step) if count > 1 else first * (total - 1)
    return np.floor(max(start, 0) + np.arange(count) * step + 0.5).astype(np.intp).clip(0, total - 1)


def augmented(example: Example, how: str, generator: torch.Generator) -> Example:
    """The same scan of the animal in another position.

    "quarter" turns it by 0, 90, 180 or 270 degrees and mirrors it or not, which is exact to the bit in the volume; "any" turns it by any
    angle (the volume is interpolated) and mirrors it or not; "none" leaves it as it is. The projections stay as they are (a mirrored scan
    has its columns reversed), because source and detector turn with the animal.
    """
    if how not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", how, AUGMENTATIONS)
    if how == "none":
        return example
    turn, flip = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    moved = mirrored(example) if flip < 0.5 else example
    if how == "any":
        return turned(moved, 360 * turn)
    quarters = int(4 * turn) if example.grid.shape[1] == example.grid.shape[2] else 2 * int(2 * turn)
    return replace(turned(moved, 90 * quarters), before=example, quarters=quarters, mirror=flip < 0.5)


def moved_along(volume: Shaped[NDArray[T], "*channels z y x"], example: Example) -> Shaped[NDArray[T], "*channels z y2 x2"]:
    """A volume that was made of the example before it was mirrored and turned, as it would be made of it now; its unit does not change."""
    flipped = volume[..., ::-1] if example.mirror else volume
    return np.ascontiguousarray(np.rot90(flipped, example.quarters, axes=(-1, -2)))


def turned(example: Example, degrees: float) -> Example:
    """The example turned counter-clockwise (seen from +z) about the middle of its grid. Quarter turns change no voxel value."""
    if degrees % 360 == 0:
        return example
    grid = example.grid
    rotation = transform.rotation_matrix((0, 0, 1), degrees)
    center = np.array(grid.center_mm)
    scan = transform.move(example.projections.scan, rotation, center - rotation @ center)
    scan = Scan(scan.shape, scan.source, scan.detector, scan.u, scan.v, scan.angles_deg + degrees)
    if degrees % 90 == 0 and (degrees % 180 == 0 or grid.shape[1] == grid.shape[2]):
        volume = np.rot90(example.reference, round(degrees / 90), axes=(2, 1))  # from x towards y
    else:
        from scipy.ndimage import rotate

        volume = rotate(example.reference, -degrees, axes=(2, 1), reshape=False, order=1, mode="constant")
    return replace(example, projections=Projections(example.projections.values, scan, example.projections.meta), reference=_own(volume))


def mirrored(example: Example) -> Example:
    """The example mirrored in the plane x = middle of its grid, with the columns of the detector reversed so that
    it is right-handed again.
    """
    p, flip = example.projections, np.array([-1.0, 1.0, 1.0])
    shift = np.array([2 * example.grid.center_mm[0], 0.0, 0.0])
    scan = Scan(
        p.scan.shape, p.scan.source * flip + shift, p.scan.detector * flip + shift, p.scan.u * flip, p.scan.v * flip, -p.scan.angles_deg
    )
    values = np.ascontiguousarray(p.values[:, :, ::-1])
    return replace(
        example, projections=Projections(values, transform.flip_cols(scan), p.meta), reference=_own(example.reference[:, :, ::-1])
    )


def _own(volume: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(volume, dtype=np.float32)
