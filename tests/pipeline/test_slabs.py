"""A plan done slab by slab: the volume of the whole run to the last bit; stopped and continued; refused before the work begins."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import Projections, RawScan, read_volume, write_projections, write_skyscan
from fewview.data.scans.view_store import ViewStore
from fewview.geometry import skyscan_1276
from fewview.geometry import transform as geometry
from fewview.pipeline import ReconPlan, Spread, estimate, run, run_slabs
from fewview.pipeline.slabs.slab_job import SlabJob
from fewview.pipeline.slabs.work_folder import WorkFolder
from fewview.recon.corrections import Corrections

SCAN = skyscan_1276(rows=24, cols=36, voxel_mm=1.2)[::5]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """52 views of a rod with noise, a weak column and a few pixels without a count."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(57_000, size=(len(SCAN), *SCAN.shape)).astype(np.uint16)
    counts[:, 5:19, 12:24] = rng.poisson(23_000, size=(len(SCAN), 14, 12))
    counts[:, :, 15] = counts[:, :, 15] * 0.98
    counts[rng.random(counts.shape) < 1e-3] = 0
    return write_skyscan(RawScan(counts, SCAN), tmp_path_factory.mktemp("scan") / "rod")


def record_of(path: Path) -> dict[str, Any]:
    return json.loads(path.with_name(path.name + ".record.json").read_text())


