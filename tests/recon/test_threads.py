"""Jobs in threads: each is done once, whatever the number of threads, and an error of any of them arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import pytest
from fewview.recon.projector.compiled.threads import in_threads


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


def _note(first: int, stop: int, done: list[int]) -> None:
    done.extend(range(first, stop))


@pytest.mark.parametrize("jobs", [0, 1, 5, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_job_is_done_once(jobs: int, threads: int) -> None:
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    done: list[int] = []
    in_threads(_note, jobs, done)
    assert sorted(done) == list(range(jobs))


def test_an_error_in_any_portion_is_raised() -> None:
    def kernel(first: int, stop: int, bad: int) -> None:
        if first <= bad < stop:
            raise MemoryError(f"job {bad}")

    for bad in (0, 7, 63):
        with pytest.raises(MemoryError, match=f"job {bad}"):
            in_threads(kernel, 64, bad)
