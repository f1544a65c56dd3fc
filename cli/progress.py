"""Progress bars on long work; nothing at all where the output is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..recon import Progress


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A callback for `reconstruct` that draws a bar with the method's latest numbers."""
    from tqdm import tqdm

    with tqdm(desc=label, disable=None, leave=False, dynamic_ncols=True) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.total
            numbers = {k: f"{v:.4g}" for k, v in progress.values.items() if isinstance(v, int | float)}
            bar.set_postfix(numbers, refresh=False)
            bar.update(max(0, progress.step - bar.n))

        yield show
