"""`ReconCTSegmentation`: a scan of the hind limbs to spine, femora and tibiae, with a confidence for each decision.

The tool of the paper (https://github.com/Tianyu-yu/BoneMet describes it and has no code): threshold 75 of 255, legs by where they are,
the knee where there is least bone. Here bones that are apart stay whole, and the side is told by the leg's own shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from ...base import InputError
from ...base.settings import checked
from ...data.volumes.resample import coarsen
from ...geometry import Grid
from ..masks import grown
from ..measures.asked import checked_volume, found_threshold, require_bone
from .knee import FEMUR, TIBIA
from .leg import LegParts, parts_of_leg
from .legs import find_bodies
from .slice_order import slices_out_of_place

NAMES = ("spine", "left femur", "right femur", "left tibia", "right tibia")
_COARSE_MM = 0.16  # voxel on which decisions are made
_MOST_COARSE = 224  # voxels along an axis there
_SURE = 0.5
_ALIKE = 0.85  # of the bone of one tibia, that the other has at least


@dataclass(frozen=True, eq=False)
class Segmented:
    """``labels`` [z, y, x]: 0 for nothing, k for ``names[k - 1]``. ``confidence`` of each name that was found, 0 to 1; ``doubts`` in words.

    ``knees_mm``: name of the leg -> (x, y, z). ``legs``: what was decided about each, on the coarse grid, for pictures.
    """

    volume: NDArray[np.float32]
    grid: Grid
    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    threshold: float
    confidence: Mapping[str, float]
    doubts: tuple[str, ...]
    knees_mm: Mapping[str, tuple[float, float, float]]
    legs: tuple[LegParts, ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """The bones that are there."""
        return tuple(name for k, name in enumerate(self.names, 1) if (self.labels == k).any())

    @property
    def sure(self) -> bool:
        """Whether every confidence is 0.5 or more."""
        return bool(self.confidence) and min(self.confidence.values()) >= _SURE

    def stack(self, name: str, margin: int = 3) -> tuple[NDArray[np.float32], Grid]:
        """The volume [z, y, x] of one bone, in its own unit, and its grid: its box and ``margin`` voxels around it.

        Other bones are set to the level of their surroundings. Raises InputError for a bone that was not found.
        """
        if name not in self.found:
            raise InputError(f"there is no {name}", expected=f"one of {', '.join(self.found) or 'none'}")
        own = self.labels == self.names.index(name) + 1
        box = ndimage.find_objects(own.astype(np.uint8))[0]
        place = tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(box, own.shape, strict=True))
        part, others = self.volume[place].copy(), grown((self.labels[place] > 0) & ~own[place], 2) & ~grown(own[place], 2)
        around = part[(part <= self.threshold) & ~others]
        part[others] = float(np.median(around)) if around.size else float(part.min())
        origin = self.grid.origin_mm + self.grid.voxel_mm * np.array([s.start for s in place[::-1]])
        center = origin + (np.array(part.shape[::-1]) - 1) / 2 * self.grid.voxel_mm
        return part, Grid((part.shape[0], part.shape[1], part.shape[2]), self.grid.voxel_mm, tuple(float(c) for c in center))  # type: ignore[arg-type]


@checked(of="ReconCTSegmentation")
class ReconCTSegmentation:
    """Recon-CT to bones: ``ReconCTSegmentation(threshold=75)(volume, grid)``.

    Args:
        threshold: what is above it is bone, in the unit of the volume; None for ``rule``.
        rule: "75/255" of the brightest level for 8-bit volumes and Otsu's for others, or "otsu" for all.
    """

    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    rule: Literal["75/255", "otsu"] = "75/255"

    def __call__(self, volume: NDArray[Any], grid: Grid) -> Segmented:
        """The bones of a volume [z, y, x] with one leg or two, whose z axis runs roughly along them.

        What is doubtful is in ``doubts``, and lowers the confidence. Raises InputError where there is no bone, or one bone alone.
        """
        level = 75.0 if self.threshold is None and self.rule == "75/255" and volume.dtype == np.uint8 else self.threshold
        values = checked_volume(volume, grid)
        threshold, _ = found_threshold(values, level)
        bone = values > threshold
        require_bone(bone, threshold)
        factor = max(1, round(_COARSE_MM / grid.voxel_mm), -(-max(values.shape) // _MOST_COARSE))
        coarse_values = coarsen(values, factor)
        small = coarse_values > threshold
        bodies = find_bodies(small, grid.voxel_mm * factor)
        found = [parts_of_leg(leg, coarse_values, threshold, grid.voxel_mm * factor) for leg in bodies.legs]
        legs = [parts for parts in found if parts is not None]
        if not legs:
            raise InputError(
                "no leg with a knee was found: the volume holds one bone, or the knee is outside it",
                expected="femur and tibia of one leg or two",
                remedy="check the threshold; a single bone needs no segmentation",
            )
        coarse, confidence, doubts = _named(legs, bodies.spine, list(bodies.doubts))
        labels = np.where(bone, _nearest(coarse, bone.shape, factor), 0).astype(np.uint8)
        if out := slices_out_of_place(values):
            doubts.append(f"{len(out)} slices, the first of them {out[0]}, look as if they belonged elsewhere: the slices are not in order")
            confidence = {name: 0.4 * value for name, value in confidence.items()}
        if _touches_ends(labels):
            doubts.append("bone leaves the volume sideways: the field of view is too small")
            confidence = {name: 0.8 * value for name, value in confidence.items()}
        knees = {parts.side or f"leg {n + 1}": _in_mm(parts.knee, grid, factor) for n, parts in enumerate(legs)}
        return Segmented(values, grid, labels, NAMES, threshold, confidence, tuple(doubts), knees, tuple(legs))


def _named(legs: list[LegParts], spine: NDArray[np.bool_], doubts: list[str]) -> tuple[NDArray[np.uint8], dict[str, float], list[str]]:
    """(label of each coarse voxel, confidence by name, doubts). Two legs are a left and a right one, whatever one of them says alone."""
    sides = [parts.side for parts in legs]
    trust = [parts.confidence * (0.8 if doubts else 1.0) for parts in legs]
    if len(legs) == 2 and sides[0] == sides[1]:
        surer = int(trust[1] > trust[0])
        doubts.append(f"both legs look like a {sides[0] or 'leg of unknown side'}: the surer of the two decides")
        sides[surer] = sides[surer] or "left"
        sides[1 - surer] = {"left": "right", "right": "left"}[sides[surer]]
        trust = [0.4 * t for t in trust]
    elif "" in sides:
        other = next((s for s in sides if s), "")
        sides = [s or ({"left": "right", "right": "left"}[other] if other else "left") for s in sides]
        if not other:
            trust = [min(t, 0.3) for t in trust]
    if len(legs) == 2 and (unlike := _unlike(legs)):
        doubts.append(unlike)
        trust = [0.45 * t for t in trust]
    coarse, confidence = np.zeros(spine.shape, np.uint8), {}
    for parts, side, value in zip(legs, sides, trust, strict=True):
        for part, bone in ((FEMUR, "femur"), (TIBIA, "tibia")):
            coarse[parts.labels == part] = NAMES.index(f"{side} {bone}") + 1
            confidence[f"{side} {bone}"] = round(value, 3)
        doubts += [f"{side} leg: {doubt}" for doubt in parts.doubts]
    coarse[spine & (coarse == 0)] = 1
    if spine.any():
        confidence["spine"] = 0.9 if len(legs) == 2 else 0.5
    return coarse, confidence, doubts


def _unlike(legs: list[LegParts]) -> str:
    """In words, where one tibia is much larger than the other: they are of one animal, and alike. Femora are cut by the volume's end."""
    small, large = sorted(int(np.count_nonzero(parts.labels == TIBIA)) for parts in legs)
    return f"one tibia has {1 - small / large:.0%} less bone than the other: a knee was taken wrongly" if small < _ALIKE * large else ""


