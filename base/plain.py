"""Facts of any kind as plain JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """``value`` as what JSON knows: mappings, lists, strings, numbers; arrays become lists, dataclasses mappings, the rest its repr.

    >>> plain({"a": np.arange(2), "b": (1, None), "c": Path("x")})
    {'a': [0, 1], 'b': [1, None], 'c': 'x'}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if not f.name.startswith("_")}
    return repr(value)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text of ``plain(value)``."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False)
