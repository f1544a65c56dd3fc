"""Finds a method: by its registered name, in a file of one's own, or given as a Method or a function."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...base import InputError, UnknownNameError
from .contract import Method, as_method
from .registry import METHODS


class _SourceAlone(importlib.machinery.SourceFileLoader):
    """Loads a file of the user's own without leaving a folder ``__pycache__`` beside it."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Keep nothing of what was compiled."""


def load_method(spec: str | Method | Callable[..., Any]) -> Method:
    """The method of this name, or in ``path/to/file.py:function``; a Method or a function is taken as it is."""
    if isinstance(spec, Method):
        return spec
    if not isinstance(spec, str):
        return as_method(spec, getattr(spec, "__name__", "function"))
    path_text, colon, attribute = spec.rpartition(":")
    if not (colon and path_text.endswith(".py")):
        return METHODS[spec]
    path = Path(path_text)
    if not path.is_file():
        raise FileNotFoundError(f"method file {path} is not there; expected a Python file with a function {attribute!r}")
    module_spec = importlib.util.spec_from_file_location(path.stem, path, loader=_SourceAlone(path.stem, str(path)))
    if module_spec is None or module_spec.loader is None:
        raise InputError(f"method file {path} cannot be loaded", expected="a Python file")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"method file {path}{where}: {error.msg}", expected="Python", remedy="mend the file") from error
    if not hasattr(module, attribute):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(f"function in {path}", attribute, public)
    return as_method(getattr(module, attribute), attribute)
