"""Every example in a docstring runs, under the package's own name."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import fewview
import pytest

ROOMS = ("base", "geometry", "data", "recon", "nerf", "bone", "pipeline", "benchmarks", "cli")


def _modules() -> list[str]:
    folders = [(f"fewview.{room}.", [f"{fewview.__path__[0]}/{room}"]) for room in ROOMS]
    return [info.name for prefix, path in folders for info in pkgutil.walk_packages(path, prefix)]


def _has_example(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return bool(spec and spec.origin and ">>>" in open(spec.origin, encoding="utf-8").read())


@pytest.mark.parametrize("name", [name for name in _modules() if _has_example(name)])
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
