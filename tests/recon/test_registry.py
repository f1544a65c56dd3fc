"""The registry of methods: every list of methods is read from it, and nothing that is a method is missing from it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import fewview
import fewview.recon
import numpy as np
import pytest
from fewview.base import InputError, UnknownNameError
from fewview.base.settings import Count, checked, is_checked
from fewview.data import Projections
from fewview.geometry import Grid, skyscan_1276
from fewview.recon import METHODS, Method, StopRun, reconstruct
from fewview.recon.method import ROWS, Progress, method_function, names_of_kind

ROOT = Path(fewview.__file__).resolve().parent
METHOD_MAKERS = ("method_function", "iterative_method", "trained_method", "Method")


def _scan() -> tuple[Projections, Grid]:
    scan = skyscan_1276(rows=8, cols=12, voxel_mm=1.0)[::26]
    return Projections(np.random.default_rng(0).random((len(scan), 8, 12), dtype=np.float32), scan), Grid((6, 8, 8), 1.0)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_the_method_is(name: str) -> None:
    row, method = ROWS[name], METHODS[name]
    assert (method.name, method.kind, method.reference, method.learner) == (name, row.kind, row.reference, row.learner)
    assert method.summary
    assert re.search(r"\d{4}", method.reference), "a paper has a year"
    assert (row.kind == "learned") == bool(row.learner)
    assert method.trained == (row.kind == "learned" and not row.shipped), "those whose weights come with fewview need no checkpoint"
    assert row.place.rpartition(":")[2] == name, "the function has the method's name"
    assert method.Settings.__name__ == "".join(part.title() for part in name.split("_")) + "Settings"
    assert is_checked(method.Settings)
    assert method.settings() == method.Settings(), "its defaults work"
    for candidate in row.candidates:
        method.settings(**candidate)  # a setting that does not exist, or a value out of bounds, is an error
    with pytest.raises(UnknownNameError, match=f"setting of {name}"):
        method.settings(no_such_setting=1)


@pytest.mark.parametrize("name", ROWS)
def test_a_method_is_a_function_that_shows_its_settings(name: str) -> None:
    module, _, attribute = ROWS[name].place.partition(":")
    function = getattr(__import__(module, fromlist=["_"]), attribute)
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:3] == ["projections", "grid", "callbacks"]
    assert list(parameters)[3:] == list(inspect.signature(METHODS[name].Settings).parameters)
    assert function.__name__ == name
    if ROWS[name].kind in ("analytic", "iterative"):
        assert getattr(fewview.recon, name) is function
    assert inspect.getdoc(function)


@pytest.mark.parametrize("name", ROWS)
def test_a_method_can_be_sent_to_another_process(name: str) -> None:
    assert pickle.loads(pickle.dumps(METHODS[name])) == METHODS[name]


def test_nothing_that_is_a_method_is_missing() -> None:
    """Whatever file makes a method at its top level has a row for it."""
    found = set()
    for room in ("recon", "nerf"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                calls = node.decorator_list if isinstance(node, ast.FunctionDef) else [node.value] if isinstance(node, ast.Assign) else []
                for call in calls:
                    if isinstance(call, ast.Call) and getattr(call.func, "id", "") in METHOD_MAKERS:
                        place = ".".join(("fewview", *path.relative_to(ROOT).with_suffix("").parts))
                        found.add(f"{place}:{node.name if isinstance(node, ast.FunctionDef) else node.targets[0].id}")  # type: ignore[union-attr, attr-defined]
    assert found == {row.place for row in ROWS.values()}


def test_learners_are_those_of_the_registry() -> None:
    from fewview.nerf.training.learner import Learner
    from fewview.nerf.training.learners import find_learner, learners

    assert learners() == names_of_kind("learned") == [name for name in METHODS if METHODS[name].learner]
    for name in learners():
        assert find_learner(name).name == name
        assert isinstance(find_learner(name), Learner)
    with pytest.raises(InputError, match="needs no training"):
        find_learner("sirt")


def test_the_lists_in_the_pages_are_those_of_the_registry() -> None:
    table = re.search(r"## Methods\n(.*?)\n## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert table
    named = {name for line in table[1].splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(ROWS)


def test_the_rows_are_read_without_importing_a_method() -> None:
    code = "import sys; from fewview.recon.method import names_of_kind; print(names_of_kind('learned'), 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{names_of_kind('learned')} False"


# --- a function as a method, and how it is stopped


def test_a_function_with_settings_is_a_method_for_reconstruct() -> None:
    @checked(of="halves")
    class HalvesSettings:
        steps: Count = 10

    @method_function(HalvesSettings)
    def halves(projections: Projections, grid: Grid, settings: Any, callbacks: Any) -> Any:
        """1 - 2^-k after k steps."""
        x = np.zeros(grid.shape, np.float32)
        for step in range(1, settings.steps + 1):
            x = (x + 1) / 2
            for call in callbacks:
                call(Progress(step, settings.steps, x))
        return x

    p, grid = _scan()
    assert halves(p, grid, steps=2).max() == 0.75
    assert halves(p).shape == Grid.fit(p.scan).shape
    rec = reconstruct(p, halves, grid, steps=3)
    assert (rec.method, rec.settings["steps"], rec.volume.max()) == ("halves", 3, 0.875)
    with pytest.raises(InputError, match="steps of halves is 0"):
        halves(p, grid, steps=0)
    with pytest.raises(UnknownNameError, match="did you mean steps"):
        reconstruct(p, halves, grid, stebs=3)

    def enough(progress: Progress) -> None:
        if progress.step == 4:
            raise StopRun("good enough")

    rec = reconstruct(p, halves, grid, [enough], steps=10)  # halves itself knows nothing of StopRun
    assert rec.volume.max() == 1 - 2**-4
    assert rec.settings["stopped"] == "by a callback (good enough), at step 4"
    assert len(rec.history) == 4

    @dataclasses.dataclass(frozen=True)
    class Plain:
        steps: int = 10

    plain = Method("plain", lambda p, g, s, c: np.full(g.shape, float(s.steps), np.float32), Plain)
    assert reconstruct(p, plain, grid, steps=np.int64(3)).volume.max() == 3
    with pytest.raises(InputError, match=r"steps of plain is 1.5; expected a whole number"):
        reconstruct(p, plain, grid, steps=1.5)


def test_a_method_without_a_volume_cannot_be_stopped_early() -> None:
    p, grid = _scan()

    def stop(progress: Progress) -> None:
        raise StopRun

    silent = Method("silent", lambda p, g, s, c: [call(Progress(1, 2)) for call in c] and np.zeros(g.shape, np.float32))
    with pytest.raises(InputError, match="a callback stopped silent before it had a volume"):
        reconstruct(p, silent, grid, [stop])
