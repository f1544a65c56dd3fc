"""Settings that cannot be wrong: frozen records whose types, bounds and choices are checked however they are made.

A class under `checked` is a frozen pydantic dataclass. Its constructor, ``dataclasses.replace`` and the command line all go through the
same strict check. What is wrong becomes an `InputError` that names the setting, the value given and what was expected; an unknown name
becomes an `UnknownNameError` with the nearest ones. This module is imported where settings are defined and not by ``fewview.base`` itself,
because pydantic takes a tenth of a second to import and a geometry does not need it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ArgsKwargs, PydanticCustomError

from .errors import InputError, UnknownNameError

T = TypeVar("T")
C = TypeVar("C", bound=type)

_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
_LOOSE = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
_WORDS: Mapping[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a name", Path: "a file", type(None): "none",
    np.ndarray: "an array",
}  # fmt: skip


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value,)


def _as_array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, tuple) or (hasattr(value, "__array__") and not isinstance(value, np.ndarray)) else value


def _no_nan(value: float) -> float:
    if math.isnan(value):
        raise PydanticCustomError("nan", "not a number")
    return value


# The types that settings are made of, beside int, float, bool, str, Path, Literal and `| None`.
Several = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]  # a list; one value alone is a list of one
Array = Annotated[NDArray[Any], BeforeValidator(_as_array)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Mm = Annotated[float, Field(ge=1e-6, le=1e3, description="a positive length in mm, from 1e-6 to 1000")]
NotNegative = Annotated[float, Field(ge=0)]
Unbounded = Annotated[float, Field(allow_inf_nan=True), AfterValidator(_no_nan)]  # infinity is allowed


@dataclass_transform(frozen_default=True)
def checked(*, of: str = "", kind: str = "") -> Callable[[C], C]:
    """Make a class of annotated fields with defaults a frozen record of checked settings, those ``of`` a method (or a ``kind``).

    Bounds are written ``Annotated[float, Field(ge=0)]`` (the usual ones have names above), and choices ``Literal["tv", "huber"]``. The
    ``description`` of a ``Field`` says in words what is expected, such as "0 (off) to 20". Numbers of numpy count as numbers, 2.0 as 2
    where an int is expected, and a list as a tuple. Nothing else is converted: 1.5 is not a whole number, and 1 and "yes" are not true.
    Rules about several settings are checked in ``__post_init__``, which may raise InputError. A plain dataclass given here is subclassed,
    not changed.

    >>> @checked(of="sirt")
    ... class SirtSettings:
    ...     iterations: Count = 50
    >>> SirtSettings(iterations=-1)
    Traceback (most recent call last):
    ...
    fewview.base.errors.InputError: iterations of sirt is -1; expected a whole number of 1 or more
    >>> SirtSettings(itertions=3)
    Traceback (most recent call last):
    ...
    fewview.base.errors.UnknownNameError: unknown setting of sirt 'itertions'; expected one of iterations; did you mean iterations?
    """

    def made(cls: C) -> C:
        whole: Any = pydantic_dataclass(frozen=True, config=_STRICT)(cls)
        check = whole.__init__

        @functools.wraps(check)
        def __init__(self: Any, *args: Any, **given: Any) -> None:
            try:
                check(self, *(_normal(value) for value in args), **{name: _normal(value) for name, value in given.items()})
            except ValidationError as error:
                raise _ours(error, whole, args, given, of, kind or (f"setting of {of}" if of else "setting")) from None

        whole.__init__, whole.__doc__ = __init__, cls.__doc__
        whole.__fewview_checked__ = True
        return whole

    return made


def is_checked(cls: type) -> bool:
    """Whether the class was made by `checked` (itself, not a class that it inherits from)."""
    return "__fewview_checked__" in vars(cls)


def names_of(cls: type) -> list[str]:
    """The names of the settings that a class has."""
    return [f.name for f in dataclasses.fields(cls) if f.init]


def expected_of(cls: type, name: str) -> str:
    """What a setting takes, in words: "a whole number of 1 or more, or none". Any dataclass will do, checked or not."""
    if hasattr(cls, "__pydantic_fields__"):
        return _expected(cls, name)
    try:
        return words_of(typing.get_type_hints(cls, include_extras=True)[name])
    except (NameError, TypeError):  # a type that only its own module knows
        return str(next(f.type for f in dataclasses.fields(cls) if f.name == name))


def _normal(value: Any) -> Any:
    """The same value in one of fewer types: numpy numbers become Python numbers, whole floats ints, lists tuples."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return tuple(_normal(item) for item in value) if isinstance(value, list | tuple) else value


