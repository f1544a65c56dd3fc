"""Parts of an oversize scan are joined: each in its place, one fading into the other where they overlap."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from fewview.data import RawScan, read_volume, write_skyscan
from fewview.geometry import Grid, skyscan_1276
from fewview.pipeline import ReconPlan, run, run_joined
from fewview.pipeline.slabs.parts import places, weights

pytestmark = pytest.mark.filterwarnings("ignore")
SCAN = skyscan_1276(rows=24, cols=36, voxel_mm=1.2)[::5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts: a wide rod in the first, a narrow one in the second."""
    for part, cols in ((0, slice(10, 26)), (1, slice(14, 22))):
        counts = np.random.default_rng(part).poisson(57_000, size=(len(SCAN), *SCAN.shape)).astype(np.uint16)
        counts[:, :, cols] //= 2
        written = write_skyscan(RawScan(counts, SCAN), tmp_path / f"part{part}", prefix=f"rod~{part:02d}")
        for file in written.iterdir():
            (tmp_path / "rod").mkdir(exist_ok=True)
            if not file.name.startswith("."):
                shutil.copy(file, tmp_path / "rod" / file.name)
    return tmp_path / "rod"


def test_parts_are_joined_where_they_belong(folder: Path, tmp_path: Path) -> None:
    """A step of 18 voxels and a third: the second part begins at slice 18, on voxels a third lower than its own."""
    step = (18 + 1 / 3) * 1.2
    plan = ReconPlan(folder, out=tmp_path / "joined.ome.tif")
    path = run_joined(plan, step, slab=7)
    volume, grid, _ = read_volume(path)
    own = Grid.fit(SCAN)
    nz = own.shape[0]
    assert volume.shape == (18 + nz, *own.shape[1:])
    assert grid.z_mm[0] == pytest.approx(own.z_mm[0])
    first = run(ReconPlan(folder, out=tmp_path / "0.h5", read_as={"part": 0})).reconstruction.volume
    x, y, z = (size / 2 for size in own.size_mm)
    box = f"{-x!r}:{x!r},{-y!r}:{y!r},{-z - 0.4!r}:{z - 0.4!r}"
    second = run(ReconPlan(folder, out=tmp_path / "1.h5", read_as={"part": 1}, box=box)).reconstruction.volume
    np.testing.assert_array_equal(volume[:18], first[:18])
    np.testing.assert_allclose(volume[nz:], second[nz - 18 :], atol=1e-6)
    share = (np.arange(nz - 18) + 1) / (nz - 18 + 1)  # of the second, in the slices that both have
    blend = (1 - share)[:, None, None] * first[18:] + share[:, None, None] * second[: nz - 18]
    np.testing.assert_allclose(volume[18:nz], blend, atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("joined")) == ["joined.ome.tif", "joined.ome.tif.record.json"]


def test_weights_sum_to_one_and_parts_may_lie_downwards() -> None:
    spots, grid = places([0, 1, 2], Grid((10, 4, 4), 0.5), -4.0)
    assert [p.first for p in spots] == [16, 8, 0]
    assert grid.shape == (26, 4, 4)
    assert grid.center_mm[2] == -4.0
    np.testing.assert_allclose(weights(spots, slice(0, 26)).sum(axis=0), 1)


@pytest.mark.parametrize(
    ("step", "changes", "said"),
    [
        (40.0, {}, r"--parts-step-mm 40: each part sees 28\.8 mm"),
        (float("nan"), {}, "--parts-step-mm nan"),
        (10.0, {"box": "-1:1,-1:1,-1:1"}, "--parts-step-mm with --box or --grid"),
        (10.0, {"scan": "part0"}, "part0 is not an oversize scan"),
    ],
)
def test_what_cannot_be_joined_is_refused(step: float, changes: dict[str, str], said: str, folder: Path, tmp_path: Path) -> None:
    plan = ReconPlan(folder, out=tmp_path / "v.h5")
    if "scan" in changes:
        (tmp_path / "one").mkdir()
        shutil.copytree(tmp_path / "part0", tmp_path / "one" / "part0", dirs_exist_ok=True)
        for log in (tmp_path / "one" / "part0").glob("*.log"):
            log.rename(log.with_name("rod.log"))
        changes = {"scan": str(tmp_path / "one" / "part0")}
    with pytest.raises(ValueError, match=said):
        run_joined(dataclasses.replace(plan, **changes), step)  # type: ignore[arg-type]
