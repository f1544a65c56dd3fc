"""Counting what a calibration has done of what it will do, for those who watch."""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Callback, Progress


class Steps:
    """Call it after each step; it tells the callbacks how many of ``total`` are done."""

    def __init__(self, callbacks: Sequence[Callback], total: int) -> None:
        self.callbacks, self.total, self.done = callbacks, total, 0

    def __call__(self) -> None:
        """One more step is done."""
        self.done += 1
        for callback in self.callbacks:
            callback(Progress(self.done, max(self.total, self.done)))
