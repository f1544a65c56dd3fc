"""Progress of a long stage: a bar on a terminal, and in a log a line every few seconds with step, share and time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..recon import Progress

EVERY_S = 5.0  # seconds between two lines of a log; a stage that is over sooner says nothing


@dataclass
class _Stage:
    """A running stage: when it began, when its first step was reported, and the latest report."""

    label: str
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    first: tuple[int, float] | None = None
    latest: Progress | None = None

    def __post_init__(self) -> None:
        self.began = self.clock()

    def report(self, progress: Progress) -> None:
        if self.first is None or self.latest is None or progress.step < self.latest.step:  # a stage may have parts, each from its beginning
            self.first = (progress.step, self.clock())
        self.latest = progress

    def line(self) -> str:
        """The progress in one line: ``fista_tv: step 12 of 60 (20%), about 32 s left, residual 0.04``.

        The first step that is reported says nothing about the pace: what was prepared before it may have taken longer.
        """
        now = self.clock()
        so_far = f"{self.label}: {spoken(now - self.began)} so far"
        if self.latest is None or self.first is None:
            return f"{so_far}, before the first step"
        step, total = self.latest.step, self.latest.total
        if step >= total:
            return f"{so_far}, all {total} steps done"
        begun, since = self.first
        if step > begun:
            timing = f"about {spoken((now - since) / (step - begun) * (total - step))} left"
        else:
            timing = f"{spoken(now - self.began)} so far"
        numbers = [f"{name} {value:.4g}" for name, value in self.latest.values.items() if isinstance(value, int | float)]
        return ", ".join([f"{self.label}: step {step} of {total} ({step / total:.0%})", timing, *numbers[:2]])


def spoken(seconds: float) -> str:
    """A duration in the words of a person.

    >>> spoken(8.4), spoken(200), spoken(9000)
    ('8 s', '3.3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A callback for `reconstruct` that shows how far the method is, with its latest numbers."""
    shown = _bar(label) if sys.stderr.isatty() else _log_lines(label)
    with shown as report:
        yield report


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None]]:
    from tqdm import tqdm

    with tqdm(desc=label, leave=False, dynamic_ncols=True) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.total
            numbers = {k: f"{v:.4g}" for k, v in progress.values.items() if isinstance(v, int | float)}
            bar.set_postfix(numbers, refresh=False)
            bar.update(max(0, progress.step - bar.n))

        yield show


@contextmanager
def _log_lines(label: str) -> Iterator[Callable[[Progress], None]]:
    """Print a line to stderr every few seconds from a thread, so that there is no long silence before the first step."""
    stage, over = _Stage(label), threading.Event()

    def speak() -> None:
        while not over.wait(EVERY_S):
            print(stage.line(), file=sys.stderr, flush=True)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield stage.report
    finally:
        over.set()
        speaker.join()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Report a stage and its seconds in one line: on a terminal when it begins, in a log when it is over, because
    other lines come between.
    """
    start, terminal = time.perf_counter(), sys.stdout.isatty()
    print(f"{what} ..." if terminal else "", end=" " if terminal else "", flush=True)
    try:
        yield
    except BaseException:
        print("" if terminal else f"{what} ... stopped", flush=True)
        raise
    print(f"{'' if terminal else what + ' ... '}{time.perf_counter() - start:.1f} s", flush=True)
