"""tvnet: tiles change nothing, it learns, held-out views decide how much of it is taken, and its weights are what they should be."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, InputError, Scan, views
from fewview.nerf.patchwise import members, method, network, scales
from fewview.nerf.patchwise.adapt import adapted
from fewview.nerf.patchwise.inputs import TvWeight, facts, grey_scale, total_variation
from fewview.nerf.patchwise.learner import LEARNER, AnySize, Network, correction
from fewview.nerf.patchwise.method import corrected, memory, tvnet
from fewview.nerf.patchwise.tiles import tiled
from fewview.nerf.procedural.example import procedural_example
from fewview.nerf.procedural.lab import LAB_VIEWS
from fewview.nerf.training.bank import Bank
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.train_network import decibel, train
from fewview.nerf.weights import FOLDER, shipped_checkpoint
from fewview.recon import METHODS, Operator, pdhg_tv, reconstruct
from fewview.recon.iterative.tuning.supported_share import as_bright_as_the_views, as_voxels_show, support
from fewview.recon.physics.simulator import simulate
from scipy.ndimage import gaussian_filter

TINY = network.Architecture(first=16, second=16, third=8)
SMALL_SCALES = scales.Scales(fine=6, middle=8, coarse=8)
SMALL_MEMBERS = members.Members(fine=6, middle=8, coarse=8, members=2)
LEARNER_TINY = replace(LEARNER, presets={"tiny": TINY}, training={"tiny": {"batch": 4, "pool": 1, "clip": 1.0}})
SCAN = Scan.circular(dso_mm=80, dsd_mm=80, rows=40, cols=56, pixel_mm=0.78, angles_deg=np.arange(40) * 9.0)
GRID = Grid((16, 32, 32), 1.1)


@cache
def shells(seed: int) -> Example:
    """Thin shells around balls, on voxels half as large as the grid's, scanned with noise; the reference is the truth."""
    fine, rng = Grid((32, 64, 64), 0.55), np.random.default_rng(seed)
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    volume = 0.03 * (x**2 + y**2 < 15**2)
    for _ in range(4):
        a, b, c, radius = *rng.uniform(-6, 6, 3), rng.uniform(3, 6)
        away = np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)
        volume = np.where(away < radius, 0.04, np.where(away < radius + 1.0, 0.2, volume))
    volume = volume.astype(np.float32)
    p = simulate(volume, fine, SCAN, seed=seed, polychromatic=False, photons=20000.0, refine=1, rays=2, bits=0, scatter=0.0, blur_px=0.0)
    coarse = volume.reshape(16, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    return Example(f"{seed}", f"{seed}", p, GRID, coarse)


def random_module(architecture: AnySize = TINY) -> Network:
    module = LEARNER.build(architecture, torch.Generator().manual_seed(0)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        module.known.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, network.FACTS))
    return module


def test_what_surrounds_a_voxel_is_what_lies_there() -> None:
    rng, edge = np.random.default_rng(0), 2 * network.REACH + 3
    region = rng.random((2, edge, edge + 1, edge + 2), dtype=np.float32)
    seen, middle = network.surroundings(region)
    assert seen.shape == (3 * 4 * 5, network.INPUTS)
    z, y, x = (network.REACH + k for k in (2, 1, 3))
    row, own = seen[(2 * 4 + 1) * 5 + 3].numpy(), region[0, z, y, x]
    assert middle[(2 * 4 + 1) * 5 + 3] == own
    near = region[:, z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3]
    assert np.allclose(row[:125], near[0].ravel() - own)
    assert np.allclose(row[125:250], near[1].ravel())
    upper = region[0, z - 13 : z - 4, y - 4 : y + 5, x + 5 : x + 14].mean()  # the block of 9 voxels above, in the middle, to the right
    assert row[-27 + 5] == pytest.approx(upper - own, abs=1e-5)


