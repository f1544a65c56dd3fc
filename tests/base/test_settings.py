"""Settings cannot be wrong, however they are made, and what is wrong is said in our words."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from fewview.base import InputError, UnknownNameError
from fewview.base.settings import Array, Count, NotNegative, Positive, Several, Unbounded, checked, run_program
from pydantic import Field


@checked(of="a method")
class Settings:
    """All the kinds of settings there are."""

    count: Count | None = None
    weight: NotNegative = 1.0
    rate: Positive = 0.5
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    level: Annotated[int, Field(ge=0, le=20, description="0 (off) to 20")] = 0
    upper: Unbounded = math.inf
    start: Literal["fdk", "zero"] | Array = "fdk"
    refine: Several[Literal["axis", "roll"]] = ()
    views: Annotated[Several[Count], Field(min_length=1)] = (26,)
    pair: tuple[float, float] = (0.9, 0.99)
    on: bool = True
    file: str | Path | None = None

    def __post_init__(self) -> None:
        if self.weight > self.upper:
            raise InputError(f"weight {self.weight} and upper {self.upper}", expected="weight <= upper")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 0}, "count of a method is 0; expected a whole number of 1 or more, or none"),
        ({"count": 1.5}, "count of a method is 1.5; expected a whole number"),
        ({"count": "80"}, "count of a method is '80'; expected a whole number"),
        ({"count": True}, "count of a method is True; expected a whole number"),
        ({"count": math.inf}, "count of a method is inf; expected a whole number"),
        ({"weight": -1e-9}, "weight of a method is -1e-09; expected a number of 0 or more"),
        ({"weight": math.nan}, "weight of a method is nan; expected a number of 0 or more"),
        ({"weight": math.inf}, "weight of a method is inf; expected a number of 0 or more"),
        ({"rate": 0}, "rate of a method is 0; expected a number above 0"),
        ({"share": 1.1}, "share of a method is 1.1; expected a number above 0 and at most 1"),
        ({"level": 21}, "level of a method is 21; expected 0 (off) to 20"),
        ({"upper": math.nan}, "upper of a method is nan; expected a number"),
        ({"start": "fdx"}, "unknown start of a method 'fdx'; expected one of fdk, zero; did you mean fdk?"),
        ({"start": 3}, "start of a method is 3; expected fdk or zero or an array"),
        ({"refine": "rol"}, "unknown refine of a method 'rol'; expected one of axis, roll; did you mean roll?"),
        ({"refine": 5}, "refine of a method is 5; expected a list of axis or roll"),
        ({"views": []}, "views of a method is []; expected a list of one or more whole numbers"),
        ({"views": [26, 0]}, "views of a method is [26, 0]; expected"),
        ({"pair": 1.0}, "pair of a method is 1.0; expected 2 numbers"),
        ({"on": 1}, "on of a method is 1; expected true or false"),
        ({"on": "true"}, "on of a method is 'true'; expected true or false"),
        ({"file": 5}, "file of a method is 5; expected a name or a file or none"),
        ({"weight": 3.0, "upper": 2.0}, "weight 3.0 and upper 2.0; expected weight <= upper"),
        ({"cuont": 3}, "unknown setting of a method 'cuont'; expected one of count, file,"),
    ],
)
def test_no_wrong_setting_can_exist(given: dict[str, Any], said: str) -> None:
    made: list[Any] = [lambda: Settings(**given), lambda: dataclasses.replace(Settings(), **given)]
    for make in made:
        with pytest.raises(InputError) as caught:
            make()
        assert str(caught.value).startswith(said)
        assert isinstance(caught.value, UnknownNameError) == said.startswith("unknown")
        assert caught.value.__suppress_context__  # nothing of pydantic is shown


def test_numbers_of_numpy_whole_floats_lists_and_lone_values_are_taken() -> None:
    made = Settings(count=np.int64(4), weight=np.float32(0.5), rate=2, on=np.bool_(False), refine="axis", views=[13, 26.0], pair=[0, 1])  # type: ignore[arg-type]
    assert (made.count, made.weight, made.rate, made.on) == (4, 0.5, 2.0, False)
    assert [type(v) for v in (made.count, made.weight, made.rate, made.on)] == [int, float, float, bool]
    assert (made.refine, made.views, made.pair) == (("axis",), (13, 26), (0.0, 1.0))
    assert Settings(rate=1e300).rate == 1e300
    start = np.zeros((2, 2, 2))
    assert Settings(start=start).start is start
    np.testing.assert_array_equal(Settings(start=[[1.0, 2.0]]).start, [[1.0, 2.0]])  # type: ignore[arg-type]


def test_settings_are_frozen_and_can_be_compared_copied_and_sent() -> None:
    made = Settings(count=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.count = 4  # type: ignore[misc]
    assert made == Settings(count=3) != Settings()
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert [f.name for f in dataclasses.fields(made)][:2] == ["count", "weight"]


def test_a_class_that_inherits_is_checked_under_its_own_name() -> None:
    @checked(of="another")
    class More(Settings):
        steps: Count = 10

    with pytest.raises(InputError, match="steps of another is 0"):
        More(steps=0)
    with pytest.raises(InputError, match="count of another is 0"):
        More(count=0)
    assert isinstance(More(count=2), Settings)


def test_a_plain_dataclass_is_made_into_one_and_stays_as_it_was() -> None:
    @dataclasses.dataclass(frozen=True)
    class Plain:
        """Somebody's own."""

        steps: int = 10

    made = checked(of="mine")(Plain)
    assert made(steps=2.0).steps == 2  # type: ignore[arg-type]
    assert isinstance(made(), Plain)
    assert made.__doc__ == "Somebody's own."
    with pytest.raises(InputError, match=r"steps of mine is 1.5"):
        made(steps=1.5)  # type: ignore[arg-type]
    assert Plain(steps=1.5).steps == 1.5  # type: ignore[arg-type]


def test_the_command_line_shows_settings_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    tyro = pytest.importorskip("tyro")
    with pytest.raises(SystemExit):
        tyro.cli(Settings, args=["--help"])
    shown = capsys.readouterr().out
    assert "--weight FLOAT" in shown
    assert "default: 26" in shown
    assert tyro.cli(Settings, args=["--count", "5", "--no-on"]).count == 5


def test_a_module_run_as_a_program_says_in_one_line_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number out of bounds, a file that is missing, and what the function itself refuses; never a traceback."""
    called: list[tuple[Path, int]] = []

    def program(file: Path, count: Count = 3) -> None:
        called.append((file, count))
        Settings(weight=2.0, upper=float(len(file.read_text())))

    here = tmp_path / "a.txt"
    here.write_text("a")
    refused = ["--count", "0"], ["--file", str(tmp_path / "b.txt")], []
    for words, said in zip(
        refused, ("--count is 0; expected a whole number of 1 or more", "b.txt", "expected weight <= upper"), strict=True
    ):
        monkeypatch.setattr(sys, "argv", ["program", *(words if "--file" in words else ["--file", str(here), *words])])
        with pytest.raises(SystemExit) as stop:
            run_program(program)
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert error.startswith("error: ")
        assert said in error
        assert error.count("\n") == 1
    assert [count for _, count in called] == [3, 3]
    here.write_text("aaa")
    run_program(program)


def test_numpy_alone_is_needed_for_a_geometry() -> None:
    import subprocess

    code = "import sys, fewview.geometry, fewview.base; print([m for m in ('pydantic', 'torch', 'numba', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
