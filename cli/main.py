"""`fewview`: find the command, run it, and turn errors into one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any

from ..base import UnknownNameError
from ..base.record import kept_warnings
from ..benchmarks.studies.study_table import STUDIES
from .interrupts import Heard, as_interruption, ended_by_signals, leave
from .terminal import any_letter, one_line, printable

_INTERRUPTED = "interrupted; nothing half-written is left under a final name"


@dataclass(frozen=True)
class Command:
    """The place of a command's function (``module:function`` beside this file, imported when it is run), and what it does in one line.

    ``study``: the function makes the command of this study.
    """

    place: str
    summary: str
    study: str = ""

    def load(self) -> Callable[..., Any]:
        """The function. Its annotations and docstring become the arguments and the help of the command."""
        module, _, name = self.place.partition(":")
        found = getattr(importlib.import_module(f".{module}", __package__), name)
        return found(self.study) if self.study else found


# A new command is one file with one function, and one line here.
COMMANDS = {
    "demo": Command("demo:demo", "simulate a scan, reconstruct it from 260, 52 and 26 views, and write a report"),
    "doctor": Command("doctor:doctor", "show what this machine offers: cores, GPU, backends, optional packages, a self-check"),
    "info": Command("info:info", "show the geometry of a scan and the assumptions behind it"),
    "recon": Command("recon:recon", "reconstruct a volume from a scan, or from some of its views"),
    "methods": Command("methods:methods", "list the methods, and every setting with its default, unit and bounds"),
    "calibrate": Command("calibrate:calibrate", "find axis shift, optical row and roll of a scan from its own projections"),
    "simulate": Command("simulate:simulate", "make from volumes the scan folders that a scanner would have written"),
    "train": Command("train:train", "train a neural method on a folder of scans"),
    **{f"bench {name}": Command("bench:study_command", place.summary, study=name) for name, place in STUDIES.items()},
    "bench table2": Command("comparison:table2", STUDIES["table2"].summary),
    "bench views": Command("comparison:views", STUDIES["views"].summary),
    "bench board": Command("board:board", "published rows of a public data set beside ours, by the same measure"),
    "bench speed": Command("bench:speed", "measure the speed of the operator and of FDK on this machine, also beside other packages"),
    "report": Command("report:report", "turn the results of a benchmark into one self-contained page"),
    "bone segment": Command("bone_segment:segment", "split a CT volume into spine, femora and tibiae"),
    "bone register": Command("bone_register:register", "align a bone to a reference, or to its own first week"),
    "bone roi": Command("bone_roi:roi", "compose two weeks of a bone below the tibia-fibula junction: what was lost, what is new"),
    "bone measure": Command("bone_measure:measure", "measure a bone: BV/TV, Tb.Th, Ct.Ar, pMOI and other quantities, with a page"),
    "bone follow": Command("bone_follow:follow", "follow the quantities of one animal over the weeks, and say what changed"),
    "data list": Command("data:list_", "the external data sets and weight files that fewview can use"),
    "data fetch": Command("data:fetch", "download a data set, or a part of it, with hash check and resume"),
    "data verify": Command("data:verify", "check downloaded files against the manifest"),
}


def available() -> dict[str, Command]:
    """The commands whose module is part of this installation."""
    here = {c.place.partition(":")[0] for c in COMMANDS.values()}
    here = {module for module in here if importlib.util.find_spec(f"{__package__}.{module}")}
    return {name: command for name, command in COMMANDS.items() if command.place.partition(":")[0] in here}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. The exit code is 0 done, 1 a fault of fewview or of a method, 2 bad input, 130 Ctrl-C, 143 SIGTERM.

    Without ``argv`` it is the command line of the process, and signals end the process within two seconds whatever it is doing. With
    ``argv`` the process belongs to the caller, and so do its signals.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if argv is not None:
        with any_letter():
            return _outcome(words, debug, Heard())
    try:
        with any_letter(), ended_by_signals(_LOST.get(words[0] if words else "", "")) as heard:
            code = _outcome(words, debug, heard)
            if heard.number is not None:
                leave(heard.number)
            return code
    except KeyboardInterrupt:  # a signal between two of the lines above
        return 130


_LOST = {
    "recon": "; the volume of the last whole step, if there was one, went with it, and finished slabs are kept: the same command continues",
    "train": "; --resume continues from what was saved last",
    "bench": "; the same command continues where it was",
}


def _outcome(words: list[str], debug: bool, heard: Heard) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            with as_interruption(heard), kept_warnings():  # each is shown once, however often a command opens the same scan
                return _run(words)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, 130, debug, label="")
    except BrokenPipeError:  # `fewview info SCAN | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _fail(*_explained(error), debug)


def _explained(error: Exception) -> tuple[str, int]:
    """The line that explains an error, and the exit code."""
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").startswith("fewview"):
            return _fault(error), 1
        return f"the Python package {error.name!r} is not installed; `fewview doctor` says what brings it", 2
    if isinstance(error, MemoryError):
        return f"not enough memory ({error or 'an array could not be allocated'}); take a larger --voxel-mm or a smaller --box", 2
    if isinstance(error, ValueError | OSError):  # InputError is a ValueError
        return one_line(error), 2
    if type(error).__name__ == "OutOfMemoryError":  # torch's own, of a card
        return f"not enough memory on the device ({one_line(error)}); take a larger --voxel-mm or a smaller --box", 2
    return _fault(error), 1


def _run(words: list[str]) -> int:
    known = available()
    if words in ([], ["--help"], ["-h"], ["help"]):
        print(overview(known))
        return 0 if words else 2
    if words == ["--version"]:
        from .. import __version__

        print(f"fewview {__version__}")
        return 0
    name, rest = _split(words, known)
    if name not in known:  # a group, such as `fewview bench`
        members = {n: c for n, c in known.items() if n.startswith(name + " ")}
        if not rest or rest[0] in ("--help", "-h"):
            print(overview(members))
            return 0 if rest else 2
        raise UnknownNameError(f"command of fewview {name}", rest[0], [n.split()[1] for n in members])
    return _call(name, known[name].load(), rest)


def _split(words: list[str], known: dict[str, Command]) -> tuple[str, list[str]]:
    if " ".join(words[:2]) in known:
        return " ".join(words[:2]), words[2:]
    if words[0] in known or words[0] in {name.split()[0] for name in known}:
        return words[0], words[1:]
    raise UnknownNameError("command", words[0], {name.split()[0] for name in known})


def _call(name: str, function: Callable[..., Any], words: list[str]) -> int:
    """Parse the words according to the function's signature and call it; a number that it returns is the exit code."""
    import tyro

    from ..base.settings import arguments_of

    description, _, _ = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:")
    options = {"prog": f"fewview {name}", "description": description, "config": (tyro.conf.FlagCreatePairsOff,)}
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):  # only the parsing is inside the capture of tyro's error box
            given = arguments_of(function, words, **options)
    except SystemExit as stop:
        if stop.code:
            return _fail(_unbox(complaint.getvalue(), f"fewview {name} --help"), 2, False)
        return 0  # --help
    code = function(*given.args, **given.kwargs)
    return code if isinstance(code, int) else 0


