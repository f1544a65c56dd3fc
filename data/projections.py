"""Projections: measured or simulated line integrals, kept together with the scan they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import InputError
from ..geometry import Scan
from ..geometry.scan import view_indices


@dataclass(frozen=True, eq=False)
class Projections:
    """``values`` [view, row, col] float32, line integrals -ln(I/I0), dimensionless; ``scan`` their geometry.

    ``meta`` records facts about the whole scan (``photons``: mean count of an unattenuated pixel; ``voltage_kv``; ``source``: path; ...);
    ``meta["per_view"]`` maps a name to one number a view and follows every subset. Values are read-only.

    Raises InputError for a wrong shape, or for NaN or Inf (one such pixel smears through whole slices).
    """

    values: NDArray[np.float32]
    scan: Scan
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        expected = (len(self.scan), *self.scan.shape)
        if values.shape != expected:
            raise InputError(f"projections have shape {values.shape}", expected=f"{expected} (view, row, col), as the scan says")
        if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
            raise InputError(f"projections are of type {values.dtype}", expected="real numbers: line integrals -ln(I/I0)")
        values = np.ascontiguousarray(values, dtype=np.float32)
        if not np.isfinite(values).all():
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
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __len__(self) -> int:
        return len(self.scan)

    def __getitem__(self, index: slice | int | ArrayLike) -> Projections:
        """A subset of the views: values, geometry and per-view facts together."""
        keep = view_indices(len(self), index)
        meta = dict(self.meta)
        if "per_view" in meta:
            meta["per_view"] = {name: np.asarray(column)[keep] for name, column in meta["per_view"].items()}
        return Projections(self.values[keep], self.scan[keep], meta)

    def __repr__(self) -> str:
        return f"Projections({self.scan}; values {self.values.min():.4g} to {self.values.max():.4g})"
