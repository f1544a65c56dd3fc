"""fewview's own HDF5 file of projections with their scan and their facts. Numbers come back bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ...base import InputError
from ...base.files import atomic_path
from ...base.memory import require_memory
from ...base.plain import from_json, to_json
from ...base.shapes import LineIntegrals
from ...geometry import Scan
from ..hdf5_access import get_scan, h5_dataset, h5_link, new_h5, open_h5, put_scan
from ..projections import Projections

PROJECTIONS = "fewview projections 1"
_REFERENCE = "dataset in meta_data"

MOST_INTEGRAL = 30.0  # -ln of one photon in 10^13


def write_projections(projections: Projections, path: str | Path, *, force: bool = False) -> Path:
    """Write line integrals, the vectors of the scan and ``meta`` to one .h5 file, which `read` returns unchanged.

    Arrays and scans anywhere in ``meta`` come back bit for bit. Everything else is kept as JSON, so that a tuple comes back as a list and a
    Grid as a mapping.
    """
    path = Path(path)
    if path.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{path} ends in {path.suffix!r}", expected=".h5 or .hdf5")
    with atomic_path(path, force=force) as temporary, new_h5(temporary) as file:
        file.attrs["format"] = PROJECTIONS
        values = file.create_dataset("values", data=projections.values)
        values.attrs["units"] = "1 (line integrals, view row col)"
        put_scan(file.create_group("scan"), projections.scan)
        file.create_dataset("meta", data=to_json(_put_arrays(projections.meta, file.create_group("meta_data"))))
    return path


def read_projections(path: Path) -> Projections:
    """The projections of a file made by `write_projections`; InputError naming the file and what it lacks."""
    with open_h5(path) as file:
        values = h5_dataset(file, "values", path, expected="line integrals")
        require_memory(values.size * 4, f"the projections of {path}")
        for name in ("scan", "meta", "meta_data"):
            if not h5_link(file, name, path):
                raise InputError(f"{path} has no /{name}", expected="a file as write_projections makes it", remedy="write it again")
        try:
            meta = from_json(file["meta"].asstr()[()])
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: /meta is not JSON text ({error})", expected="a file as write_projections makes it") from error
        if not isinstance(meta, dict):
            raise InputError(f"{path}: /meta is a {type(meta).__name__}", expected="a JSON object")
        scan, facts = get_scan(file["scan"], path), _get_arrays(meta, file["meta_data"], path)
        _check_facts(facts, len(scan), path)
        try:
            return Projections(values[()], scan, {**facts, "source": str(path)})
        except InputError as error:
            raise InputError(f"{path}: its {error.given}", expected=error.expected, remedy=error.remedy) from error


class _Facts(TypedDict, total=False):
    """The facts of a scan that other code relies on; a file may hold more."""

    format: str | None
    assumptions: list[str]
    warnings: list[str]
    prepare: dict[str, Any] | None
    corrections: list[dict[str, Any]]
    per_view: dict[str, Any]
    voltage_kv: float | None
    current_ua: float | None
    exposure_ms: float | None
    filter_mm_al: float | None
    photons: float | None
    air_level: float | None


def _check_facts(facts: Mapping[str, Any], views: int, path: Path) -> None:
    whole = "a file as write_projections makes it"
    try:
        TypeAdapter(_Facts).validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path}: /meta: {first['loc'][0]} is {str(facts[str(first['loc'][0])])[:60]!r}", expected=whole) from None
    for name, column in facts.get("per_view", {}).items():
        if np.shape(column) != (views,):
            raise InputError(
                f"{path}: /meta: per_view {name} has shape {np.shape(column)}", expected=f"one number for each of {views} views"
            )


def _put_arrays(value: Any, group: Any) -> Any:
    """``value`` with each array and each scan stored in ``group`` and replaced by a reference to it."""
    if isinstance(value, Mapping):
        return {str(key): _put_arrays(item, group) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_put_arrays(item, group) for item in value]
    name = f"{len(group):04d}"
    if isinstance(value, Scan):
        put_scan(group.create_group(name), value)
        return {_REFERENCE: name}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        group.create_dataset(name, data=value)
        return {_REFERENCE: name}
    return value


def _get_arrays(value: Any, group: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_get_arrays(item, group, path) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {_REFERENCE}:
        return {key: _get_arrays(item, group, path) for key, item in value.items()}
    name = str(value[_REFERENCE])
    if not hasattr(group, "keys") or not h5_link(group, name, path):
        raise InputError(f"{path} has no /meta_data/{name}, which its facts refer to", expected="a file as write_projections makes it")
    stored = group[name]
    return get_scan(stored, path) if "source" in getattr(stored, "keys", list)() else stored[()]


def integral_doubts(values: LineIntegrals, source: str) -> list[str]:
    """Warnings about line integrals that can hardly be those of an object: all equal, as large as counts, or negative."""
    low, high, mean = float(values.min()), float(values.max()), float(values.mean(dtype=np.float64))
    if low == high:
        return [f"{source}: all line integrals are {low:g}: nothing was in the beam, or nothing was written"]
    if high > MOST_INTEGRAL:
        return [f"{source}: line integrals go up to {high:.4g}, and even exp(-{MOST_INTEGRAL:g}) is darkness: these may be counts"]
    if mean < 0 and -low > high:
        return [
            f"{source}: the line integrals are negative, {mean:.3g} in the mean: their sign may be wrong, or these are logarithms of counts"
        ]
    return []