def overview(commands: dict[str, Command]) -> str:
    """The help page with every command in one line."""
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join(
        [
            "usage: fewview COMMAND [ARGUMENTS]      fewview COMMAND --help explains one, with examples",
            "",
            "Cone-beam CT from few X-ray views, and how far the result can be trusted.",
            "",
            *lines,
            "",
            "Anywhere: --debug shows the traceback of an error. Outputs are replaced only with --force, and then only what fewview wrote.",
            "Exit codes: 0 done, 1 a fault of the program or of a method, 2 bad input, 130 interrupted (143 by SIGTERM).",
        ]
    )


def _warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None) -> None:
    print(f"fewview: warning: {printable(str(message))}", file=sys.stderr)


def _fail(message: str, code: int, debug: bool, label: str = "error: ") -> int:
    if debug:
        traceback.print_exc()
    print(f"fewview: {label}{message}", file=sys.stderr)
    return code


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)} (a fault of the program or of the method; --debug shows where)"


def _unbox(text: str, page: str) -> str:
    """The message inside the box that tyro draws around a parse error, in one line that ends with the ``page`` to look at.

    On a terminal that has only ASCII, the box is a title and lines of hyphens.
    """
    body = re.sub(r"[╭╰].*|[│╮╯]", "", text) if "╭" in text else re.sub(r"\A[^\n]*\n\s*-{3,}", "", text)
    body = re.sub(r"(?s)Got errors:.*?(?=[─-]{3,})", "", body)
    parts = [" ".join(part.split()).rstrip(".") for part in re.split(r"[─-]{3,}", body)]
    said = "; ".join(part for part in parts if part and not part.startswith(("For full helptext", "Argument helptext")))
    said = re.sub(r"Perhaps you meant: (--[\w-]+).*", r"did you mean \1?", said)
    if group := re.match(r"Error parsing (\w+): (?=\w)", said):  # a settings class that checks itself; its names are those of the options
        said = re.sub(r"^(\w+)(?= of| is)", lambda found: f"--{found[1].replace('_', '-')}", said[group.end() :])
        from ..pipeline.explained import groups

        return f"{said}; see fewview methods {group[1]}" if group[1] in groups() else f"{said} (see {page})"
    return f"{said} (see {page})"
