"""What several commands take: types with their placeholders, and the ``KEY=VALUE`` pairs of ``--set``."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..base import InputError

MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
MaybeCount = Annotated[int | None, tyro.conf.arg(metavar="N")]
MaybeMm = Annotated[float | None, tyro.conf.arg(metavar="MM")]
Pairs = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE [KEY=VALUE ...]")]


def settings(pairs: Iterable[Iterable[str]]) -> dict[str, Any]:
    """``--set iterations=50 weight=1e-3`` to a mapping; values are numbers, true/false/none, lists, or text.

    >>> settings([["iterations=50", "filter=hann"], ["weight=1e-3", "positive=true"]])
    {'iterations': 50, 'filter': 'hann', 'weight': 0.001, 'positive': True}
    """
    result: dict[str, Any] = {}
    for pair in (item for group in pairs for item in group):
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"--set {pair}", expected="key=value", remedy="give SCAN before --set")
        result[key.strip().replace("-", "_")] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    if text.lower() in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(text.lower())
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text
