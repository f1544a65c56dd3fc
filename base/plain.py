"""Facts of any kind as plain, strict JSON, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_NOT_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def plain(value: Any) -> Any:
    """``value`` in terms of JSON: mappings, lists, strings and numbers. Arrays become lists, dataclasses mappings, and all else its repr.

    JSON has no infinity and no NaN: they become the words "Infinity", "-Infinity" and "NaN", which ``float`` and `from_json` understand.

    >>> plain({"a": np.arange(2), "b": (1, None), "c": Path("x"), "d": [np.inf, -np.inf]})
    {'a': [0, 1], 'b': [1, None], 'c': 'x', 'd': ['Infinity', '-Infinity']}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return _number(float(value))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if not f.name.startswith("_")}
    return repr(value)


def with_arrays_named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with arrays of more than 1000 numbers replaced by type, shape and SHA-256 of their bytes in C order.

    A record says which volume a run began with; it has no room for the volume.

    >>> with_arrays_named({"iterations": 3, "start": np.zeros((10, 20, 30), np.float32)})["start"]["array"]
    'float32, 10 x 20 x 30'
    """
    return {name: _name_of(value) if isinstance(value, np.ndarray) and value.size > 1000 else value for name, value in settings.items()}


def _name_of(array: np.ndarray) -> dict[str, str]:
    digest = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
    return {"array": f"{array.dtype}, {' x '.join(map(str, array.shape))}", "sha256": digest}


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_json(value: Any, indent: int | None = None, *, sort_keys: bool = False) -> str:
    """``plain(value)`` as strict JSON text in UTF-8; bytes of a file name that are not UTF-8 are escaped."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def from_json(text: str) -> Any:
    """What `to_json` was given, as far as JSON can tell: the words for infinity and NaN become numbers again."""
    return _numbers(json.loads(text))


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
