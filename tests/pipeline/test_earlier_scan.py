"""An earlier volume of the same animal: registered, used, recorded; refused where it is of another animal or unit."""

from __future__ import annotations

import json
from pathlib import Path

import numba
import numpy as np
import pytest
from fewview.data import Projections, write_projections, write_volume
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.pipeline import ReconPlan, run
from fewview.pipeline.earlier_scan import earlier_volume
from fewview.recon import Operator

SCAN = skyscan_1276(rows=32, cols=48, voxel_mm=0.5)
SCAN = SCAN[views.evenly(SCAN, 18)]
GRID = Grid((24, 36, 36), 0.5)


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def bone(grid: Grid, turn_deg: float = 0.0, shift_mm: float = 0.0, lesion: bool = False) -> np.ndarray:
    """A leg with a bone of a shape that has no symmetry, turned about z and moved along x; a hole in it is a lesion."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    x, y = c * (x - shift_mm) + s * y, c * y - s * (x - shift_mm)
    mu = np.where(np.hypot(x, y) < 7, 0.04, 0.0).astype(np.float32)
    mu[(np.hypot(x, 1.6 * y) < 3.2 - 0.25 * z) & (abs(z) < 5)] = 0.16
    mu[(np.hypot(x - 3.5, y - 2.0 - 0.2 * z) < 1.0) & (z < 3)] = 0.19
    if lesion:
        mu[x**2 + y**2 + (z - 1) ** 2 < 1.2**2] = 0.04
    return mu


def now(lesion: bool = True) -> Projections:
    fine = Grid((56, 84, 84), 0.25)
    noise = np.random.default_rng(0).normal(0, 0.01, (len(SCAN), *SCAN.shape))
    return Projections((Operator(SCAN, fine)(bone(fine, lesion=lesion)) + noise).astype(np.float32), SCAN)


def write_earlier(path: Path, factor: float = 1.0, other: bool = False) -> Path:
    """The animal without a lesion, turned and moved, on smaller voxels; or something else altogether."""
    grid = Grid((40, 60, 60), 0.36)
    volume = bone(grid, turn_deg=9.0, shift_mm=0.6) * np.float32(factor)
    if other:
        z, _, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
        volume = np.where((abs(abs(x) - 5) < 1) & (abs(z) < 2), 0.18, 0.03).astype(np.float32)
    write_volume(volume, path, grid=grid)
    return path


def test_a_run_with_an_earlier_volume_finds_the_lesion_and_says_what_it_did(tmp_path: Path) -> None:
    write_projections(now(), tmp_path / "scan.h5")
    said: list[str] = []
    given = {"lambda_": 0.005, "iterations": 40}
    plan = ReconPlan(
        tmp_path / "scan.h5", "pdhg_tv", settings=given, voxel_mm=0.5, grid="24,36,36", out=tmp_path / "v.h5",
        prior=write_earlier(tmp_path / "week0.h5"),
    )  # fmt: skip
    with_prior = run(plan, tell=said.append).reconstruction
    plain = run(ReconPlan(plan.scan, "pdhg_tv", settings=given, voxel_mm=0.5, grid="24,36,36", out=tmp_path / "p.h5")).reconstruction
    record = json.loads((tmp_path / "v.h5.record.json").read_text())
    assert record["settings"]["reference"] == record["settings"]["start"] == f"{tmp_path / 'week0.h5'}, registered"
    assert record["settings"]["alpha"] == with_prior.settings["alpha"]
    assert record["notes"]["prior"]["turned_deg"] == pytest.approx(9, abs=1.0)
    assert [Path(entry["path"]).name for entry in record["inputs"]] == ["scan.h5", "week0.h5"]
    assert any(line.startswith("prior") and "overlaps" in line for line in said)
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    hole = x**2 + y**2 + (z - 1) ** 2 < 1.0
    truth = bone(Grid((48, 72, 72), 0.25), lesion=True).reshape(24, 2, 36, 2, 36, 2).mean(axis=(1, 3, 5))
    contrast = [0.16 - float(volume[hole].mean()) for volume in (with_prior.volume, plain.volume, truth)]
    assert contrast[0] > 0.95 * contrast[1]
    errors = [float(np.sqrt(np.mean((v - truth) ** 2))) for v in (with_prior.volume, plain.volume)]
    assert errors[0] < 1.02 * errors[1]


def test_what_is_no_earlier_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit the scan"):
        earlier_volume(write_earlier(tmp_path / "other.h5", other=True), now(), GRID, print)
    with pytest.raises(InputError, match=r"multiplied by 0\.1"):
        earlier_volume(write_earlier(tmp_path / "per_cm.h5", factor=10), now(), GRID, print)
    with pytest.raises(InputError, match="--prior with --method sirt"):
        ReconPlan(tmp_path / "scan.h5", "sirt", out=tmp_path / "v.h5", prior=tmp_path / "none.h5")
    with pytest.raises(FileNotFoundError, match="none"):
        run(ReconPlan(write_projections(now(), tmp_path / "scan.h5"), "pdhg_tv", out=tmp_path / "v.h5", prior=tmp_path / "none.h5"))
