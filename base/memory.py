"""Ask before allocating: how much memory is left, and a clear refusal when it is not enough."""

from __future__ import annotations

import os
from pathlib import Path

from . import InputError

GIB = 2**30


def available_bytes() -> int | None:
    """The memory that can still be allocated without swapping, within the limit of a container; None where the system does not say."""
    found = [value for value in (_meminfo(), _cgroup()) if value is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def require_memory(
    needed_bytes: int,
    what: str,
    remedy: str = "use fewer views, bin the detector, or a machine with more memory",
    available: int | None = None,
) -> None:
    """Raise InputError, with both numbers and a remedy, where ``needed_bytes`` are not free (``available``: on another device than this
    machine).
    """
    available = available_bytes() if available is None else available
    if available is not None and needed_bytes > available:
        raise InputError(f"{what} need {_gib(needed_bytes)} of memory and {_gib(available)} are free", remedy=remedy)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / GIB:.3g} GiB"


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup() -> int | None:
    """The memory left under the limit of a version-2 control group; the page cache can be dropped and counts as free."""
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        stat = (root / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    cached = next((int(line.split()[1]) for line in stat if line.startswith("inactive_file ")), 0)
    return max(0, int(limit) - used + cached)
