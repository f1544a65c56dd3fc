"""The most memory that this process has held since a given moment."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path


def reset_peak_memory() -> bool:
    """Start the peak of this process's memory afresh, what was freed given back first; False where the system (not Linux) cannot."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library: freed memory stays in the figure
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory_mib() -> float:
    """The most memory this process has held since the last reset, or in its life where a reset is not possible; NaN on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    if os.name != "posix":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
