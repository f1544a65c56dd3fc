"""Options of several commands: types with their placeholders, and the ``KEY=VALUE`` pairs of ``--set``."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from ..base import InputError
from ..base.settings import Count, Mm
from ..data.volumes.attenuation import GreyScale
from ..data.volumes.volume_format import readable, written
from ..recon.corrections import Corrections

# The bounds of options: `check_arguments` checks every command line against them before the command runs.
Pixels = Annotated[int, Field(ge=1, le=40_000, description="a whole number of pixels, from 1 to 40000")]
Replicas = Annotated[int, Field(ge=0, le=1000, description="0 (off), 1 (conformal), or 2 to 1000 replicas")]
SearchPixels = Annotated[float, Field(gt=0, le=10_000, description="pixels, above 0 and up to 10000")]

MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
MaybeCount = Annotated[Count | None, tyro.conf.arg(metavar="N")]
MaybeMm = Annotated[Mm | None, tyro.conf.arg(metavar="MM")]
MaybeStep = Annotated[float | None, tyro.conf.arg(metavar="MM")]
MaybePixels = Annotated[SearchPixels | None, tyro.conf.arg(metavar="PIXELS")]
Grey = Annotated[GreyScale, tyro.conf.OmitArgPrefixes]
NO_SCALE = GreyScale()
CorrectionFlags = Annotated[Corrections, tyro.conf.OmitArgPrefixes]
NO_CORRECTION = Corrections.off()
MaybeOutput = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help=f"{written()}; by default SCAN_METHOD_VIEWS.ome.tif here.")]
Volumes = tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(help=f"volumes to scan: {readable()}.")]]
MaybeVolume = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help=f"scan this volume instead of the phantom: {readable()}.")]
Pairs = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE [KEY=VALUE ...]")]


@contextmanager
def explained_by(name: str) -> Iterator[None]:
    """An error about a setting inside the block ends with the command that lists all settings."""
    try:
        yield
    except InputError as error:
        raise error.see(f"see fewview methods {name}") from None


def settings(pairs: Iterable[Iterable[str]]) -> dict[str, Any]:
    """``--set iterations=50 weight=1e-3`` as a mapping. Values are numbers, true/false/none, lists, or text.

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
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text