def _ours(error: ValidationError, cls: Any, args: tuple[Any, ...], given: Mapping[str, Any], of: str, kind: str) -> Exception:
    """The first complaint of pydantic, as one of our errors."""
    names = names_of(cls)
    first = error.errors(include_url=False)[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, Exception):
        return own if isinstance(own, InputError) else InputError(f"{cls.__name__}: {own}")
    where = first["loc"][0] if first["loc"] else ""
    if first["type"] == "unexpected_keyword_argument":
        return UnknownNameError(kind, where, names)
    if first["type"] == "unexpected_positional_argument":
        return TypeError(f"{cls.__name__} takes {len(names)} settings, {len(args)} were given")
    name = names[where] if isinstance(where, int) else str(where)
    called = f"{name} of {of}" if of else name
    if first["type"] == "missing" or isinstance(first["input"], ArgsKwargs):
        return InputError(f"{called} is not given", expected=_expected(cls, name))
    value = {**dict(zip(names, args, strict=False)), **given}[name]
    info = cls.__pydantic_fields__[name]
    choices = list(_choices(info.annotation))
    for part in value if isinstance(value, list | tuple) else (value,):
        if choices and isinstance(part, str) and part not in choices and not _takes_any_text(info.annotation):
            return UnknownNameError(called, part, [str(choice) for choice in choices])
    return InputError(f"{called} is {_short(value)}", expected=_expected(cls, name))


def _expected(cls: Any, name: str) -> str:
    info = cls.__pydantic_fields__[name]
    return info.description or words_of(info.annotation, info.metadata)


def _choices(hint: Any) -> Iterable[Any]:
    """Every choice of every Literal in a type."""
    inner = typing.get_args(hint)
    return inner if typing.get_origin(hint) is Literal else [choice for part in inner for choice in _choices(part)]


def _takes_any_text(hint: Any) -> bool:
    return hint is str or (typing.get_origin(hint) is not Literal and any(_takes_any_text(inner) for inner in typing.get_args(hint)))


def words_of(hint: Any, metadata: Iterable[Any] = ()) -> str:
    """The type and its bounds in words: "a whole number of 1 or more, or none". A description of the type takes precedence over both."""
    described = next((m.description for m in metadata if getattr(m, "description", None)), None)
    if described:
        return described
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return words_of(inner[0], [*metadata, *(m for extra in inner[1:] for m in (extra, *getattr(extra, "metadata", ())))])
    if origin in (typing.Union, types.UnionType):
        parts = [words_of(part, () if part is type(None) else metadata) for part in inner]
        return (", or " if any("more" in part or "above" in part for part in parts) else " or ").join(parts)
    if origin is Literal:
        return " or ".join(str(choice) for choice in inner)
    if origin is tuple and inner[1:] == (...,):
        one = words_of(inner[0]).removeprefix("a ").replace("number", "numbers").replace("name", "names").replace("file", "files")
        return f"a list of {'one or more ' if _least_length(metadata) else ''}{one}"
    if origin is tuple:
        return f"{len(inner)} numbers"
    return _WORDS.get(origin or hint, getattr(hint, "__name__", str(hint))) + _bounds(metadata)


