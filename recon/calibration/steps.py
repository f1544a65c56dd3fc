"""Counts the steps of a calibration for its callbacks."""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Callback, Progress


class Steps:
    """Called after each step, it tells the callbacks how many of ``total`` are done."""

    def __init__(self, callbacks: Sequence[Callback], total: int) -> None:
        self.callbacks, self.total, self.done = callbacks, total, 0

    def __call__(self) -> None:
        """Count one more step."""
        self.done += 1
        for callback in self.callbacks:
            callback(Progress(self.done, max(self.total, self.done)))