def test_what_the_network_sees_is_divided_by_the_contrast_around_it() -> None:
    """A chequered cube of amplitude 0.4 in the first volume has the mean square 0.4^2 there, and half of that over both volumes."""
    z, y, x = np.indices((20, 20, 20))
    chequered = (0.7 + 0.4 * (-1.0) ** (z + y + x)).astype(np.float32)
    seen, contrast = (x[0] for x in scales.normalised(torch.from_numpy(np.stack([chequered, np.zeros_like(chequered)]))[None]))
    expected = np.sqrt(0.4**2 / 2 + scales.FAINT**2)
    assert contrast[10, 10, 10] == pytest.approx(expected, rel=2e-3)
    assert seen[:, 10, 10, 10].tolist() == pytest.approx([0.4 / expected, 0, np.log(expected / scales.FAINT), 0.7], abs=5e-3)
    flat = scales.normalised(torch.full((1, 2, 9, 9, 9), 0.5))[1]
    assert flat.min() > scales.FAINT


@pytest.mark.parametrize(("architecture", "reach"), [(TINY, network.REACH), (SMALL_SCALES, scales.REACH), (SMALL_MEMBERS, scales.REACH)])
def test_tiles_give_the_volume_of_one_piece_and_do_not_see_beyond_their_reach(architecture: Any, reach: int) -> None:
    net, rng = random_module(architecture).net, np.random.default_rng(0)
    volumes = [rng.random((6, 10, 110), dtype=np.float32) for _ in range(2)]
    told = np.full(network.FACTS, 0.3, np.float32)
    whole = tiled(net, volumes, told, 0.5, tile=128)
    most = np.abs(whole).max()
    assert np.abs(whole - tiled(net, volumes, told, 0.5, tile=8)).max() < 1e-5 * most
    far, near = ([v.copy() for v in volumes] for _ in range(2))
    for v in far:
        v[:, :, : 54 - reach] = 7
        v[:, :, 55 + reach :] = 7
    assert np.abs(tiled(net, far, told, 0.5, tile=128) - whole)[:, :, 54].max() < 1e-5 * most
    near[0][:, :, 66] += 7  # twelve voxels away, which only the coarsest scale reaches
    assert np.abs(tiled(net, near, told, 0.5, tile=128) - whole)[:, :, 54].max() > 1e-3 * most


def test_a_correction_is_as_large_as_the_contrast() -> None:
    """Away from faint structures the network knows no unit: twice the volumes, in the same units, are corrected by twice as much."""
    module, rng = random_module(), np.random.default_rng(0)
    volumes, told = [100 * rng.random((8, 8, 8), dtype=np.float32) for _ in range(2)], np.zeros(network.FACTS, np.float32)
    single, double = (tiled(module.net, [k * v for v in volumes], told, k) for k in (1.0, 2.0))
    assert np.allclose(double, 2 * single, rtol=1e-4)


def test_the_grey_scale_and_the_unit_of_length_do_not_matter() -> None:
    """Twice the attenuation on voxels of half the size is the same scan."""
    example = shells(1)
    p = example.projections[views.evenly(SCAN, 12)]
    small = Scan(SCAN.shape, SCAN.source / 2, SCAN.detector / 2, SCAN.u / 2, SCAN.v / 2, SCAN.angles_deg)[views.evenly(SCAN, 12)]
    numbers = facts(p, GRID, grey_scale(example.reference), 0.006)
    other = facts(Projections(p.values, small), Grid(GRID.shape, 0.55), grey_scale(2 * example.reference), 0.006)
    assert numbers == pytest.approx(other, abs=1e-4)
    assert grey_scale(np.pad(example.reference, 9)) == pytest.approx(grey_scale(example.reference))
    assert grey_scale(np.zeros((2, 2, 2), np.float32)) == 0