@pytest.mark.parametrize(
    "changes",
    [
        {"out": "v.ome.zarr"},
        {"out": "v", "corrections": Corrections(dead_pixels=0, median=1)},
        {"out": "v.ome.tif", "corrections": Corrections(dead_pixels=9, rings=6, smoothing=1, beam_hardening=20)},
        {"out": "v.h5", "box": "-9:9,-8:9,2:9", "voxel_mm": 0.7, "corrections": Corrections(dead_pixels=0, smoothing=2), "views": "26"},
        {"out": "v.h5", "binning": 2, "settings": {"filter": "hann"}},
        {"out": "v.h5", "corrections": Corrections(dead_pixels=0, scatter=0.01, bone_hardening=1, voltage_kv=50, filter_mm_al=0.5)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_slabs_make_the_volume_of_the_whole_run(changes: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    plan = ReconPlan(folder, **{**changes, "out": tmp_path / "slabs" / changes["out"]})
    done = run_slabs(plan, slab=5)
    whole = run(dataclasses.replace(plan, out=tmp_path / "whole" / changes["out"]))
    (one, grid, _), (other, same, _) = read_volume(done.path), read_volume(whole.path)
    np.testing.assert_array_equal(one, other)
    assert grid == same
    assert sorted(p.name for p in (tmp_path / "slabs").iterdir()) == sorted(
        [plan.output.name, f"{plan.output.name}.record.json", "v_preview.png"]
    )
    ours, theirs = record_of(done.path), record_of(whole.path)
    assert ours["inputs"] == theirs["inputs"]
    assert ours["notes"] == theirs["notes"]
    if "box" not in changes:
        assert ours["check"]["error"] == pytest.approx(theirs["check"]["error"], rel=1e-3)


def test_slabs_use_the_geometry_that_is_found(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration that finds a shift of the axis and a roll, from all rows, although the box needs a few."""
    seen: list[Projections] = []

    def found(projections: Projections, tell: Any, callbacks: Any) -> tuple[Projections, dict[str, Any]]:
        seen.append(projections)
        return Projections(projections.values, geometry.correct(projections.scan, 0.8, 0.0, 1.0), projections.meta), {}

    for module in ("run_plan", "slabs.ingest"):
        monkeypatch.setattr(f"fewview.pipeline.{module}.calibrated", found)
    plan = ReconPlan(folder, box="-9:9,-8:9,2:6", voxel_mm=0.3, calibrate=True, out=tmp_path / "v.h5")
    done, whole = run_slabs(plan, slab=4), run(dataclasses.replace(plan, out=tmp_path / "w.h5"))
    np.testing.assert_array_equal(read_volume(done.path)[0], read_volume(whole.path)[0])
    assert len(seen) == 2
    assert seen[0].scan.shape == SCAN.shape


class Killed(BaseException):
    """As `kill -9`: nothing catches it."""


def stop_after(monkeypatch: pytest.MonkeyPatch, slabs: int, error: BaseException) -> None:
    made: list[slice] = []
    do = SlabJob.do

    def some(self: SlabJob, z: slice, *more: Any) -> dict[str, Any]:
        if len(made) == slabs:
            raise error
        made.append(z)
        return do(self, z, *more)

    monkeypatch.setattr(SlabJob, "do", some)


def fail_writing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The disk fails with this error when a slab is to be on it, and so does everything that tidies up."""

    def fail(*args: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    monkeypatch.setattr("fewview.base.outputs.one_at_a_time.Path.unlink", fail)


def renamed_after(monkeypatch: pytest.MonkeyPatch, slabs: int, folder: Path) -> None:
    """The folder is gone, as that of a network that went down, when so many slabs are made."""
    put, made = WorkFolder.put_arrays, []

    def some(self: WorkFolder, name: str, **arrays: Any) -> None:
        put(self, name, **arrays)
        made.append(name)
        if len([n for n in made if n.startswith("slab_")]) == slabs:
            folder.rename(folder.with_name("elsewhere"))

    monkeypatch.setattr(WorkFolder, "put_arrays", some)


@pytest.mark.parametrize("name", ["v.ome.tif", "v.h5", "v.ome.zarr", "v"])
def test_a_run_that_was_stopped_continues_to_the_same_file(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed; a full disk, a stale and a broken network disk; the folder of the output gone; Ctrl-C; and all of it once more at the end."""
    plan = ReconPlan(folder, out=tmp_path / "net" / name)
    with monkeypatch.context() as patch:
        stop_after(patch, 1, Killed())
        with pytest.raises(Killed):
            run_slabs(plan, slab=6)
    for number in (errno.ENOSPC, errno.ESTALE, errno.EIO):
        with monkeypatch.context() as patch:
            fail_writing(patch, number)
            with pytest.raises(OSError, match=rf"{os.strerror(number)} \(1 of 4 slabs are kept in .*unfinished; the same") as raised:
                run_slabs(plan)
            assert raised.value.errno == number
    with monkeypatch.context() as patch:
        renamed_after(patch, 1, tmp_path / "net")
        with pytest.raises(OSError, match=r"2 of 4 slabs are kept in .*unfinished; the same command continues when that is mended"):
            run_slabs(plan)
    assert not (tmp_path / "net").exists()  # nothing was made in its place
    (tmp_path / "elsewhere").rename(tmp_path / "net")
    said: list[str] = []
    with monkeypatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_slabs(plan, tell=said.append)
    assert said[-1].startswith("interrupted: 3 of 4 slabs are kept in ")
    assert not plan.output.exists()
    with monkeypatch.context() as patch:
        renamed_after(patch, 1, tmp_path / "net")
        with pytest.raises(OSError, match=r"all slabs are kept|4 of 4 slabs are kept"):
            run_slabs(plan)
    (tmp_path / "elsewhere").rename(tmp_path / "net")
    done = run_slabs(plan, tell=said.append)  # the height is that of the run that was stopped
    assert done.continued == 4
    assert any(line.startswith("4 of 4 slabs are there") for line in said)
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == sorted([name, f"{name}.record.json", "v_preview.png"])
    other = run_slabs(dataclasses.replace(plan, out=tmp_path / "again" / name), slab=6).path
    for path in [p for p in (other.rglob("*") if other.is_dir() else [other]) if p.is_file()]:
        assert path.read_bytes() == (done.path / path.relative_to(other) if other.is_dir() else done.path).read_bytes()


def test_an_input_that_vanishes_is_named_and_read_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "net" / "rod"
    shutil.copytree(folder, copy)
    plan = ReconPlan(copy, out=tmp_path / "v.h5")
    write, written = ViewStore.__setitem__, []

    def some(self: ViewStore, index: Any, values: Any) -> None:
        write(self, index, values)
        written.append(index)
        if len(written) == 10:
            (tmp_path / "net").rename(tmp_path / "elsewhere")

    with monkeypatch.context() as patch:
        patch.setattr(ViewStore, "__setitem__", some)
        with pytest.raises(FileNotFoundError, match=r"net.rod.* is not there .nothing of the reading is kept in .*unfinished"):
            run_slabs(plan, slab=6)
    (tmp_path / "elsewhere").rename(tmp_path / "net")
    np.testing.assert_array_equal(read_volume(run_slabs(plan).path)[0], read_volume(run_slabs(plan_of(folder, tmp_path), slab=6).path)[0])


def plan_of(folder: Path, tmp_path: Path) -> ReconPlan:
    return ReconPlan(folder, out=tmp_path / "whole" / "v.h5")


def test_a_run_that_was_killed_before_it_had_cleared_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ReconPlan(folder, out=tmp_path / "v.h5")
    with monkeypatch.context() as patch:
        patch.setattr("fewview.pipeline.slabs.run_slabs.discard", lambda left: stop())
        with pytest.raises(Killed):
            run_slabs(plan, slab=12)
    assert (tmp_path / "v.h5.unfinished").is_dir()
    said: list[str] = []
    with pytest.raises(FileExistsError, match=r"v\.h5 exists"):
        run_slabs(plan, tell=said.append)
    assert said == [f"removed {tmp_path / 'v.h5.unfinished'}, which a run had left that was stopped after it had written {plan.output}"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.h5", "v.h5.record.json", "v_preview.png"]


def stop() -> None:
    raise Killed


def test_what_has_changed_since_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "rod"
    shutil.copytree(folder, copy)
    plan = ReconPlan(copy, out=tmp_path / "v.h5")
    with monkeypatch.context() as patch:
        stop_after(patch, 1, OSError(28, "No space left on device", "v.h5"))
        with pytest.raises(
            OSError, match=r"No space left on device \(1 of 4 slabs are kept in .*v\.h5\.unfinished; the same command continues"
        ):
            run_slabs(plan, slab=6)
    image = sorted(copy.glob("*.tif"))[7]
    data = bytearray(image.read_bytes())
    data[-1] ^= 1
    image.write_bytes(data)
    with pytest.raises(ValueError, match=rf"v\.h5\.unfinished holds .* of something else: the input {image.name} has changed"):
        run_slabs(plan)
    with pytest.raises(ValueError, match=r"the setting settings has changed from \{\} to \{'filter': 'hann'\}"):
        run_slabs(dataclasses.replace(plan, scan=folder, settings={"filter": "hann"}))
    assert run_slabs(dataclasses.replace(plan, force=True)).continued == 0


def test_a_folder_of_somebody_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "v.h5.unfinished").mkdir()
    (tmp_path / "v.h5.unfinished" / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match=r"v\.h5\.unfinished is there, and fewview did not write it"):
        run_slabs(ReconPlan(folder, out=tmp_path / "v.h5", force=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "sirt"}, "--slab with --method sirt; expected fdk"),
        ({"spread": Spread(2)}, "--slab with --std 2"),
        ({"out": "v.nii.gz"}, "v.nii.gz is NIfTI, which is not written slab by slab"),
        ({"settings": {"backend": "torch"}}, "backend of slabs"),
        (
            {"grid": "200,20,20"},
            r"--grid 200,20,20: slices 0 to 4 \(-119.4 to -114.6 mm\) need rows -\d+ to -\d+ and the detector has rows 0 to 23",
        ),
        ({"box": "90:99,90:99,0:5"}, "lies outside what the scan sees"),
        ({"box": "-1:1,-1:1,60:70"}, "lies outside what the scan sees"),
    ],
)
def test_what_slabs_cannot_do_is_refused_before_anything_is_read(
    changes: dict[str, Any], said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        run_slabs(ReconPlan(folder, **{"out": "v.h5", **changes}), slab=5)
    assert not list(tmp_path.iterdir())


def test_slabs_that_memory_does_not_hold_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 slices of 36 x 36 voxels are 104 kB; by itself a slab takes a quarter of the memory."""
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 100_000)
    with pytest.raises(ValueError, match=r"slabs of 20 slices need 9\.66e-05 GiB of memory and 9\.31e-05 GiB are free"):
        run_slabs(ReconPlan(folder, out=tmp_path / "v.h5"), slab=20)
    monkeypatch.setattr("fewview.pipeline.slabs.division.available_bytes", lambda: 4 * 4 * 36 * 36 * 9)
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 10**9)
    said: list[str] = []
    run_slabs(ReconPlan(folder, out=tmp_path / "v.h5"), tell=said.append)
    assert "in 3 slabs of 8 slices" in said[0]


def test_too_little_room_on_the_disk_is_refused_with_the_number(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume of 24 x 36 x 36 and 52 views of 24 x 36, float32: 304 kB."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 300_000}))
    with pytest.raises(ValueError, match=r"v\.h5 needs 0\.000283 GiB on the disk while .* \(0\.000116 GiB then\) and 0\.000279 GiB"):
        run_slabs(ReconPlan(folder, out=tmp_path / "v.h5"), slab=5)
    assert not list(tmp_path.iterdir())


def test_an_axis_that_leans_far_is_refused_with_its_angle(tmp_path: Path) -> None:
    """Every slab then needs the whole panel."""
    leaning = geometry.move(SCAN, geometry.rotation_matrix((1, 0, 0), 50.0))
    values = np.random.default_rng(0).random((len(SCAN), *SCAN.shape), np.float32)
    path = write_projections(Projections(values, leaning), tmp_path / "p.h5")
    with pytest.raises(ValueError, match=r"the rotation axis leans 50\.0 deg from z: slabs of 5 of 43 slices need 95% of the 24 rows"):
        run_slabs(ReconPlan(path, out=tmp_path / "v.h5"), slab=5)


@pytest.mark.parametrize("name", ["v.h5", "v.ome.zarr", "v.ome.tif", "v"])
def test_an_estimate_of_the_disk_is_right(name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of some kB more than their voxels (HDF5 keeps the scan); chunks are whole."""
    plan = ReconPlan(folder, out=tmp_path / name)
    said: list[str] = []
    found = estimate(plan, slab=6, tell=said.append)
    assert [line.partition(":")[0] for line in said[-3:]] == ["memory", "disk", "time"]
    assert not list(tmp_path.iterdir())
    made = run_slabs(plan, slab=6).path
    size = sum(p.stat().st_size for p in ([made] if made.is_file() else made.rglob("*")) if p.is_file())
    assert found.output <= size <= found.output + 40_000
    assert found.disk == found.output * (3 if name == "v" else 1) + 52 * 24 * 36 * 4
    assert found.seconds > 0


def test_an_estimate_counts_the_corrections(folder: Path, tmp_path: Path) -> None:
    """Two passes through the tube's spectrum are more than one; a median takes its time for each voxel."""

    def seconds(**on: Any) -> float | None:
        plan = ReconPlan(folder, out=tmp_path / "v.h5", corrections=Corrections.off().changed(**on))
        took = estimate(plan, slab=6, tell=lambda line: None).steps.get("corrections")
        return None if took is None else took.cpu

    assert seconds() is None
    assert (seconds(rings=5, scatter=0.01) or 0) > 0
    tube = {"voltage_kv": 50.0, "filter_mm_al": 0.5}
    assert (seconds(bone_hardening=20, **tube) or 0) > (seconds(bone_hardening=1, **tube) or 0) > 0
    assert (seconds(median=3) or 0) > (seconds(median=1) or 0) > 0


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recon", str(folder), "--slab", "9", "--out", str(tmp_path / "v.ome.zarr")]) == 0
    out = capsys.readouterr().out
    assert "in 3 slabs of 9 slices" in out
    assert f"wrote {tmp_path / 'v.ome.zarr'}" in out
    assert main(["recon", str(folder), "--slab", "9", "--out", str(tmp_path / "v.ome.zarr"), "--force"]) == 0
