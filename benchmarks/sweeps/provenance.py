"""Which code made a record, and on which machine. The code is part of every key, so that results of other code are
never reused silently.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...base.record import git_revision

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("base", "geometry", "data", "recon", "nerf", "bone", "benchmarks")  # rooms whose code can change a figure; the command line cannot
_PAGES = ROOT / "benchmarks" / "pages"
_VECTORS = ("sse4", "avx", "fma", "f16c", "neon", "sve", "asimd")


@dataclass(frozen=True)
class Code:
    """The ``version`` of fewview, ``sources`` (a hash of the Python files that can change a figure), and the ``commit`` of the checkout if
    it is one.

    Two checkouts of one commit, one of them changed by hand, differ in ``sources``; a commit that changes only documents does not change
    them.
    """

    version: str
    sources: str
    commit: str | None = None
    modified: bool | None = None

    @property
    def name(self) -> str:
        """The name that keys contain and that ``--accept-code`` takes: ``0.1.0+3fa9c21b04``."""
        return f"{self.version}+{self.sources}"


@lru_cache(maxsize=1)
def this_code() -> Code:
    """The code that is running."""
    from ... import __version__

    git = git_revision() or {}
    return Code(__version__, hash_of_sources(ROOT), git.get("revision"), git.get("modified"))


def hash_of_sources(root: Path, rooms: tuple[str, ...] = ROOMS) -> str:
    """Ten hex digits of the SHA-256 of names and bytes of all Python files in these rooms, without the pages, which change no figure."""
    digest = hashlib.sha256()
    files = sorted(path for room in rooms for path in (root / room).rglob("*.py") if _PAGES not in path.parents)
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]


def machine() -> dict[str, Any]:
    """The machine of a record: the name of the processor and its vector instructions, cores, threads, load, and the GPU if there is one."""
    import numba

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**_fixed(), "threads": numba.get_num_threads(), "load": load}


@lru_cache(maxsize=1)
def _fixed() -> dict[str, Any]:
    """The facts that do not change during the life of the process."""
    import torch
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return {
        "platform": platform.platform(),
        "processor": binding.get_host_cpu_name(),
        "cpu_features": sorted(name for name, here in features.items() if here and name.startswith(_VECTORS)),
        "compiled_for": os.environ.get("NUMBA_CPU_NAME"),  # where numba was told not to use some of them
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def describe(machine: Mapping[str, Any]) -> str:
    """The machine in one line: ``x86_64 znver4 (avx, avx2, ...), 2 cores, 2 thread(s), no GPU``."""
    vectors = ", ".join(machine.get("cpu_features", ())) or "vector instructions not known"
    gpu = machine.get("gpu") or "no GPU"
    other = f", loops compiled for {machine['compiled_for']}" if machine.get("compiled_for") else ""
    return f"{machine.get('processor')} ({vectors}){other}, {machine.get('cores')} cores, {machine.get('threads')} thread(s), {gpu}"
