"""What a run record says of the command line."""

from __future__ import annotations

import sys


def command_line() -> str:
    """What was typed, as near as the process knows it."""
    return " ".join(["fewview", *sys.argv[1:]])
