"""Ctrl-C, SIGTERM and a closed terminal: every command ends within two seconds, and leaves nothing but whole outputs."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ..base.outputs.leftovers import drop_all

GRACE_S = 1.5  # seconds after the first signal; the rest of two seconds is for cleaning up
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass
class Heard:
    """The first signal that asked the command to end, or None."""

    number: int | None = None


@contextmanager
def ended_by_signals(lost: str = "", grace_s: float = GRACE_S) -> Iterator[Heard]:
    """The first signal raises KeyboardInterrupt, as Ctrl-C does. After ``grace_s``, or at a second signal, the process ends in any case.

    Python handles a signal only between two of its own steps, and compiled code may run for minutes. Then a thread that waits for the
    signal deletes what is half-written and ends the process; ``lost`` is what it says about lost work. The thread needs Python's lock for
    that, which is why the compiled loops of this package release it (``nogil``), as those of torch and numpy do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Heard()
        return
    heard, (ours, theirs) = Heard(), socket.socketpair()
    theirs.setblocking(False)
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    numbers = [
        number for number in known if signal.getsignal(number) is not signal.SIG_IGN
    ]  # ignored already, as under nohup and in background jobs

    def hear(number: int, frame: Any) -> None:
        if heard.number is None:
            heard.number = number
            raise KeyboardInterrupt

    before = {number: signal.signal(number, hear) for number in numbers}
    woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours, frozenset(map(int, numbers)), grace_s, lost), name="fewview signals", daemon=True).start()
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(woken)
        theirs.close()  # the thread ends
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def as_interruption(heard: Heard) -> Iterator[None]:
    """After a signal every error is the KeyboardInterrupt that it came from.

    Compiled code can turn that into an error of its own: `ndarray.tofile` of numpy 2 makes it a TypeError, where it comes while numpy asks
    what kind of file it was given.

    Raises:
        KeyboardInterrupt: an error came, and a signal before it.
    """
    try:
        yield
    except Exception as error:
        if heard.number is None:
            raise
        raise KeyboardInterrupt from error


def leave(number: int) -> NoReturn:
    """End the process at once when everything is cleaned up; an orderly end of Python, torch and all threads could take seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + number)


def _watch(ours: socket.socket, numbers: frozenset[int], grace_s: float, lost: str) -> None:
    """Wait for signals. Return where the command ends by itself, and end the process where it does not."""
    first, until = None, None
    with ours:
        while until is None or time.monotonic() < until:
            ready, _, _ = select.select([ours], [], [], None if until is None else max(0.0, until - time.monotonic()))
            came = ours.recv(64) if ready else b""
            if ready and not came:
                return
            asked = [number for number in came if number in numbers]
            if first is None and asked:
                first, until = asked[0], time.monotonic() + grace_s
                asked = asked[1:]
            if asked:
                break
    drop_all()
    os.write(2, f"\nfewview: interrupted; what was running could not be stopped in time and was cut off{lost}\n".encode())
    os._exit(128 + (first or signal.SIGINT))
