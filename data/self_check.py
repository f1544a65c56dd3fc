"""The result of a reconstruction's self-check: how well volume and views agree, and what a disagreement usually means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, DOUBTFUL, WRONG = "ok", "doubtful", "wrong"

UNSEEN = (
    "a mirror image along the axis (rows upside down)",
    "an overall factor on all lengths or on all attenuation values",
    "a turn of the whole object about the axis",
)


@dataclass(frozen=True)
class Suspicion:
    """One thing that is probably wrong: a ``name`` for programs, a ``size`` in ``unit`` (NaN where there is none), and a ``text`` for
    people.

    Names: axis, roll, sense, step, inverted, repeated, truncation, contradiction, volume, scale.
    """

    name: str
    level: str
    text: str
    size: float = math.nan
    unit: str = ""


@dataclass(frozen=True)
class SelfCheck:
    """How well a volume and its views agree.

    ``error`` is the relative error of a few views projected back from a coarse copy of the volume: the root mean square of the difference
    over that of the views; NaN where the grid holds only a part of what the views see. ``view_errors`` has it for each of these views
    (index of the view -> error), and ``scale`` is the factor on the volume that would make it smallest. ``contradiction`` is the relative
    disagreement of the views among themselves, without any volume: of rays that were measured from both sides, or of the planes that pairs
    of views share (``test`` says which); NaN where the views share neither. ``level`` is "ok", "doubtful" or "wrong"; ``suspicions`` say
    why, the most serious first; ``unseen`` lists what no views can show. ``facts`` are the numbers behind it (shifts in detector pixels,
    degrees, percent), and ``seconds`` is what the check cost.
    """

    error: float
    message: str
    level: str = OK
    suspicions: tuple[Suspicion, ...] = ()
    view_errors: Mapping[int, float] = field(default_factory=dict)
    scale: float = math.nan
    contradiction: float = math.nan
    test: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    unseen: tuple[str, ...] = UNSEEN
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was found that speaks against the volume."""
        return self.level == OK

    def __str__(self) -> str:
        return self.message

    def as_record(self) -> dict[str, Any]:
        """The same as a mapping for strict JSON, with None in place of NaN."""
        return _finite(
            {
                "level": self.level,
                "message": self.message,
                "error": self.error,
                "view_errors": {str(view): error for view, error in self.view_errors.items()},
                "scale": self.scale,
                "contradiction": self.contradiction,
                "test": self.test,
                "suspicions": [vars(s) for s in self.suspicions],
                "facts": dict(self.facts),
                "unseen": list(self.unseen),
                "seconds": self.seconds,
            }
        )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
