"""Options are held to the types of a command's signature before it runs; what does not fit is named as it was typed."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..base import InputError
from ..base.settings import words_of

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def check_options(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise InputError, with the option's name and what is expected, for a value beyond the bounds of its annotation, or not a number.

    >>> from fewview.cli.options import Seed
    >>> def command(*, seed: Seed = 0) -> None: ...
    >>> check_options(command, {"seed": -1})
    Traceback (most recent call last):
    ...
    fewview.base.errors.InputError: --seed -1; expected a whole number of 0 or more
    """
    for name, hint in inspect.get_annotations(function, eval_str=True).items():
        if name not in given:
            continue
        try:
            TypeAdapter(hint, config=_STRICT).validate_python(given[name])
        except ValidationError as error:
            bad = error.errors(include_url=False)[0]["input"]
            raise InputError(f"--{name.replace('_', '-')} {bad}", expected=words_of(_without_none(hint))) from None


def _without_none(hint: Any) -> Any:
    """The type of a value that was given: an option that may be left out is not None then."""
    if typing.get_origin(hint) is Annotated:
        return _without_none(typing.get_args(hint)[0]) if _is_optional(typing.get_args(hint)[0]) else hint
    return next(part for part in typing.get_args(hint) if part is not types.NoneType) if _is_optional(hint) else hint


def _is_optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType) and types.NoneType in typing.get_args(hint)
