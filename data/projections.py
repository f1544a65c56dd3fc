"""Projections: measured or simulated line integrals together with the scan to which they belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..base import InputError
from ..base.read_only import ReadOnly
from ..base.shapes import LineIntegrals
from ..geometry import Scan
from ..geometry.scan import view_indices


@dataclass(frozen=True, eq=False)
class Projections:
    """Line integrals -ln(I/I0) in ``values`` [view, row, col], float32 and dimensionless, with their geometry ``scan``.

    ``meta`` holds facts about the whole scan, such as ``photons`` (mean count of an unattenuated pixel), ``voltage_kv`` or ``source``
    (path). ``meta["per_view"]`` maps a name to one number for each view, and a subset of the views takes its part of them. Values are
    read-only.

    Raises InputError for a wrong shape, or for NaN or Inf (one such pixel smears through whole slices).
    """

    values: LineIntegrals
    scan: Scan
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.scan, Scan):
            raise InputError(
                f"the scan of projections is {type(self.scan).__name__}", expected="a Scan", remedy="Projections(values, scan)"
            )
        values = np.asarray(self.values)
        expected = (len(self.scan), *self.scan.shape)
        if values.shape != expected:
            raise InputError(f"projections have shape {values.shape}", expected=f"{expected} (view, row, col), as the scan says")
        if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
            raise InputError(f"projections are of type {values.dtype}", expected="real numbers: line integrals -ln(I/I0)")
        values = np.ascontiguousarray(values, dtype=np.float32)
        if not all(np.isfinite(image).all() for image in values):  # a view at a time: no copy of the whole scan
            view, row, col = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
            count = int(np.count_nonzero(~np.isfinite(values)))
            raise InputError(
                f"{count} pixels are NaN or Inf, the first at view {view}, row {row}, col {col}",
                expected="finite line integrals",
                remedy="mend dead pixels first, for example with fewview.recon.corrections",
            )
        if values is self.values or np.shares_memory(values, self.values):
            values = values.view()
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "meta", ReadOnly(self.meta))

    def __reduce__(self) -> tuple[Any, ...]:
        return Projections, (self.values, self.scan, self.meta)

    def __len__(self) -> int:
        return len(self.scan)

    def __getitem__(self, index: slice | int | ArrayLike) -> Projections:
        """Some of the views, with their values, geometry and facts."""
        keep = view_indices(len(self), index)
        meta = dict(self.meta)
        if "per_view" in meta:
            meta["per_view"] = {name: np.asarray(column)[keep] for name, column in meta["per_view"].items()}
        return Projections(self.values[keep], self.scan[keep], meta)

    def __repr__(self) -> str:
        return f"Projections({self.scan}; values {self.values.min():.4g} to {self.values.max():.4g})"

    def _repr_html_(self) -> str:
        from ..base.notebook import Picture, card

        facts = {"scan": str(self.scan), "line integrals": f"{self.values.min():.4g} to {self.values.max():.4g}"}
        facts |= {name: str(self.meta[name]) for name in ("source", "format") if name in self.meta}
        picks = sorted({0, len(self) // 2, len(self) - 1})
        top = float(np.percentile(self.values[picks], 99.9))
        shown = {f"view {i}, {self.scan.angles_deg[i]:g} deg": Picture(self.values[i], 0.0, top, inverted=True) for i in picks}
        return card("Projections", facts, shown)


def require_projections(thing: object) -> Projections:
    """The projections themselves; for anything else an InputError that says how to make projections from it."""
    if isinstance(thing, Projections):
        return thing
    expected, told = "Projections: line integrals together with their scan", f"a {type(thing).__name__}"
    remedy = "give Projections(array, scan), or fewview.read(path)"
    if isinstance(thing, str | Path):
        told, remedy = f"the path {thing}", f"read them first: fewview.read({str(thing)!r})"
    elif isinstance(thing, Scan):
        told, remedy = "a scan without values", "give Projections(values, scan)"
    elif isinstance(intensity := getattr(thing, "intensity", None), np.ndarray):
        told = f"a {type(thing).__name__} of {intensity.dtype} counts"
        remedy = "give fewview.data.prepare(raw), which makes line integrals of counts"
    elif isinstance(shape := getattr(thing, "shape", None), tuple):
        told = f"an array of shape {shape}"
    raise InputError(f"projections are given as {told}", expected=expected, remedy=remedy)