def _nearest(coarse: NDArray[np.uint8], shape: tuple[int, ...], factor: int) -> NDArray[np.uint8]:
    """Every voxel takes the label of the nearest labelled coarse one, within three of them."""
    nearest = np.asarray(ndimage.distance_transform_edt(coarse == 0, return_distances=False, return_indices=True))
    away = ((nearest - np.indices(coarse.shape, dtype=np.int32)) ** 2).sum(axis=0)
    spread = np.where(away <= 9, coarse[tuple(nearest)], 0).astype(np.uint8)
    for axis in range(3):
        spread = spread.repeat(factor, axis)
    place = tuple(slice(0, n) for n in shape)
    spread = spread[place]
    return np.pad(spread, [(0, n - m) for n, m in zip(shape, spread.shape, strict=True)], mode="edge")


def _touches_ends(labels: NDArray[np.uint8]) -> bool:
    """Whether much bone lies on a side of the volume; the ends along z are where a scan stops."""
    faces = (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    return any(np.count_nonzero(face) > 25 for face in faces)


def _in_mm(knee: tuple[float, float, float], grid: Grid, factor: int) -> tuple[float, float, float]:
    z, y, x = ((k + 0.5) * factor - 0.5 for k in knee)
    point = grid.origin_mm + grid.voxel_mm * np.array([x, y, z])
    return float(point[0]), float(point[1]), float(point[2])