def test_it_learns_what_total_variation_misses(tmp_path: Path) -> None:
    settings = TrainSettings.of(LEARNER_TINY, "tiny", steps=120, views=(12,), check_every=120, check_views=(12,), seed=1)
    done = train(LEARNER_TINY, [shells(k) for k in (1, 2, 3)], [shells(4)], settings, tmp_path / "tvnet.pt", bank=tmp_path / "bank")
    first, *_, last = done.losses
    assert last["score"] > first["score"] + 0.4  # dB above the total variation that it starts from, on shells it never saw
    assert len(list((tmp_path / "bank").glob("*.npz"))) >= 3
    other = shells(5)
    given = other.projections[views.evenly(SCAN, 12)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rec = reconstruct(given, "tvnet", GRID, checkpoint=tmp_path / "tvnet.pt")
    assert rec.volume.min() >= 0
    assert rec.settings["share"] == (1 if rec.settings["share_best"] >= 0.7 else max(0.0, rec.settings["share_best"]))
    assert "4 of 12 views held out in 2 turns" in rec.settings["share_rule"]
    assert decibel(rec.volume, other) > decibel(pdhg_tv(given, GRID, lambda_=rec.settings["lambda_"]), other) + 0.1


def test_what_it_learns_in_another_grey_scale_is_judged_and_given_in_that(tmp_path: Path) -> None:
    """Targets 0.7 times as bright as the views, as those of another energy are: held-out views say nothing about that factor."""
    settings = TrainSettings.of(LEARNER_TINY, "tiny", steps=60, views=(12,), check_every=60, check_views=(12,), seed=1)
    made = [replace(shells(k), reference=np.float32(0.7) * shells(k).reference, name=f"dim {k}") for k in (1, 2, 3, 4)]
    done = train(LEARNER_TINY, made[:3], made[3:], settings, tmp_path / "dim.pt")
    assert done.losses[-1]["score"] > done.losses[0]["score"] + 3  # dB; at the start it is total variation, as bright as the views
    given, target = shells(5).projections[views.evenly(SCAN, 12)], np.float32(0.7) * shells(5).reference
    rec = reconstruct(given, "tvnet", GRID, checkpoint=tmp_path / "dim.pt")
    assert rec.settings["grey"] == pytest.approx(0.7, abs=0.01)
    assert rec.check
    assert rec.check.scale == pytest.approx(1, abs=0.03)  # the views are asked about the shape
    assert rec.settings["share_gain"] > 0  # with the factor in what is judged it was -0.7, and a share of 0.06 was taken
    assert rec.settings["share"] > 0.5
    dim = np.float32(rec.settings["grey"]) * pdhg_tv(given, GRID, lambda_=rec.settings["lambda_"])
    example = replace(shells(5), reference=target)
    assert decibel(rec.volume, example) > decibel(dim, example) + 0.1


def test_weights_from_before_the_grey_scale_was_kept_have_that_of_the_views() -> None:
    module = random_module()
    module.see_grey(np.float32([1, 2]), np.float32([4, 5]))
    assert module.grey == pytest.approx(3)
    module.see_grey(np.float32([0, 0]), np.float32([4, 5]))  # an empty volume says nothing
    assert module.grey == pytest.approx(3)
    module.load_state_dict({name: tensor for name, tensor in module.state_dict().items() if name != "grey_seen"})
    assert module.grey == 1


@pytest.mark.parametrize("architecture", [TINY, SMALL_SCALES])
def test_half_precision_corrects_as_full_precision_does(architecture: Any) -> None:
    example, module = shells(2), random_module(architecture)
    given = example.projections[views.evenly(SCAN, 12)]
    first = pdhg_tv(given, GRID, lambda_=0.01)
    full = correction(module, given, GRID, first, 0.01)
    module.precision = torch.bfloat16
    half = correction(module, given, GRID, first, 0.01)
    assert 0 < np.linalg.norm(half - full) < 0.02 * np.linalg.norm(full)


@pytest.mark.parametrize(("invented", "low", "high"), [(False, 0.6, 1.0), (True, 0.0, 0.1)])
def test_held_out_views_tell_a_truth_from_an_invention(invented: bool, low: float, high: float) -> None:
    example = shells(2)
    given = example.projections[views.evenly(SCAN, 28)]

    def both(data: Projections, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        before = pdhg_tv(data, grid, lambda_=0.01)
        true = example.reference - before
        return before, before + (np.roll(true, 7, axis=2)[:, ::-1] if invented else true)

    found = support(given, GRID, both, as_bright_as_the_views)
    assert low <= found.share <= high
    assert not invented or found.gain < 0


def test_a_correction_that_the_views_refute_is_not_taken_and_this_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    given = shells(3).projections[views.evenly(SCAN, 12)]
    monkeypatch.setattr(method, "_network", lambda settings: (random_module(), {}))
    with pytest.warns(UserWarning, match="(none|[0-9] %) of the network's correction is taken"):
        rec = reconstruct(given, "tvnet", GRID)
    assert rec.settings["share"] < 0.1  # a random correction is right in a little by chance
    first, whole = pdhg_tv(given, GRID), reconstruct(given, "tvnet", GRID, held_out=False).volume
    assert np.abs(rec.volume - first).max() <= 0.1 * np.abs(whole - first).max()


def test_a_scan_unlike_those_of_the_training_is_named_and_left_to_total_variation() -> None:
    """Pixels of an eighth of a voxel, and views at half a degree from another: neither occurred in training."""
    example = shells(3)
    some = views.evenly(SCAN, 12)
    coarse = Grid((4, 5, 5), 8 * SCAN.field_of_view_mm.pixel_mm)
    wedge = Scan.circular(dso_mm=80, dsd_mm=80, rows=28, cols=40, pixel_mm=1.1, angles_deg=np.arange(12) * 0.5)
    narrow = Projections(Operator(wedge, GRID)(example.reference), wedge)
    for given, grid, named in ((example.projections[some], coarse, "size of a pixel in voxels"), (narrow, GRID, "step between views")):
        with pytest.warns(UserWarning, match=f"the .*{named}.* far from what the network was trained on: the result is total variation"):
            rec = reconstruct(given, "tvnet", grid, check=False)
        assert named in rec.settings["unfamiliar"]
        assert rec.settings["share"] == 0
        assert np.array_equal(rec.volume, pdhg_tv(given, grid))
    with pytest.warns(UserWarning, match="trained on$"):
        whole = reconstruct(narrow, "tvnet", GRID, check=False, held_out=False)
    assert np.abs(whole.volume - rec.volume).max() > 1e-4
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert "unfamiliar" not in reconstruct(example.projections[some], "tvnet", GRID, check=False).settings
    assert not any("far from" in str(w.message) for w in said)


def test_another_grey_scale_is_no_other_object() -> None:
    """A thousand times the attenuation, as where counts or Hounsfield units were taken for it, gives a thousand times the volume."""
    p = shells(3).projections[views.evenly(SCAN, 12)]
    one, thousand = (reconstruct(Projections(k * p.values, p.scan), "tvnet", GRID, check=False) for k in (np.float32(1), np.float32(1000)))
    assert thousand.settings["share"] == pytest.approx(one.settings["share"], abs=1e-3)
    assert np.allclose(thousand.volume, 1000 * one.volume, atol=1e-3 * thousand.volume.max())


def test_it_learns_from_the_scan_itself_what_weights_for_something_else_lack() -> None:
    """A network that adds nothing becomes better than total variation with 24 views of shells, and predicts views that it never saw."""
    example, module = shells(7), LEARNER.build(SMALL_SCALES, torch.Generator().manual_seed(0)).eval()
    some = views.evenly(SCAN, 24)
    given, others = example.projections[some], example.projections[np.setdiff1d(np.arange(len(SCAN)), some)]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    first = total_variation(given, GRID, lambda_=0.0053)
    after, told = adapted(module, given, GRID, first.weight, rounds=30)
    assert told["adapt_gain"] > 0.02
    assert 1 <= told["adapt_rounds"] <= 30
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    volume = corrected(after, given, GRID, first.volume, first.lambda_, 0)
    shown = as_voxels_show(others, GRID.voxel_mm)
    errors = [((Operator(others.scan, GRID)(v) - shown) ** 2).mean() for v in (first.volume, volume)]
    assert errors[1] < 0.98 * errors[0]  # of views that nobody gave it
    assert decibel(volume, example) > decibel(first.volume, example) + 0.05


def test_what_makes_the_views_kept_apart_worse_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    from fewview.nerf.patchwise import adapt

    example, module = shells(7), LEARNER.build(TINY, torch.Generator().manual_seed(0)).eval()
    given = example.projections[views.evenly(SCAN, 24)]
    monkeypatch.setattr(adapt, "RATE", 3.0)  # steps that ruin any network
    after, told = adapted(module, given, GRID, TvWeight(0.008), rounds=2)
    assert after is module
    assert (told["adapt_gain"], told["adapt_rounds"]) == (0, 0)
    few, said = adapted(module, given[:13], GRID, TvWeight(0.008), rounds=2)
    assert few is module
    assert "too few" in said["adapt_rule"]


def test_the_weights_that_come_with_it_are_better_than_total_variation_on_shells() -> None:
    example = shells(6)
    for count in (13, 26):
        given = example.projections[views.evenly(SCAN, count)]
        rec = reconstruct(given, "tvnet", GRID, check=False)
        assert decibel(rec.volume, example) > decibel(pdhg_tv(given, GRID, lambda_=rec.settings["lambda_"]), example) + 0.1
    assert not METHODS["tvnet"].trained


def test_memory_is_asked_for_before_the_work_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    example = shells(4)
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 1 << 20)
    with pytest.raises(InputError, match=r"need .*GiB of memory and 0\.000977 GiB are free"):
        tvnet(example.projections[views.evenly(SCAN, 12)], example.grid)


@pytest.mark.parametrize("preset", LEARNER.presets)
def test_the_network_works_on_512_cubed_within_8_gib(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, and asked for before total variation begins; the bytes of a tile were measured (docs/model_cards.md)."""
    module = LEARNER.build(LEARNER.presets[preset], torch.Generator().manual_seed(0))
    needed, what = memory(module, Grid((512, 512, 512), 0.02))
    assert 6 * 512**3 * 4 < needed < 8 << 30
    assert "512 x 512 x 512 voxels" in what
    example = shells(4)
    monkeypatch.setattr(method, "total_variation", lambda *a, **k: pytest.fail("the work began"))
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: memory(module, example.grid)[0] - 1)
    monkeypatch.setattr(method, "_network", lambda settings: (module, {}))
    with pytest.raises(InputError, match=r"the volumes and layers of tvnet on 16 x 32 x 32 voxels need .*GiB"):
        tvnet(example.projections[views.evenly(SCAN, 12)], example.grid)


def test_weights_that_are_not_those_of_this_version_are_refused(tmp_path: Path) -> None:
    whole = (FOLDER / "tvnet.pt").read_bytes()
    assert len(whole) < 1 << 20
    assert shipped_checkpoint("tvnet").method == "tvnet"
    for damaged in (whole[:-1], whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], b""):
        (tmp_path / "tvnet.pt").write_bytes(damaged)
        with pytest.raises(InputError, match="the weights of this version of fewview"):
            shipped_checkpoint("tvnet", tmp_path)
    with pytest.raises(FileNotFoundError, match="install fewview again"):
        shipped_checkpoint("tvnet", tmp_path / "nowhere")


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (Path.write_text, (Path("ran"), "code in a checkpoint was executed"))


def test_code_in_a_file_of_weights_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"format": _Runs()}))
    torch.save({"format": _Runs()}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            reconstruct(shells(3).projections[::4], "tvnet", GRID, checkpoint=tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("seed", [3, 6])
def test_a_procedural_example_is_a_scan_of_its_reference(tmp_path: Path, seed: int) -> None:
    """Of the first seed as a laboratory scans an animal, of the second in one of many other ways."""
    example = procedural_example(seed, Bank(0, tmp_path), 64)
    again = procedural_example(seed, Bank(0, tmp_path), 64)  # from the folder
    fresh = procedural_example(seed, Bank(0), 64)
    assert (len(example.projections.scan) == LAB_VIEWS) == (seed == 3)
    assert np.array_equal(example.projections.values, again.projections.values)
    assert np.array_equal(example.reference, fresh.reference)
    predicted = Operator(example.projections.scan, example.grid)(example.reference)
    measured = example.projections.values
    smooth = [gaussian_filter(v, (0, 1.5, 1.5)).ravel() for v in (predicted, measured)]  # without most of the noise
    assert np.corrcoef(*smooth)[0, 1] > 0.998
    assert predicted.sum() == pytest.approx(measured.sum(), rel=0.05)
    assert (example.reference != 0).mean() > 0.01


@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_a_scene_on_more_voxels_is_the_same_scene_more_finely(seed: int) -> None:
    small, large = (procedural_example(seed, Bank(0), size) for size in (32, 64))
    assert [example.grid.shape[2] for example in (small, large)] == [32, 64]
    nz = small.grid.shape[0] // 2  # both have as many slices, so that the larger shows the middle half
    middle = small.reference[(small.grid.shape[0] - nz) // 2 :][:nz]
    shown = large.reference.reshape(-1, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(middle.ravel(), shown.ravel())[0, 1] > 0.9
