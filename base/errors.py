"""One way to say what is wrong with an input: what was given, what was expected, the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class InputError(ValueError):
    """Bad input. The message reads ``given; expected ...; remedy``; the command line prints it as one line.

    >>> raise InputError("voxel_mm is -1.0", expected="a positive length in mm")
    Traceback (most recent call last):
    ...
    fewview.base.errors.InputError: voxel_mm is -1.0; expected a positive length in mm
    """

    def __init__(self, given: str, *, expected: str = "", remedy: str = "") -> None:
        self.given, self.expected, self.remedy = given, expected, remedy
        parts = [given, f"expected {expected}" if expected else "", remedy]
        super().__init__("; ".join(part for part in parts if part))

    def see(self, where: str) -> Self:
        """The same error, its message ending in where to read on."""
        self.args = (f"{self.args[0]}; {where}",)
        return self


class UnknownNameError(InputError, KeyError):
    """A name that is not one of the known ones; the message lists the nearest and all of them."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
        super().__init__(
            f"unknown {kind} {name!r}",
            expected=f"one of {', '.join(names)}" if names else "nothing: none is available",
            remedy=f"did you mean {' or '.join(near)}?" if near else "",
        )

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class MissingBackendError(InputError, RuntimeError):
    """A backend, device or optional package that was asked for and is not here."""
