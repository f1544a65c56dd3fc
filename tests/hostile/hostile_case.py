"""One case of the hostile corpus, how it is run, and what counts as holding.

A case makes an input, gives it to `fewview`, and says how that may end. Whatever the end, inputs stay as they are byte for byte, nothing
half-written is left, and no error is "a fault of the program".
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hostile_room import Room

REFUSED, WARNED, RIGHT, FINE = "refused", "warned", "right", "fine"
TOLERANCE = 0.05  # of the sound scan's volume, in the Euclidean norm
LIMIT_S = 90
MEMORY_BYTES = 4 * 2**30  # what a case may take on top of what the tests hold already


@dataclass(frozen=True)
class Case:
    """``words(room)`` makes the input and gives the command line. ``ends``: the ends that are allowed.

    refused: exit code 2, one line that holds every one of ``says``, no output; warned: exit code 0 and a warning that holds them, which the
    run record keeps; right: exit code 0 and the volume of the sound scan within 5 %; fine: exit code 0. A word with | is any of its parts.

    ``replaces``: names in the room that the command is allowed to replace. ``around(room)``: a context to run in. ``apart``: run in a
    process of its own, whose files cannot grow beyond that many bytes, for what may end the process.
    """

    name: str
    words: Callable[[Room], Sequence[object]]
    ends: frozenset[str]
    says: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    around: Callable[[Room], Any] | None = None
    apart: int = 0


def refused(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """Cannot be right: an error."""
    return Case(name, words, frozenset({REFUSED}), says, **more)


def warned(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """May be right: the volume, with a warning."""
    return Case(name, words, frozenset({WARNED}), says, **more)


def told(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """An error or a warning, never silence."""
    return Case(name, words, frozenset({REFUSED, WARNED}), says, **more)


def right(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """Odd, and no reason to stop: the volume of the sound scan."""
    return Case(name, words, frozenset({RIGHT}), says, **more)


def right_or_told(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """The volume of the sound scan, or not without a word."""
    return Case(name, words, frozenset({RIGHT, REFUSED, WARNED}), says, **more)


def fine(name: str, words: Callable[[Room], Sequence[object]], *says: str, **more: Any) -> Case:
    """Allowed: exit code 0, and what is printed holds ``says``."""
    return Case(name, words, frozenset({FINE}), says, **more)


@dataclass(frozen=True)
class Outcome:
    """What a command line did: ``faults`` are reasons why the case does not hold, worst first, each with its kind before a colon."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    faults: tuple[str, ...] = field(default=())


class Stuck(BaseException):
    """Longer than the limit."""


def play(case: Case, room: Room, capture: Callable[[], tuple[str, str]], reference: Callable[[], np.ndarray]) -> Outcome:
    """Run a case in its room and judge it."""
    from fewview.cli.main import main

    words = [str(word) for word in case.words(room)]
    before = fingerprint(room.path)
    capture()
    if case.apart:
        done = _apart(words, case.apart)
        faults = tuple(_faults(case, room, done.returncode, done.stdout, done.stderr, before, reference))
        return Outcome(tuple(words), done.returncode, done.stdout, done.stderr, faults)
    with _limits(), case.around(room) if case.around else _nothing():
        try:
            code = main(words)
        except Stuck:
            code = 124
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 99
        except Exception as error:
            code = 98
            print(f"ESCAPED {type(error).__name__}: {error}", file=sys.stderr)
    out, err = capture()
    faults = tuple(_faults(case, room, code, out, err, before, reference))
    return Outcome(tuple(words), code, out, err, faults)


def _apart(words: list[str], file_bytes: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    script = "import sys; from fewview.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=120)


def _faults(
    case: Case, room: Room, code: int, out: str, err: str, before: dict[str, str], reference: Callable[[], np.ndarray]
) -> Iterator[str]:
    after = fingerprint(room.path)
    touched = [name for name, digest in before.items() if after.get(name) != digest and not _within(name, case.replaces)]
    if touched:
        yield f"destroyed data: {', '.join(touched[:3])}"
    if code == 124:
        yield f"hangs: longer than {LIMIT_S} s"
    elif code not in (0, 2) or re.search("fault of the program|Traceback|ESCAPED", err):
        yield f"internal error: exit code {code}"
    rest = [name for name in after if re.search(r"\.(part|old)\.", name)]
    if rest:
        yield f"left over: {rest[0]}"
    new = [name for name in after if name not in before and not _within(name, case.replaces)]
    loose = [name for name in new if name.endswith(".json") and after[name] != "folder" and not _strict_json(room.path / name)]
    if loose:
        yield f"record: {loose[0]} is not strict JSON"
    if code == 2:
        yield from _of_refusal(case, err, new)
    elif code == 0:
        yield from _of_success(case, room, out, err, new, reference)


def _of_refusal(case: Case, err: str, new: Sequence[str]) -> Iterator[str]:
    if REFUSED not in case.ends:
        yield f"refused what is allowed ({', '.join(sorted(case.ends))})"
        return
    last = (err.splitlines() or [""])[-1]
    if not last.startswith("fewview: error") or err.count("fewview: error") != 1:
        yield "unclear: the error is not one line at the end"
    elif lacking := _lacking(case.says, last):
        yield f"unclear: the error lacks {lacking}"
    if new:
        yield f"left over: {new[0]} after an error"


def _of_success(case: Case, room: Room, out: str, err: str, new: Sequence[str], reference: Callable[[], np.ndarray]) -> Iterator[str]:
    if RIGHT in case.ends and (off := _error(room, reference)) <= TOLERANCE:
        return
    if WARNED in case.ends and _warned(case, err):
        records = [room.path / name for name in new if name.endswith(".record.json")]
        if records and not any(_holds(case.says, " ".join(path.read_text(encoding="utf-8").split())) for path in records):
            yield "unclear: the warning is not in the run record"
    elif FINE in case.ends:
        if lacking := _lacking(case.says, out + err):
            yield f"unclear: what was printed lacks {lacking}"
    elif RIGHT in case.ends:
        yield f"wrong volume silently: {off:.1%} off"
    elif WARNED in case.ends:
        yield f"silent: no warning that holds {', '.join(case.says)}"
    else:
        yield "silent: no error"


def _warned(case: Case, err: str) -> bool:
    lines = [line for line in err.splitlines() if line.startswith("fewview: warning")]
    return any(_holds(case.says, line) for line in lines)


def _holds(says: Sequence[str], text: str) -> bool:
    return not _lacking(says, text)


def _lacking(says: Sequence[str], text: str) -> str:
    plain = text.casefold()
    return next((word for word in says if not any(part.casefold() in plain for part in word.split("|"))), "")


def _error(room: Room, reference: Callable[[], np.ndarray]) -> float:
    from fewview.data import read_volume

    volume, sound = read_volume(room.path / "out.h5")[0], reference()
    if volume.shape != sound.shape:
        return float("inf")
    return float(np.linalg.norm(volume - sound) / np.linalg.norm(sound))


def _within(name: str, folders: Sequence[str]) -> bool:
    return any(name == folder or name.startswith(folder + "/") for folder in folders)


def _strict_json(path: Path) -> bool:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except ValueError:
        return False
    return True


def fingerprint(folder: Path) -> dict[str, str]:
    """Every entry below a folder -> what it is: a hash, where a link points, or that it is a folder."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _limits() -> Iterator[None]:
    """No case may hang the tests or eat the machine's memory."""

    def stop(*_: object) -> None:
        raise Stuck

    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    if held:
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
