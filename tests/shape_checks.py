"""The type checker of FEWVIEW_CHECK_SHAPES=1: arrays alone are checked, so that tests may still give wrong words and numbers."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import numba
import numba.extending
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, install_import_hook

ROOMS = ("geometry", "data", "recon", "nerf", "bone", "pipeline", "benchmarks")  # cli has no arrays, and tyro reads its annotations
CONVERTING = ("Scan.__init__", "Projections.__init__")  # users may give them lists: they make the arrays, and check the shapes themselves
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which then refuses arrays whose shape or type is not as annotated; all other annotations are left alone."""
    if isinstance(function, type) or function.__qualname__ in CONVERTING:
        return function
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # a name that only type checkers import
        return function
    arrays = {name: hint if _is_array(hint) else Any for name, hint in hints.items()}
    if all(hint is Any for hint in arrays.values()):
        return function
    function.__annotations__ = arrays
    return _CHECK(function)


def install() -> None:
    """Check every function of the package from now on; it must not have been imported yet.

    Compiled functions are left alone: numba gets the function that was written, not the one that checks.
    """
    numba.njit = _of_what_was_written(numba.njit)
    numba.extending.register_jitable = _of_what_was_written(numba.extending.register_jitable)
    install_import_hook([f"fewview.{room}" for room in ROOMS], "shape_checks.check_arrays")


def _of_what_was_written(compile_it: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of numba's, for functions that a check has been wrapped around."""

    def decorator(*given: Any, **options: Any) -> Any:
        if given and callable(given[0]):
            return compile_it(inspect.unwrap(given[0]), *given[1:], **options)
        decorate = compile_it(*given, **options)
        return lambda function: decorate(inspect.unwrap(function))

    return decorator


def _is_array(hint: Any) -> bool:
    """An array with a shape, or such arrays and None."""
    if typing.get_args(hint) and not isinstance(hint, type):
        return all(part is type(None) or _is_array(part) for part in typing.get_args(hint))
    return isinstance(hint, type) and issubclass(hint, AbstractArray)
