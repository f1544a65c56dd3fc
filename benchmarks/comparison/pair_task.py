"""One reconstruction in a comparison on paired scans: which animal, which views, which method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ..sweeps.record_check import RecordFacts

DEFAULT = "default"


@dataclass(frozen=True)
class PairTask:
    """One reconstruction. ``inputs`` is the SHA-256 of the scan and its reference, so that a record never outlives a change of the data.

    ``method_hash`` is that of a method's own file or checkpoint, and empty for built-in methods. ``scoring`` says how the result is
    measured (windows, features, alignment), so that a record made with another yardstick is not mistaken for this task's. ``stands_for``
    names the columns that its settings were chosen for: `DEFAULT` for the row of a method's default settings, and names of metrics for the
    row of tuned ones.
    """

    animal: str
    week: int
    views: int
    selection: str
    seed: int
    method: str
    size: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    photons: float | None = None
    inputs: str = ""
    method_hash: str = ""
    scoring: Mapping[str, Any] = field(default_factory=dict)
    stands_for: tuple[str, ...] = (DEFAULT,)

    @property
    def label(self) -> str:
        """The task in words: ``851 week 0, 26 views (evenly), fista_tv, seed 0``."""
        return f"{self.animal} week {self.week}, {self.views} views ({self.selection}), {self.method}, seed {self.seed}"


class PairTaskFacts(BaseModel):
    """The facts of a task that pages read."""

    animal: str
    week: int
    views: int
    selection: str
    seed: int
    method: str
    stands_for: list[str]


class PairRecord(RecordFacts):
    """The facts that pages read of a record that did not fail."""

    task: PairTaskFacts  # type: ignore[assignment]
    seconds: float
    scores: dict[str, dict[str, float]]
