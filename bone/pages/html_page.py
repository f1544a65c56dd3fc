"""A self-contained page of a table, pictures and notes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...base.outputs.ownership import SIGNATURE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """``png``: base64 of the file."""

    title: str
    caption: str
    png: str

    @classmethod
    def of(cls, title: str, caption: str, figure: Figure) -> Picture:
        """From a figure."""
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110, metadata={"Software": SIGNATURE})
        return cls(title, caption, base64.b64encode(out.getvalue()).decode("ascii"))


@dataclass(frozen=True)
class Page:
    """``heads`` and ``lines`` of the table; ``numbers``: its columns of numbers."""

    title: str
    about: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    pictures: Sequence[Picture]
    notes: Sequence[str]
    numbers: Sequence[int] = (1,)
    command: str = ""

    def html(self) -> str:
        """The page as text; it needs no network and no other file."""
        from jinja2 import Environment, StrictUndefined

        from ... import __version__

        text = (files("fewview.bone.pages") / "measure.html.j2").read_text(encoding="utf-8")
        facts: dict[str, Any] = {"signature": SIGNATURE, "version": __version__, "date": datetime.now(UTC).date().isoformat()}
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Environment(autoescape=True, undefined=StrictUndefined).from_string(text).render(**facts, **fields)
