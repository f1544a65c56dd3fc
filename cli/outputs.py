"""What the outputs of commands have in common: how a run record names the command line, and the endings of files."""

from __future__ import annotations

import sys
from pathlib import Path

from ..base import InputError


def command_line() -> str:
    """What was typed, as far as the process knows it."""
    return " ".join(["fewview", *sys.argv[1:]])


def require_ending(option: str, path: Path, *endings: str) -> None:
    """InputError, before any work, where the ending of a file name contradicts what will be written."""
    if path.suffix.lower() not in endings:
        raise InputError(f"{option} {path}", expected=f"a name that ends in {' or '.join(endings)}")
