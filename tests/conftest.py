"""Fixtures shared by all rooms."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if os.environ.get("FEWVIEW_CHECK_SHAPES"):  # as CI does: every array is checked against the shape and type of its annotation, in every call
    sys.path.insert(0, str(Path(__file__).parent))
    from shape_checks import install

    install()

SHARED = Path(os.environ.get("FEWVIEW_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_collection_finish() -> None:
    """What all modules of tests imported stays for good: the collector need not look through it again and again.

    Each record of a benchmark collects garbage, and with torch imported and every function wrapped that took 0.2 to 0.4 s.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real volumes beside the checkout; the test skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set FEWVIEW_SHARED to the folder that holds data/)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread_where_workers_share_the_cores() -> None:
    """`make test` runs several workers at once (pytest-xdist): each takes one core, unless a test asks for more, and so do the processes
    that it starts.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        import numba
        import torch

        numba.set_num_threads(1)
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"  # not numba's own, which may not change once it has threads


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """Where the tests run in the background SIGINT is ignored, and every child would inherit that; the tests of Ctrl-C need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of progress come with time, and tests that compare what was said must not depend on how busy the machine is."""
    monkeypatch.setattr("fewview.cli.progress.EVERY_S", 1e6)


@pytest.fixture(autouse=True)
def _wrong_shapes_reach_the_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test marked ``wrong_shapes`` wants to see what the code itself says of them, so that the check of shapes is off in it."""
    if "wrong_shapes" not in request.keywords or not os.environ.get("FEWVIEW_CHECK_SHAPES"):
        yield
        return
    from jaxtyping import config

    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
