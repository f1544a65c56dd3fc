"""A plan: every mistake is an error when it is made, and the outputs are known before the work."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
from fewview.base import InputError
from fewview.pipeline import ReconPlan, Spread
from fewview.pipeline.selection import parse_grid, parse_views


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "fista-tv"}, "did you mean fista_tv"),
        ({"settings": {"filer": "hann"}}, "did you mean filter"),
        ({"views": "evry:10"}, "did you mean every"),
        ({"views": "2.5"}, "whole number"),
        ({"grid": "8,8"}, "NZ,NY,NX"),
        ({"grid": "8,8,0"}, "positive whole numbers"),
        ({"box": "0:1,0:1,1:0"}, "X0:X1"),
        ({"grid": "1,1,1", "box": "0:1,0:1,0:1"}, "one of them"),
        ({"voxel_mm": 0.0}, "positive length in mm"),
        ({"voxel_mm": float("nan")}, "positive length in mm"),
        ({"binning": 0}, "binning is 0"),
        ({"binning": 1.5}, "whole number"),
        ({"out": "a.jpg"}, ".ome.tif"),
    ],
)
def test_a_plan_with_a_mistake_cannot_be_made(wrong: dict[str, Any], said: str) -> None:
    """Nothing is at "nowhere": the mistake is found without looking at the scan."""
    with pytest.raises(InputError, match="(?i)" + said.replace(".", r"\.")):
        ReconPlan("nowhere", **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((1,), "--std 1"),
        ((-2,), "--std -2"),
        ((8, "vews"), "did you mean views"),
        ((0, "views", 2.0), "scale"),
        ((8, "members", 2.0), "scale"),
    ],
)
def test_a_spread_with_a_mistake_cannot_be_made(wrong: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Spread(*wrong)


def test_the_outputs_are_known_beforehand(tmp_path: Path) -> None:
    plan = ReconPlan(tmp_path / "leg.h5", "sirt", "random:26:4", spread=Spread(8))
    assert [str(path) for path in plan.outputs] == ["leg_sirt_random-26-4.ome.tif", "leg_sirt_random-26-4_std.ome.tif"]
    assert ReconPlan("leg", out=tmp_path / "a.nii.gz", spread=Spread(2)).std_output == tmp_path / "a_std.nii.gz"
    assert ReconPlan("leg").std_output is None


def test_an_output_of_somebody_else_is_refused_before_the_work(tmp_path: Path) -> None:
    taken = tmp_path / "a_std.h5"
    taken.write_text("precious")
    with pytest.raises(FileExistsError, match=r"a_std\.h5"):
        ReconPlan("leg", out=tmp_path / "a.h5", spread=Spread(2)).require_free_outputs()
    with pytest.raises(FileExistsError, match="did not write"):
        ReconPlan("leg", out=tmp_path / "a.h5", spread=Spread(2), force=True).require_free_outputs()
    ReconPlan("leg", out=tmp_path / "a.h5").require_free_outputs()


def test_a_plan_is_frozen_and_copies_and_pickles() -> None:
    plan = ReconPlan("leg", "fdk", 26, settings={"filter": "hann"}, read_as={"direction": "CW"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.views = "all"  # type: ignore[misc]
    with pytest.raises(TypeError):
        plan.settings["filter"] = "ramp"  # type: ignore[index]
    for other in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        assert other == plan
        assert (other.output, dict(other.settings), other.reconstructor.name) == (plan.output, {"filter": "hann"}, "fdk")


def test_choices_are_parsed_without_a_scan() -> None:
    assert parse_views("wedge:90:-10.5").numbers == (90, -10.5)
    assert parse_grid(None, "4,5,6").shape == (4, 5, 6)
    assert parse_grid(0.5, "", "-1:1,0:3,2:3").box_mm == ((-1, 1), (0, 3), (2, 3))
