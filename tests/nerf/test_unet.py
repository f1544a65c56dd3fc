"""unet: learns on phantoms it can see and is better on one it cannot; tiles change nothing; members spread."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fewview.data.phantom.limb import hind_limb
from fewview.geometry import Grid, InputError, Scan, views
from fewview.nerf.training.checkpoint import load_checkpoint
from fewview.nerf.training.ensemble import ensemble_std
from fewview.nerf.training.examples import augmented
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.train_network import decibel, train
from fewview.nerf.volumes import unet
from fewview.recon import METHODS, Method, fdk, reconstruct
from fewview.recon.physics.simulator import simulate
from fewview.recon.uncertainty import coverage

pytestmark = pytest.mark.filterwarnings("ignore:the .* views cover:UserWarning")
TINY = unet.Architecture(channels=8, levels=1, iterations=6, hardening=0.0, patch=16, patches=2)
LEARNER = replace(unet.LEARNER, presets={"tiny": TINY})
SCAN = Scan.circular(dso_mm=80, dsd_mm=120, rows=26, cols=26, pixel_mm=1.65, angles_deg=np.arange(48) * 5.2)
GRID = Grid((24, 24, 24), 1.1)


@cache
def leg(seed: int) -> Example:
    """A phantom leg on voxels half as large as the grid's, scanned with noise; the reference is the FDK of all views, as Recon-CT is."""
    fine = Grid((48, 48, 48), 0.55)
    volume = hind_limb(fine, seed=seed, supersample=1).volume
    p = simulate(volume, fine, SCAN, seed=seed, polychromatic=False, photons=20000.0, refine=1, rays=1)
    return Example(f"{seed} week 0", str(seed), p, GRID, np.maximum(fdk(p, GRID, filter="hamming"), 0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("unet") / "unet.pt"
    settings = TrainSettings.of(LEARNER, "tiny", steps=80, views=(12,), check_every=40, check_views=(12,), seed=1)
    return out, train(LEARNER, [leg(1), leg(2)], [leg(3)], settings, out)


def test_unet_learns_and_is_better_on_a_leg_it_never_saw(checkpoint: tuple[Path, Any], tmp_path: Path) -> None:
    path, done = checkpoint
    first, *_, last = done.losses
    assert last["unet"] < 0.8 * done.losses[1]["unet"]
    assert last["score"] > first["score"] + 1  # dB above the volume of total variation that it starts from
    settings = TrainSettings.of(LEARNER, "tiny", steps=4, views=(12,), check_every=2, check_views=(12,), seed=1)
    twice = [train(LEARNER, [leg(1), leg(2)], [leg(3)], settings, tmp_path / f"{k}.pt") for k in range(2)]
    assert twice[0].losses == twice[1].losses
    other = leg(4)
    given = other.projections[views.evenly(SCAN, 12)]
    method = replace(METHODS["unet"], run=_with(LEARNER))
    learned = reconstruct(given, method, GRID, checkpoint=path).volume
    assert learned.min() >= 0
    assert decibel(learned, other) > 1 + max(decibel(reconstruct(given, name, GRID).volume, other) for name in ("fdk", "pdhg_tv"))


def test_the_network_itself_learns_not_only_the_linear_path_beside_it(checkpoint: tuple[Path, Any]) -> None:
    module = load_checkpoint(checkpoint[0], LEARNER)
    volumes = torch.from_numpy(unet.first_volumes(leg(4).projections[views.evenly(SCAN, 12)], GRID, TINY))
    tissue = torch.from_numpy(leg(4).reference > 0.01)
    with torch.no_grad():
        whole = unet.tiled(module, volumes)
        module.get_parameter("leave.weight").zero_()
        module.get_parameter("leave.bias").zero_()
        linear = unet.tiled(module, volumes)
    assert (whole - linear)[tissue].std() > 0.1 * (whole - volumes[0])[tissue].std()


def _with(learner: Any) -> Any:
    """The method's run for the tiny preset of these tests."""
    return unet.trained_method(learner, unet.UnetSettings, unet.configure).run


def test_tiles_give_the_volume_of_one_piece() -> None:
    shape = unet.Architecture(channels=2, levels=1)
    module = unet.LEARNER.build(shape, torch.Generator().manual_seed(0)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        volumes = torch.rand(2, 37, 30, 42, generator=generator)
        whole = unet.tiled(module, volumes, tile=64, margin=0)
        pieces = unet.tiled(module, volumes, tile=17)
        bare = unet.tiled(module, volumes, tile=17, margin=0)
    assert (whole - pieces).abs().max() < 1e-5 * whole.abs().max()
    assert (whole - bare).abs().max() > 0.1 * (whole - volumes[0]).std()  # the margin is what makes it so


def test_no_output_depends_on_what_lies_beyond_its_reach() -> None:
    shape = unet.Architecture(channels=2, levels=2)
    module = unet.LEARNER.build(shape, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.abs() + 0.02)
    x = torch.rand(1, 2, 8, 8, 80, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for place in (38, 39, 40, 41):
        (slope,) = torch.autograd.grad(module(x)[0, 4, 4, place], x)
        touched = slope.abs().sum((0, 1, 2, 3)).nonzero()[:, 0]
        assert max(place - int(touched[0]), int(touched[-1]) - place) <= unet.reach(shape)


def test_patches_lie_inside_and_hold_tissue() -> None:
    example, generator = leg(1), torch.Generator().manual_seed(0)
    a = replace(TINY, patch=10, patches=200)
    cuts = list(unet.patches(example.reference, a, generator))
    assert len(cuts) == 200
    for cut in cuts:
        assert example.reference[cut].shape == (10, 10, 10)
        assert example.reference[cut].max() > 0.25 * a.unit
    assert len({c[0].start for c in cuts}) > 5
    assert next(unet.patches(np.zeros((4, 8, 8), np.float32), a, generator))[0] == slice(0, 4)  # small and empty: all there is


def test_first_volumes_are_made_once_and_turned_with_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(projections: Any, grid: Grid, a: Any) -> Any:
        made.append(len(projections))
        return first(projections, grid, a)

    first = unet.first_volumes
    monkeypatch.setattr(unet, "first_volumes", counted)
    given, found = views.evenly(SCAN, 12), []
    kept = unet.LEARNER.build(TINY, torch.Generator().manual_seed(0)).eval()
    for seed in range(4):
        example = augmented(leg(1), "quarter", torch.Generator().manual_seed(seed))
        fresh = unet.LEARNER.build(TINY, torch.Generator().manual_seed(0)).eval()
        plain = replace(example, before=None, quarters=0, mirror=False)
        losses = [
            unet.LEARNER.loss(m, e, given, torch.Generator().manual_seed(9), "unet").item() for m, e in ((kept, example), (fresh, plain))
        ]
        assert losses[0] == pytest.approx(losses[1], rel=0.06)  # differences of neighbours look forward
        found.append((example.quarters, example.mirror))
    assert len(set(found)) > 2
    assert len(made) == 5  # once for the module that kept it, once for each of the others


def test_dropout_gives_a_spread_that_grows_with_the_error(checkpoint: tuple[Path, Any]) -> None:
    path, _ = checkpoint
    other = leg(4)
    given = other.projections[views.evenly(SCAN, 12)]
    method = replace(METHODS["unet"], run=_with(LEARNER))
    plain = reconstruct(given, method, GRID, checkpoint=path)
    assert np.array_equal(plain.volume, reconstruct(given, method, GRID, checkpoint=path, seed=5).volume)  # no dropout, no chance
    rec = ensemble_std(given, method, GRID, members=6, checkpoint=path)
    assert rec.std is not None
    assert rec.settings["std_kind"] == "dropout"
    assert np.array_equal(rec.std, ensemble_std(given, method, GRID, members=6, checkpoint=path).std)
    assert (rec.std[other.reference > 0.01] > 0).mean() > 0.99
    error = np.abs(rec.volume - other.reference)
    sure, unsure = (part.mean() for part in (error[rec.std <= np.median(rec.std)], error[rec.std > np.quantile(rec.std, 0.9)]))
    assert unsure > 1.5 * sure
    assert 0 < coverage(rec.volume, rec.std, other.reference)[0] < 1


def test_an_ensemble_of_seeds_is_its_mean_and_standard_deviation() -> None:
    other = leg(4)
    given = other.projections[views.evenly(SCAN, 8)]
    box = Grid((12, 12, 12), 2.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rec = ensemble_std(given, "naf", box, members=3, steps=12, report_every=4, seed=7)
        members = [reconstruct(given, "naf", box, steps=12, seed=7 + k).volume for k in range(3)]
    assert np.allclose(rec.volume, np.mean(members, axis=0), atol=1e-6)
    assert np.allclose(rec.std, np.std(members, axis=0, ddof=1), atol=1e-6)
    assert rec.settings["std_kind"] == "seeds"
    assert len(rec.history) == 3  # of the first member


def test_an_ensemble_of_checkpoints_and_bad_ensembles(checkpoint: tuple[Path, Any], tmp_path: Path) -> None:
    path, _ = checkpoint
    given = leg(4).projections[views.evenly(SCAN, 12)]
    method = replace(METHODS["unet"], run=_with(LEARNER))
    short = tmp_path / "short.pt"
    train(LEARNER, [leg(1)], [], TrainSettings.of(LEARNER, "tiny", steps=2, views=(12,)), short)
    rec = ensemble_std(given, method, GRID, checkpoint=[str(path), str(short)])
    two = [reconstruct(given, method, GRID, checkpoint=file).volume for file in (path, short)]
    assert np.allclose(rec.std, np.abs(two[0] - two[1]) / np.sqrt(2), atol=1e-6)
    assert rec.settings["checkpoint"] == [str(path), str(short)]
    for members, name in ((1, "naf"), (4, "fdk")):
        with pytest.raises(InputError, match="2 or more" if name == "naf" else "no seed"):
            ensemble_std(given, name, GRID, members=members)
    with pytest.raises(InputError, match=r"has to be trained first.*fewview train unet"):
        reconstruct(given, "unet", GRID)
    with pytest.raises(InputError, match="architecture"):
        load_checkpoint(path, unet.LEARNER, unet.PRESETS["small"])
    assert isinstance(METHODS["unet"], Method)
    assert METHODS["unet"].trained
