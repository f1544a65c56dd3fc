"""Output for any terminal: every letter is printed or spelled out, and an error is one line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def any_letter() -> Iterator[None]:
    """A letter that the terminal does not have (LANG=C), or a file name that is not text, is printed as its code and stops nothing."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)


def one_line(error: BaseException) -> str:
    """The message of an error as one line that names the file, where the system's own message is about one."""
    if isinstance(error, FileNotFoundError) and not here():
        return "the current folder was deleted; expected one that is there; change to another folder, or give whole paths"
    if isinstance(error, OSError) and error.strerror:
        return f"{printable(str(error.filename or error.__class__.__name__))}: {error.strerror.lower()}"
    return printable(str(error)) or type(error).__name__


def printable(text: str) -> str:
    """The text without line breaks and repeated blanks."""
    return " ".join(text.split())


def here() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
