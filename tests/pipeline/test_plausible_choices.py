"""Grids and views that a scan cannot serve are refused or told, by the option's name; sensible ones pass without a word."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.geometry import InputError, Scan, skyscan_1276, views
from fewview.pipeline.plausible_choices import grid_doubts, view_doubts
from fewview.pipeline.selection import parse_grid

SCAN = skyscan_1276(rows=64, cols=96, voxel_mm=0.4)  # a cylinder of radius 18.7 mm and height 25.6 mm


def doubts(scan: Scan = SCAN, **options: object) -> list[str]:
    choice = parse_grid(**options)  # type: ignore[arg-type]
    return grid_doubts(choice, choice.of(scan), scan)


@pytest.mark.parametrize("options", [
    {}, {"voxel_mm": 0.1}, {"voxel_mm": 1.2}, {"shape": "64,96,96"}, {"shape": "1,96,96"}, {"shape": "8,8,8"},
    {"box": "-3:3,-3:3,0:5"}, {"box": "10:12,-1:1,-12:-11"}, {"box": "-18:18,-18:18,-12:12"}, {"box": "-1:1,-1:1,0:0.4", "voxel_mm": 0.1},
])  # fmt: skip
def test_sensible_grids_pass(options: dict[str, object]) -> None:
    assert doubts(**options) == []


@pytest.mark.parametrize(("options", "named"), [
    ({"box": "100:105,100:105,0:5"}, "--box lies outside"),
    ({"box": "-5:5,-5:5,40:50"}, "--box lies outside"),
    ({"box": "14:18,14:18,0:5"}, "--box lies outside"),  # in the corner of the square, beside the cylinder
    ({"box": "0:1e-9,0:1e-9,0:1e-9"}, "--box has sides of 1e-09, 1e-09, 1e-09 mm"),
    ({"voxel_mm": 40.0}, "--voxel-mm 40 is larger"),
    ({"voxel_mm": 1e9}, "--voxel-mm 1e\\+09 is larger"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        doubts(**options)


@pytest.mark.parametrize(("options", "named"), [
    ({"voxel_mm": 14.0}, "--voxel-mm 14 makes 2.67 voxels across"),
    ({"shape": "1,1,1"}, "--grid has 1 x 1 voxels"),
    ({"shape": "16,200,200"}, "--grid: 8"),  # pi 18.7^2 of 80^2 mm^2 is 17 %: 83 % outside
    ({"box": "10:40,-5:5,-2:2"}, "--box: 7"),
])  # fmt: skip
def test_what_is_hardly_meant_is_told(options: dict[str, object], named: str) -> None:
    assert any(line.startswith(named) for line in doubts(**options))


def test_an_axis_that_was_moved_takes_its_field_of_view_along() -> None:
    from fewview.geometry.transform import move

    moved = move(SCAN, translation_mm=(50.0, 0, 0))
    assert doubts(moved, box="48:52,-2:2,-2:2") == []
    with pytest.raises(InputError, match="outside"):
        doubts(moved, box="-2:2,-2:2,-2:2")


def test_few_views_for_an_analytic_method() -> None:
    three = SCAN[views.evenly(SCAN, 3)]
    (told,) = view_doubts("fdk", three)
    assert told.startswith("3 views by fdk")
    radius = 0.4 / np.radians(103.6)  # an arc of one pixel between neighbours
    assert f"within {radius:.2g} mm" in told
    assert view_doubts("fista_tv", three) == []
    assert view_doubts("fdk", SCAN[views.evenly(SCAN, 26)]) == []
