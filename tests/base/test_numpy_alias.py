"""From numpy 2.5 on `numpy.typing.NDArray` is an alias and no class, which jaxtyping refuses: nothing may depend on it at import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("typing_extensions")

IMPORT = """
import importlib, pkgutil
from typing import Any, TypeVar
import numpy as np, numpy.typing, typing_extensions
T = TypeVar("T", bound=np.generic)
numpy.typing.NDArray = typing_extensions.TypeAliasType("NDArray", np.ndarray[Any, np.dtype[T]], type_params=(T,))
import fewview
for room in ("base", "geometry", "data", "recon", "nerf", "benchmarks"):
    path = importlib.import_module(f"fewview.{room}").__path__
    for module in pkgutil.walk_packages(path, f"fewview.{room}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # an optional package
            assert not error.name.startswith("fewview")
print("all of them")
"""


def test_all_modules_load_with_the_alias_of_numpy_2_5() -> None:
    users = {name: value for name, value in os.environ.items() if name != "FEWVIEW_CHECK_SHAPES"}  # the check of shapes is for tests alone
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, timeout=300, check=False, env=users)
    assert done.stdout == "all of them\n", done.stderr[-2000:]
