"""Warnings that are shown and kept, for the record of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def kept_warnings() -> Iterator[Sequence[str]]:
    """The warnings of the block, each shown once, and kept for the record."""
    kept: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(message: Warning | str, *where: Any, **more: Any) -> None:
            if str(message) not in kept:
                kept.append(str(message))
                show(message, *where, **more)

        warnings.showwarning = keep
        yield kept
