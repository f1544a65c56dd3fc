"""RawScan: detector counts as they were measured or simulated, before flat-field correction and the logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.read_only import ReadOnly
from ...geometry import Scan
from ...geometry.scan import view_indices
from ...geometry.transform import bin_pixels
from ..images.binning import bin_counts
from ..images.stack import ImageStack, load_images
from ..images.view_subset import Subset


@dataclass(frozen=True, eq=False)
class RawScan:
    """Detector counts in ``intensity`` [view, row, col] (uint16 or float32) with the ``scan`` to which they belong.

    ``flat`` (open beam) and ``dark`` (no beam) are counts [row, col] or [k, row, col], or None, since most SkyScan images were
    flat-corrected by the scanner. ``meta`` holds facts about the scan: ``voltage_kv``, ``photons`` (mean count of an unattenuated pixel),
    ``air_level`` (the grey value of air, where it is known), ``source`` (path), the sections of a log file, and ``per_view`` (a name to one
    number for each view). `fewview.data.prepare` makes `Projections` of it.

    Raises InputError for a wrong shape or a type that is not a number. NaN and zero counts are left to `prepare`.
    """

    intensity: NDArray[Any]
    scan: Scan
    flat: NDArray[Any] | None = None
    dark: NDArray[Any] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_numbers("intensity", self.intensity)
        expected = (len(self.scan), *self.scan.shape)
        if self.intensity.shape != expected:
            raise InputError(f"intensity has shape {self.intensity.shape}", expected=f"{expected} (view, row, col), as the scan says")
        for name, field_image in (("flat", self.flat), ("dark", self.dark)):
            if field_image is None:
                continue
            _check_numbers(name, field_image)
            if field_image.ndim not in (2, 3) or field_image.shape[-2:] != self.scan.shape or field_image.size == 0:
                raise InputError(
                    f"{name} has shape {field_image.shape}",
                    expected=f"{self.scan.shape} (row, col) or (k, {self.scan.shape[0]}, {self.scan.shape[1]}), the size of the panel",
                )
        object.__setattr__(self, "meta", ReadOnly(self.meta))

    def __len__(self) -> int:
        return len(self.scan)

    def __repr__(self) -> str:
        extras = [name for name, image in (("flat", self.flat), ("dark", self.dark)) if image is not None]
        return f"RawScan({self.scan}; {self.intensity.dtype} counts{', ' if extras else ''}{', '.join(extras)})"


@dataclass(frozen=True, eq=False)
class RawSource:
    """A raw scan whose images are still on disk; ``views[i]`` reads view i."""

    views: ImageStack
    scan: Scan
    flat: NDArray[Any] | None = None
    dark: NDArray[Any] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def load(self, progress: bool = False) -> RawScan:
        """All views in memory, in the type that the files have."""
        return RawScan(load_images(self.views, progress), self.scan, self.flat, self.dark, self.meta)

    def part(self, views: Any = None, binning: int = 1) -> RawSource:
        """Some of the views, binned as they are read: a slice, indices, a mask, or a function of the scan that returns one of them."""
        if views is None and binning == 1:
            return self
        chosen: Any = views(self.scan) if callable(views) else slice(None) if views is None else views
        keep = view_indices(len(self.scan), chosen)
        meta = dict(self.meta)
        if "per_view" in meta:
            meta["per_view"] = {name: np.asarray(column)[keep] for name, column in meta["per_view"].items()}
        scan = bin_pixels(self.scan[keep], binning)
        flat, dark = (None if frames is None else bin_counts(frames, binning) for frames in (self.flat, self.dark))
        return RawSource(Subset(self.views, keep, binning), scan, flat, dark, {**meta, **_binned_facts(meta, self.scan.shape, binning)})


def _binned_facts(meta: Mapping[str, Any], shape: tuple[int, int], binning: int) -> dict[str, Any]:
    """The facts that binning changes: the photons of a pixel, and what is left over."""
    if binning == 1:
        return {}
    facts: dict[str, Any] = {"photons": float(meta["photons"]) * binning**2} if meta.get("photons") else {}
    left = [f"{n % binning} {name}" for n, name in zip(shape, ("rows", "columns"), strict=True) if n % binning]
    if left:
        told = f"binning {binning}: {' and '.join(left)} of {shape[0]} x {shape[1]} are left over, and left out at both edges alike"
        facts["assumptions"] = [*meta.get("assumptions", ()), told]
    return facts


def _check_numbers(name: str, array: NDArray[Any]) -> None:
    if not isinstance(array, np.ndarray) or not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{name} is of type {found}", expected="a numpy array of real numbers: detector counts")