def _bounds(metadata: Iterable[Any]) -> str:
    """ " of 1 or more", " from 0 to 20", " above 0 and at most 1"."""
    found = {key: getattr(m, key) for m in metadata for key in ("ge", "gt", "le", "lt") if getattr(m, key, None) is not None}
    if {"ge", "le"} <= found.keys():
        return f" from {found['ge']} to {found['le']}"
    words = {"ge": "of {} or more", "gt": "above {}", "le": "of at most {}", "lt": "below {}"}
    parts = [words[key].format(found[key]) for key in words if key in found]
    return (" " + " and ".join(parts).replace("and of", "and")) if parts else ""


def _least_length(metadata: Iterable[Any]) -> int:
    return max((getattr(m, "min_length", 0) or 0 for m in metadata), default=0)


def check_arguments(function: Callable[..., Any], given: Mapping[str, Any], called: Callable[[str], str] = str) -> None:
    """Check arguments against the annotations of a function before it is called: InputError for a wrong type or a value beyond the bounds.

    ``called`` returns the name under which the user knows an argument. Arguments of other types than those that settings have, such as
    arrays and records of settings, are left to the function.

    >>> def command(*, seed: Seed = 0) -> None: ...
    >>> check_arguments(command, {"seed": -1}, lambda name: f"--{name}")
    Traceback (most recent call last):
    ...
    fewview.base.errors.InputError: --seed is -1; expected a whole number of 0 or more
    """
    for name, hint in inspect.get_annotations(function, eval_str=True).items():
        if name not in given or not _is_plain(hint):
            continue
        try:
            TypeAdapter(hint, config=_LOOSE).validate_python(_normal(given[name]))
        except ValidationError as error:
            bad = error.errors(include_url=False)[0]["input"]
            raise InputError(f"{called(name)} is {_short(bad)}", expected=words_of(_without_none(hint))) from None


def arguments_of(function: Callable[..., Any], words: Sequence[str] | None = None, **options: Any) -> inspect.BoundArguments:
    """The arguments that the words of a command line (None: that of the process) give to a function, checked by `check_arguments`.

    The function's annotations and docstring become options and help. ``options`` are those of ``tyro.cli``, which ends the process
    (`SystemExit`) where words cannot be read, and after ``--help``.
    """
    import tyro

    def parsed(*positional: Any, **named: Any) -> inspect.BoundArguments:
        return signature.bind(*positional, **named)

    signature = inspect.signature(function, eval_str=True)
    parsed.__signature__ = signature  # type: ignore[attr-defined]
    parsed.__annotations__ = inspect.get_annotations(function, eval_str=True)
    parsed.__doc__ = function.__doc__
    found: inspect.BoundArguments = tyro.cli(parsed, args=words, **options)
    check_arguments(function, found.arguments, lambda name: f"--{name.replace('_', '-')}")
    return found


def run_program(function: Callable[..., object]) -> None:
    """What ``python -m`` of a module does: call the function with the arguments on the command line. Bad input ends the process with one
    line that says so, and the exit code 2.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    try:
        found = arguments_of(function, prog=f"python -m {spec.name.removesuffix('.__main__')}" if spec else None)
        function(*found.args, **found.kwargs)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _short(value: Any) -> str:
    """A value as it is shown to a person; one that would fill pages is cut."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]} ... ({len(text)} characters)"


def _is_plain(hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _is_plain(inner[0])
    if origin in (typing.Union, types.UnionType, tuple):
        return all(part is ... or _is_plain(part) for part in inner)
    return origin is Literal or hint in _WORDS


def _without_none(hint: Any) -> Any:
    """The type of a value that was given, without the None that stands for an option that was left out."""
    if typing.get_origin(hint) is Annotated:
        return _without_none(typing.get_args(hint)[0]) if _is_optional(typing.get_args(hint)[0]) else hint
    return next(part for part in typing.get_args(hint) if part is not type(None)) if _is_optional(hint) else hint


def _is_optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in typing.get_args(hint)
