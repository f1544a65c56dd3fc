"""Fields and rays: rendering against the projector and theory, gradients, and a field that learns."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, transform, views
from fewview.nerf.field.encoding import HashGrids
from fewview.nerf.field.naf import AttenuationField, NafSettings, binned
from fewview.nerf.field.refinement import Refinement
from fewview.nerf.field.rendering import Pose, box_of, composite, grid_points, render, render_views, sample, volume_field
from fewview.nerf.field.smoothness import variation
from fewview.nerf.pixelnerf.view_features import Cameras
from fewview.recon import METHODS, Operator, Progress, StopRun, reconstruct
from numpy.typing import NDArray


def _scan(count: int = 12, axis_shift_mm: float = 0.0) -> Scan:
    return Scan.circular(
        dso_mm=80, dsd_mm=120, rows=24, cols=32, pixel_mm=1.2, angles_deg=np.arange(count) * 208 / count, axis_shift_mm=axis_shift_mm
    )


def _blobs(grid: Grid) -> NDArray[np.float32]:
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    body = np.zeros(grid.shape)
    for (cx, cy, cz), size, value in (((2, 1, 0), 3.5, 0.05), ((-3, -2, 2), 2.5, 0.08), ((0, 4, -3), 2.0, 0.06)):
        body += value * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * (size / 1.5) ** 2))
    return body.astype(np.float32)


def test_rendering_equals_the_operator_on_a_smooth_volume() -> None:
    grid, scan = Grid((24, 24, 24), 0.8, (0.5, -0.3, 0.2)), transform.roll(_scan(4, axis_shift_mm=0.7), 2.0)
    volume = _blobs(grid)
    seen = render_views(volume_field(torch.from_numpy(volume), grid), scan, grid, count=96).numpy()
    expected = Operator(scan, grid)(volume)
    assert np.abs(seen - expected).max() < 0.01 * expected.max()


def test_rays_hit_the_pixels_and_samples_stay_in_the_box() -> None:
    scan, grid = _scan(3, axis_shift_mm=1.0), Grid((8, 10, 12), 1.0, (1.0, 2.0, 3.0))
    view, row, col = torch.tensor([2, 0]), torch.tensor([5, 23]), torch.tensor([7, 0])
    rays = Pose.of(scan).rays(view, row, col)
    for i in range(2):
        pixel = transform.pixel_centers(scan, int(view[i]))[int(row[i]), int(col[i])]
        along = (pixel - scan.source[int(view[i])]) / np.linalg.norm(pixel - scan.source[int(view[i])])
        assert np.allclose(rays.direction[i].numpy(), along)
    box = box_of(grid, torch.float64)
    samples = sample(rays, box, 50, torch.Generator().manual_seed(0))
    inside = samples.points[samples.hit]
    assert ((inside >= box[0] - 1e-9) & (inside <= box[1] + 1e-9)).all()


def test_a_uniform_box_has_the_chord_lengths_of_theory_and_a_miss_is_zero() -> None:
    pose = Pose(
        torch.tensor([[-50.0, 0, 0]]), torch.tensor([[50.0, 0, 0]]), torch.tensor([[0, 1.0, 0]]), torch.tensor([[0, 0, 1.0]]), (1, 3)
    )
    grid = Grid((4, 4, 10), 2.0)  # 20 mm along x, 8 mm across
    rays = pose.rays(torch.zeros(3, dtype=torch.long), torch.zeros(3), torch.tensor([1.0, 4.0, 30.0]))
    seen = render(lambda p: torch.full((len(p),), 0.1), rays, box_of(grid), 33)
    assert seen[0] == pytest.approx(2.0)
    assert seen[1] == pytest.approx(2.0 * math.hypot(1, 3 / 100), rel=1e-5)
    assert seen[2] == 0


def test_gradients_of_rendering_are_right_in_field_and_geometry() -> None:
    grid, scan = Grid((4, 4, 4), 3.0), _scan(2)
    volume = torch.rand(grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pose = Pose.of(scan)
    shift = torch.tensor(0.13, dtype=torch.float64, requires_grad=True)

    def line(v: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        moved = Pose(pose.source, pose.detector + s * pose.u, pose.u, pose.v, pose.shape)
        rays = moved.rays(torch.tensor([0, 1]), torch.tensor([11.3, 12.0]), torch.tensor([15.2, 17.1]))
        return render(volume_field(v, grid), rays, box_of(grid, torch.float64), 7)

    assert torch.autograd.gradcheck(line, (volume, shift), eps=1e-6, atol=1e-5)


def test_compositing_a_uniform_fog_is_beer_lambert() -> None:
    grid = Grid((4, 4, 10), 2.0)
    rays = Pose.of(Scan.circular(dso_mm=50, dsd_mm=100, rows=1, cols=1, pixel_mm=1, angles_deg=[90])).rays(
        torch.tensor([0]), torch.tensor([0.0]), torch.tensor([0.0])
    )
    samples = sample(rays, box_of(grid), 40)
    ones = torch.ones(1, 40)
    assert composite(0.1 * ones, ones, samples)[0] == pytest.approx(1 - math.exp(-2.0), rel=1e-4)


def test_field_on_the_grid_is_the_field_at_the_voxel_centres() -> None:
    grid = Grid((9, 12, 16), 0.7, (1, 2, 3))
    field = AttenuationField(grid, NafSettings(), 0.1, torch.Generator().manual_seed(3))
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    assert torch.allclose(field.volume(grid), field(grid_points(grid)).reshape(grid.shape), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("encoding", ["dense", "hash"])
def test_chunks_change_neither_volume_nor_gradient(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    grid, found = Grid((6, 7, 8), 1.0), []
    for chunk in (1 << 20, 50):
        monkeypatch.setattr("fewview.nerf.field.naf.VOXELS_A_CHUNK", {"cpu": chunk})
        field = AttenuationField(grid, NafSettings(encoding=encoding), 0.1, torch.Generator().manual_seed(0))
        volume = field.volume(grid)
        found.append([volume.detach(), *torch.autograd.grad(volume.square().sum(), list(field.parameters()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_field_that_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"GiB.*rays"):
        reconstruct(Projections(np.ones((4, 24, 32), np.float32), _scan(4)), "naf", Grid.fit(_scan(4)))


def test_hash_grids_are_continuous_and_dense_where_they_fit() -> None:
    grids = HashGrids(4, 2, 10, 4, 32, torch.Generator().manual_seed(0))
    point = torch.tensor([[0.0, -0.5, 0.5]])  # on a face of the cells of every level: the steps cross it
    step = 1e-5 * torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    assert (grids(point + step) - grids(point)).abs().max() < 1e-6
    assert grids.sizes == [5**3, 9**3, 2**10, 2**10]  # resolutions 4, 8, 16, 32


def test_naf_learns_the_same_every_time_and_beats_trivial_volumes() -> None:
    fine, grid = Grid((36, 36, 36), 0.55), Grid((20, 20, 20), 1.0)
    scan = _scan(24)
    whole = Projections(Operator(scan, fine)(_blobs(fine)), scan)
    given = views.evenly(scan, 8)
    unseen = whole[np.setdiff1d(np.arange(24), given)]
    truth, losses = _blobs(grid), []
    rec = reconstruct(
        whole[given], "naf", grid, callbacks=[lambda p: losses.append(p.values["loss"])], steps=60, report_every=5, learning_rate=0.03
    )
    again = reconstruct(whole[given], "naf", grid, steps=60, learning_rate=0.03)
    assert np.array_equal(rec.volume, again.volume)
    assert losses[-1] < 0.2 * losses[0]

    def held_out(volume: NDArray[np.float32]) -> float:
        return float(np.sqrt(np.mean((Operator(unseen.scan, grid)(volume) - unseen.values) ** 2)))

    blank, fdk = held_out(np.zeros_like(truth)), held_out(reconstruct(whole[given], "fdk", grid).volume)
    assert held_out(rec.volume) < min(0.3 * blank, fdk)
    assert np.linalg.norm(rec.volume - truth) < 0.6 * np.linalg.norm(truth)


@pytest.mark.slow
def test_naf_on_rays_learns_and_finds_a_shifted_axis() -> None:
    fine, grid = Grid((36, 36, 36), 0.55), Grid((20, 20, 20), 1.0)
    true = _scan(16, axis_shift_mm=1.8)  # 1.5 pixels
    p = Projections(Operator(true, fine)(_blobs(fine)), _scan(16))
    settings = {"render": "rays", "steps": 250, "rays": 384, "samples": 24, "learning_rate": 0.03, "bin": False, "report_every": 25}
    rec = reconstruct(p, "naf", grid, refine=("axis",), **settings)
    assert rec.settings["axis_shift_px"] == pytest.approx(1.5, abs=0.3)
    assert rec.history[-1]["residual"] < 0.5 * rec.history[0]["residual"]


def test_what_is_found_is_in_the_pixels_of_the_detector() -> None:
    moved = Refinement(Pose.of(_scan(4)), ("axis", "roll", "drift"), pixels=(2.0, 3.0))
    with torch.no_grad():
        moved.axis += 1.5
        moved.roll += 1.0
        moved.drift[0] += 4.0
    found = moved.found()
    assert (found["axis_shift_px"], found["roll_deg"]) == pytest.approx((3.0, 0.1))
    assert found["drift_px"][0] == pytest.approx([6.0, 9.0])  # the mean of the four views is taken out


def test_a_source_far_away_costs_no_accuracy() -> None:
    """Nearly parallel rays through voxels of 0.02 mm from 100 m away: float32 knows 0.008 mm there."""
    grid = Grid((16, 16, 16), 0.02)
    scan = Scan.circular(dso_mm=1e5, dsd_mm=1e5 + 10, rows=14, cols=14, pixel_mm=0.02, angles_deg=[0.0, 70.0])
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    volume = np.exp(-((x - 0.02) ** 2 + y**2 + z**2) / 0.005).astype(np.float32)
    seen = render_views(volume_field(torch.from_numpy(volume), grid), scan, grid, count=64).numpy()
    expected = Operator(scan, grid)(volume)
    assert np.abs(seen - expected).max() < 0.01 * expected.max()
    points = torch.tensor([[0.05, -0.03, 0.04], [0.0, 0.0, 0.0]])
    row, col, _ = Cameras.of(scan).project(points)
    exact = np.einsum("vij,vpj->vpi", Cameras.of(scan, torch.float64).inverse.numpy(), points.double().numpy() - scan.source[:, None])
    np.testing.assert_allclose(col, exact[..., 0] / exact[..., 2] + 6.5, atol=1e-3)
    np.testing.assert_allclose(row, exact[..., 1] / exact[..., 2] + 6.5, atol=1e-3)


def test_a_single_slice_is_no_less_smooth_for_it() -> None:
    values = torch.rand(1, 1, 5, 6)
    steps = torch.stack([values.diff(dim=3)[:, :, :-1], values.diff(dim=2)[..., :-1]])
    assert variation(values) == pytest.approx(float(steps.square().sum(0).add(1e-12).sqrt().mean()))
    assert torch.isfinite(variation(torch.rand(1, 1, 1, 1)))


def test_an_unrefined_pose_is_the_nominal_one_and_a_drift_has_no_mean() -> None:
    nominal = Pose.of(_scan(4))
    assert Refinement(nominal, ()).pose() is nominal
    moved = Refinement(nominal, ("drift",))
    with torch.no_grad():
        moved.drift += 5.0
    assert torch.allclose(moved.pose().detector, nominal.detector)


def test_binning_keeps_the_rays_of_the_means() -> None:
    scan = _scan(2)
    values = np.random.default_rng(0).random((2, 24, 32)).astype(np.float32)
    half = binned(Projections(values, scan), voxel_mm=2 * scan.field_of_view_mm[2])
    assert half.scan.shape == (12, 16)
    assert half.values[1, 3, 5] == pytest.approx(values[1, 6:8, 10:12].mean(), rel=1e-6)
    centers = transform.pixel_centers(scan, 1)[6:8, 10:12].reshape(-1, 3).mean(0)
    assert np.allclose(transform.pixel_centers(half.scan, 1)[3, 5], centers)


@pytest.mark.parametrize("render", ["volume", "rays"])
def test_naf_in_bf16_finds_the_same_volume(render: str) -> None:
    grid = Grid((20, 20, 20), 1.0)
    scan = _scan(12)
    p = Projections(Operator(scan, grid)(_blobs(grid)), scan)
    settings = {"render": render, "steps": 60, "rays": 128, "samples": 16, "learning_rate": 0.03}
    full, half = (reconstruct(p, "naf", grid, precision=x, **settings).volume for x in ("float32", "bf16"))
    assert 0 < np.linalg.norm(half - full) < 0.1 * np.linalg.norm(full)  # bf16 keeps 8 bits: another path to the same place


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["dense", "hash"])
def test_naf_compiled_is_naf(encoding: str) -> None:
    grid = Grid((20, 20, 20), 1.0)
    scan = _scan(12)
    p = Projections(Operator(scan, grid)(_blobs(grid)), scan)
    settings = {"render": "rays", "steps": 20, "rays": 128, "samples": 16, "encoding": encoding}
    plain, compiled = (reconstruct(p, "naf", grid, compiled=x, **settings).volume for x in (False, True))
    assert np.linalg.norm(compiled - plain) < 0.01 * np.linalg.norm(plain)


def test_naf_refuses_bad_settings() -> None:
    assert "naf" in METHODS
    grid, p = Grid((8, 8, 8), 2.0), Projections(np.ones((12, 24, 32), np.float32), _scan())
    with pytest.raises(InputError, match="steps"):
        reconstruct(p, "naf", grid, steps=-1)
    with pytest.raises(UnknownNameError, match="dense"):
        reconstruct(p, "naf", grid, encoding="dence")
    with pytest.raises(UnknownNameError, match="bf16"):
        reconstruct(p, "naf", grid, precision="fp16")
    with pytest.raises(InputError, match="rays"):
        reconstruct(p, "naf", grid, refine=("axis",))
    with pytest.raises(UnknownNameError, match="roll"):
        reconstruct(p, "naf", grid, render="rays", refine=("rol",))
    with pytest.raises(InputError, match="no positive"):
        reconstruct(Projections(np.zeros((12, 24, 32), np.float32), _scan()), "naf", grid)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": "abc"}, "steps of naf is 'abc'; expected a whole number of 1 or more, or none"),
        ({"steps": 2.5}, "steps of naf is 2.5"),
        ({"steps": True}, "steps of naf is True"),
        ({"hidden": float("inf")}, "hidden of naf is inf"),
        ({"learning_rate": "nan"}, "learning_rate of naf is 'nan'; expected a number above 0"),
        ({"learning_rate": 0.0}, "learning_rate of naf is 0.0; expected a number above 0"),
        ({"bin": "maybe"}, "bin of naf is 'maybe'; expected true or false"),
        ({"samples": 0}, "samples of naf is 0"),
        ({"refine": 5}, "refine of naf is 5; expected a list of axis or roll or drift"),
        ({"refine": "axis"}, "only rays have gradients"),  # a lone name is a list of one
        ({"device": "meta"}, "device 'meta' cannot be used"),
    ],
)
def test_naf_names_a_setting_of_a_wrong_type(given: dict[str, Any], said: str) -> None:
    p = Projections(np.ones((12, 24, 32), np.float32), _scan())
    with pytest.raises((InputError, MissingBackendError), match=re.escape(said)):
        reconstruct(p, "naf", Grid((8, 8, 8), 2.0), **given)


def test_a_callback_stops_naf_and_the_field_as_it_is_then_is_the_result() -> None:
    grid, p = Grid((6, 8, 8), 2.0), Projections(np.ones((12, 24, 32), np.float32), _scan())

    def stop(progress: Progress) -> None:
        if progress.step == 4:
            raise StopRun

    rec = reconstruct(p, "naf", grid, callbacks=[stop], steps=1000, report_every=2)
    assert [h["step"] for h in rec.history] == [2, 4]
    assert rec.settings["stopped"] == "by a callback, at step 4"
    assert rec.volume.max() > 0


def test_settings_are_fitted_to_their_types() -> None:
    made = METHODS["naf"].settings(render="rays", steps=np.float64(3), tv=1, refine=["axis", "roll"], seed=np.int64(4), bin=np.bool_(False))
    assert made.bin is False
    assert (made.steps, made.tv, made.refine, made.seed) == (3, 1.0, ("axis", "roll"), 4)
    assert [type(v) for v in (made.steps, made.tv, made.seed)] == [int, float, int]
    with pytest.raises(InputError, match=r"checkpoint of unet is 5; expected a name or a file or none"):
        METHODS["unet"].settings(checkpoint=5)
    start = np.zeros((2, 2, 2), np.float32)
    assert METHODS["sirt"].settings(start=start).start is start
