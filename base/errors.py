"""One way to say what is wrong with an input: what was given, what was expected, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
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
        """The same error with a message that ends with the place to read on."""
        self.args = (f"{self.args[0]}; {where}",)
        return self


class UnknownNameError(InputError, KeyError):
    """A name that is not among the known ones. The message lists all of them and suggests the nearest."""

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
    """A backend, device or optional package that was asked for is not available on this machine."""


@contextmanager
def about(path: str | Path) -> Iterator[None]:
    """An InputError in the block that does not name the file or folder is raised again with that name in front.

    >>> with about("scan.h5"):
    ...     raise InputError("u has 3 rows", expected="52")
    Traceback (most recent call last):
    ...
    fewview.base.errors.InputError: scan.h5: u has 3 rows; expected 52
    """
    try:
        yield
    except UnknownNameError:
        raise
    except InputError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error.given}", expected=error.expected, remedy=error.remedy) from error


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """The same as `about`, for code that takes a foreign file apart.

    An error that no reader expected, such as a text where a number belongs, comes from the contents of the file. It becomes an InputError
    that names the file, and the original error stays its cause.
    """
    try:
        with about(path):
            yield
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        said = " ".join(str(error).split()) or "no more is known"
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {said})",
            expected="a whole file of its format",
            remedy="copy it again, or write it again",
        ) from error
