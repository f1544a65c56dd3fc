"""Independent jobs on all cores, by threads of Python's around compiled loops that hold no lock.

Numba's own parallel loops (``prange``) compile all that is called inside them five times over, once for each function that they wrap around
the loop. Here it is compiled once, which halves the time that the first call takes. Jobs are given out as threads become free.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from numba import get_num_threads

_PORTIONS = 16  # for each thread: so many that none waits long for the last, and so few that giving them out costs nothing


def in_threads(kernel: Callable[..., None], jobs: int, *given: object) -> None:
    """Call ``kernel(first, stop, *given)`` for portions of the jobs 0 to ``jobs`` - 1, on as many threads as numba is given.

    The kernel is compiled with ``nogil``, and no job writes where another one reads or writes.
    """
    threads = min(get_num_threads(), jobs)
    size = max(1, jobs // (_PORTIONS * max(threads, 1)))
    portions = iter(range(0, jobs, size))  # shared: taking the next one is a single step of the interpreter

    def work() -> None:
        for first in portions:
            kernel(first, min(first + size, jobs), *given)

    if threads < 2:
        work()
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
    for other in others:
        other.result()
