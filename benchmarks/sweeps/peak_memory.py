"""The most memory that this process has held since a given moment."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path


def reset_peak_memory() -> bool:
    """Restart the record of this process's peak memory after returning freed memory; False where the system (not Linux) cannot."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # with another C library freed memory is still counted
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory_mib() -> float:
    """The most memory in MiB that this process has held since the last reset, or ever where no reset is possible; NaN on Windows."""
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
