"""lpd: before training a gradient method, after it better on a phantom it never saw; gradients reach every weight."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.data.phantom.limb import hind_limb
from fewview.geometry import Grid, Scan, views
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.train_network import decibel, train
from fewview.nerf.training.trained_method import trained_method
from fewview.nerf.volumes import lpd
from fewview.recon import Operator, fdk, reconstruct
from fewview.recon.physics.simulator import simulate

pytestmark = pytest.mark.filterwarnings("ignore:the .* views cover:UserWarning")
TINY = lpd.Architecture(steps=3, memory=2, width=8, hardening=0.0)
LEARNER = replace(lpd.LEARNER, presets={"tiny": TINY})
SCAN = Scan.circular(dso_mm=80, dsd_mm=120, rows=22, cols=22, pixel_mm=1.95, angles_deg=np.arange(48) * 5.2)
GRID = Grid((20, 20, 20), 1.32)


@cache
def leg(seed: int) -> Example:
    """A phantom leg on voxels half as large as the grid's, scanned with noise; the reference is the FDK of all views, as Recon-CT is."""
    fine = Grid((40, 40, 40), 0.66)
    volume = hind_limb(fine, seed=seed, supersample=1).volume
    p = simulate(volume, fine, SCAN, seed=seed, polychromatic=False, photons=20000.0, refine=1, rays=1)
    return Example(f"{seed} week 0", str(seed), p, GRID, np.maximum(fdk(p, GRID, filter="hamming"), 0))


def test_lpd_learns_and_is_better_on_a_leg_it_never_saw(tmp_path: Path) -> None:
    settings = TrainSettings.of(LEARNER, "tiny", steps=40, views=(12,), check_every=10, check_views=(12,), learning_rate=1.5)
    done = train(LEARNER, [leg(1), leg(2)], [leg(3)], settings, tmp_path / "lpd.pt")
    first, *_, last = done.losses
    assert last["lpd"] < 0.8 * done.losses[1]["lpd"]
    assert last["score"] > first["score"] + 2
    short = replace(settings, steps=2, check_every=1)
    twice = [train(LEARNER, [leg(1), leg(2)], [leg(3)], short, tmp_path / f"{k}.pt") for k in range(2)]
    assert twice[0].losses == twice[1].losses
    other = leg(4)
    given = other.projections[views.evenly(SCAN, 12)]
    learned = reconstruct(given, trained_method(LEARNER, lpd.LpdSettings), GRID, checkpoint=tmp_path / "lpd.pt").volume
    assert learned.min() >= 0
    assert decibel(learned, other) > 1 + max(decibel(reconstruct(given, name, GRID).volume, other) for name in ("fdk", "sirt"))


def test_before_training_every_step_comes_nearer_to_the_data() -> None:
    """The networks add nothing yet: what is left is a gradient method behind a ramp."""
    p = leg(1).projections
    A, gaps = Operator(p.scan, GRID), []
    for steps in (1, 2, 4, 8):
        module = lpd.LEARNER.build(replace(TINY, steps=steps), torch.Generator().manual_seed(0))
        with torch.no_grad():
            volume = lpd.run(module, p, GRID) * TINY.unit
        gaps.append(float(np.linalg.norm(A(volume.numpy()) - p.values)))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.5 * np.linalg.norm(A(fdk(p, GRID, filter="hann")) - p.values)


def test_a_smooth_volume_comes_back_from_its_filtered_back_projection() -> None:
    """Whatever the number of views and the size of pixels, the step is scaled to about one."""
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    volume = torch.from_numpy(np.exp(-((x - 2) ** 2 + y**2 + (z + 1) ** 2) / 40).astype(np.float32))
    for step, pixel in ((1, 1.95), (3, 1.95), (1, 1.3)):
        scan = Scan.circular(dso_mm=80, dsd_mm=120, rows=36, cols=36, pixel_mm=pixel, angles_deg=np.arange(0, 48, step) * 5.2)
        p = Projections(Operator(scan, GRID)(volume.numpy()), scan)
        back = lpd.Back(p, GRID, torch.device("cpu"))
        came = back(torch.from_numpy(np.array(p.values)))
        assert float((came * volume).sum() / (volume * volume).sum()) == pytest.approx(1, abs=0.15)


def test_gradients_reach_every_weight_and_agree_with_differences() -> None:
    module = lpd.LEARNER.build(TINY, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    example, given = leg(1), views.evenly(SCAN, 6)
    lpd.LEARNER.loss(module, example, given, generator, "lpd").backward()
    last = {f"{kind}.{TINY.steps - 1}.layers.2" for kind in ("dual", "primal")}  # memory that nobody reads any more
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0 or any(name.startswith(part) for part in last), name
    for weight in (module.pace, module.dual[0].layers[0].weight, module.primal[1].layers[2].bias):
        at = (0,) * weight.dim()
        found = []
        for change in (2e-3, -4e-3):
            with torch.no_grad():
                weight[at] += change
            found.append(lpd.LEARNER.loss(module, example, given, generator, "lpd").item())
        with torch.no_grad():
            weight[at] += 2e-3
        assert weight.grad[at].item() == pytest.approx((found[0] - found[1]) / 4e-3, rel=0.05, abs=1e-4)


def test_any_number_of_views_and_any_grid_fit_one_network() -> None:
    module = lpd.LEARNER.build(TINY, torch.Generator().manual_seed(0))
    for count, grid in ((1, GRID), (5, Grid((7, 9, 11), 2.5)), (48, GRID)):
        with torch.no_grad():
            volume = lpd.LEARNER.reconstruct(module, leg(1).projections[views.evenly(SCAN, count)], grid, torch.Generator())
        assert volume.shape == grid.shape
        assert torch.isfinite(volume).all()


def test_a_step_in_half_precision_stays_near_the_full_one(tmp_path: Path) -> None:
    settings = TrainSettings.of(LEARNER, "tiny", steps=1, views=(12,), check_every=1, check_views=(12,))
    full, half = (train(LEARNER, [leg(1)], [leg(3)], replace(settings, precision=p), tmp_path / f"{p}.pt") for p in ("float32", "bf16"))
    assert half.losses[-1]["lpd"] == pytest.approx(full.losses[-1]["lpd"], rel=0.05)
    assert half.losses[-1] != full.losses[-1]
