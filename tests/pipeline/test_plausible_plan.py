"""What a plan asks for that its scan cannot give: shares of a box from geometry, errors and warnings by their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.base import InputError
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.pipeline.plan import ReconPlan
from fewview.pipeline.plausible_plan import plan_doubts, seen_share, unseen_share

SCAN = skyscan_1276(rows=64, cols=96, voxel_mm=0.4452)


def doubts(scan: Scan = SCAN, **plan: object) -> list[str]:
    asked = ReconPlan("my_scan", **plan)  # type: ignore[arg-type]
    return plan_doubts(asked, scan, asked.grid_choice.of(scan))


def test_the_share_of_a_box_that_a_scan_sees_is_that_of_a_circle_in_a_square() -> None:
    assert seen_share(Grid.fit(SCAN), SCAN) == pytest.approx(np.pi / 4, abs=0.02)
    radius, half, _ = SCAN.field_of_view_mm
    inner = 2 * radius / np.sqrt(2)
    assert seen_share(Grid((20, 40, 40), inner / 40), SCAN) == 1
    assert seen_share(Grid((10, 10, 10), 0.5, (3 * radius, 0.0, 0.0)), SCAN) == 0
    assert seen_share(Grid((10, 10, 10), 0.5, (0.0, 0.0, half + 5)), SCAN) == 0
    assert seen_share(Grid((10, 10, 10), half / 5, (0.0, 0.0, half)), SCAN) == pytest.approx(0.5, abs=0.05)


def test_the_share_of_a_body_outside_is_that_of_its_volume() -> None:
    radius, half, _ = SCAN.field_of_view_mm
    grid = Grid((128, 64, 64), half / 32)  # twice as high as the scan sees: half of a rod is outside
    rod = np.zeros(grid.shape, np.float32)
    rod[:, 28:36, 28:36] = 0.2
    assert unseen_share(rod, grid, SCAN) == pytest.approx(0.5, abs=0.02)
    assert unseen_share(rod[32:96], Grid((64, 64, 64), half / 32), SCAN) == 0
    assert unseen_share(np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4), radius), SCAN) == 0


def test_a_sound_plan_is_not_doubted() -> None:
    assert doubts() == []
    assert doubts(views="26") == []
    assert doubts(box="-5:5,-5:5,-4:4", voxel_mm=0.2) == []
    assert doubts(SCAN[[0, 20, 40]], method="sirt") == []


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"voxel_mm": 50.0}, "field of view"),
        ({"box": "100:110,0:5,0:5"}, "outside what the scan sees"),
        ({"box": "0:1e-6,0:1e-6,0:1e-6"}, "smaller than a voxel"),
    ],
)
def test_what_cannot_be_is_an_error(plan: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        doubts(**plan)


def test_what_may_be_is_a_warning_with_its_numbers() -> None:
    (few,) = doubts(SCAN[[0, 90, 180]], views="3")
    assert few.startswith("3 views (--views 3): fdk")
    (coarse,) = doubts(voxel_mm=10.0)
    assert f"{2 * SCAN.field_of_view_mm[0] / 10:.1f} voxels across" in coarse
    radius = SCAN.field_of_view_mm[0]
    (half,) = doubts(box=f"0:{2 * radius},-1:1,-1:1")
    assert "50% of it" in half or "51% of it" in half or "49% of it" in half
