"""Settings as they were annotated: what a command line or a caller gives is fitted to the types of a dataclass, or refused by name."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name", Path: "a file", type(None): "none"}


class _Unfit(Exception):
    """The value is not of that type."""


def fitted(cls: type, given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """``given`` by the annotations of ``cls``: 2.0 is 2 for an ``int``, 1 is 1.0 for a ``float``, a list or a lone value a ``tuple``.

    Annotations of other kinds, and those that cannot be resolved, let everything pass. Raises InputError that names the setting.

    >>> from dataclasses import make_dataclass
    >>> made = make_dataclass("Settings", [("steps", int), ("parts", tuple[str, ...])])
    >>> fitted(made, {"steps": 3.0, "parts": "axis"}, "naf")
    {'steps': 3, 'parts': ('axis',)}
    """
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError):
        return dict(given)
    out = {}
    for name, value in given.items():
        try:
            out[name] = _fit(value, hints.get(name, Any))
        except _Unfit:
            raise InputError(f"{name} of {owner} is {value!r}", expected=_words(hints[name])) from None
    return out


def _fit(value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return _fit_any(value, typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _fit_tuple(value, typing.get_args(hint))
    if hint in _WORDS and hint not in (int, float):
        if hint is bool and isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, hint):
            return value
        raise _Unfit
    if hint is int or hint is float:
        return _fit_number(value, hint)
    return value


def _fit_number(value: Any, hint: type) -> Any:
    """numpy's numbers are fine; True is not 1, and infinity is no whole number."""
    if isinstance(value, bool | str) or not hasattr(value, "__float__") or getattr(value, "shape", ()) != ():
        raise _Unfit
    number = float(value)
    if hint is float:
        return number
    if not number.is_integer():
        raise _Unfit
    return int(value)


def _fit_any(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        if isinstance(hint, type) and type(value) is hint:  # 1 stays 1 for float | int
            return value
    for hint in hints:
        try:
            return _fit(value, hint)
        except _Unfit:
            continue
    raise _Unfit


def _fit_tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if hints[1:] == (...,):
        return tuple(_fit(v, hints[0]) for v in values)
    if len(values) != len(hints):
        raise _Unfit
    return tuple(_fit(v, hint) for v, hint in zip(values, hints, strict=True))


def _words(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_words(h) for h in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        return f"a list of {_words(inner[0])}s".replace("a list of a ", "a list of ") if inner[1:] == (...,) else f"{len(inner)} numbers"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))
