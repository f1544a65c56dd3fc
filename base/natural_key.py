"""File names in the order that a person expects: numbers count as numbers."""

from __future__ import annotations

import re
from pathlib import Path


def natural_key(name: str | Path) -> list[tuple[int, int, str]]:
    """A sort key that reads numbers as numbers, whatever the case.

    >>> sorted(["xray_10.PNG", "xray_2.png", "Xray_1.PNG"], key=natural_key)
    ['Xray_1.PNG', 'xray_2.png', 'xray_10.PNG']
    """
    parts = re.split(r"(\d+)", str(name).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
