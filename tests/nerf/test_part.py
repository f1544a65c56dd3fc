"""Learned methods on a box inside an object: the outside is taken away from the views, or does not matter, or the box is refused."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.training.checkpoint import Checkpoint, save_checkpoint
from fewview.nerf.training.part import as_they_are
from fewview.nerf.training.trained_method import trained_method
from fewview.nerf.volumes import lpd, unet
from fewview.recon import Operator, reconstruct
from fewview.recon.corrections.prepared import straightened

VOXEL_MM = 0.6
SCAN = skyscan_1276(rows=24, cols=38, voxel_mm=VOXEL_MM)
SCAN = SCAN[views.evenly(SCAN, 20)]
WHOLE = Grid((24, 38, 38), VOXEL_MM)
AT, SIDE = (6, 12, 16), 12
PART = tuple(slice(a, a + SIDE) for a in AT)
BOX = Grid((SIDE,) * 3, VOXEL_MM, tuple(float(c) for c in WHOLE.origin_mm + (np.array(AT[::-1]) + (SIDE - 1) / 2) * VOXEL_MM))  # type: ignore[arg-type]
HARDENING = 20.0  # per cent
TINY_UNET = unet.Architecture(channels=2, levels=1, dropout=0.0, iterations=15, hardening=HARDENING)
TINY_LPD = lpd.Architecture(steps=6, memory=1, width=2, hardening=HARDENING)


def leg(grid: Grid) -> np.ndarray:
    """A long leg with two bones, one of them beside the box, which it leaves on all sides."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    mu = np.where(np.hypot(x, y) < 9, 0.04, 0.0).astype(np.float32)
    mu[np.hypot(x - 0.6, y + 1 - 0.2 * z) < 1.8] = 0.15
    mu[np.hypot(x + 6, y - 3) < 2] = 0.18
    return mu


@cache
def scan_of_leg() -> Projections:
    """Measured with a beam that hardened by what `straightened` undoes, on voxels half as large, of which more lie above and below."""
    fine = Grid((60, 76, 76), VOXEL_MM / 2)
    straight = Operator(SCAN, fine)(leg(fine)) + np.random.default_rng(0).normal(0, 0.01, (len(SCAN), *SCAN.shape))
    hardened = (np.sqrt(np.maximum(1 + 4 * HARDENING / 100 * straight, 0)) - 1) / (2 * HARDENING / 100)
    return Projections(hardened.astype(np.float32), SCAN)


def truth() -> np.ndarray:
    """The mean over each voxel of the box."""
    nz, ny, nx = (2 * n for n in BOX.shape)
    return leg(Grid((nz, ny, nx), VOXEL_MM / 2, BOX.center_mm)).reshape(SIDE, 2, SIDE, 2, SIDE, 2).mean(axis=(1, 3, 5))


def error(volume: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((volume - other) ** 2) / np.mean(other**2)))


def checkpoint(learner: Any, preset: str, architecture: Any, module: torch.nn.Module, folder: Path) -> Path:
    """The weights of a module in a file, as if they had been trained on voxels of this size."""
    facts = {"settings": {}, "geometry": {"voxel_mm": VOXEL_MM}, "data": {}, "losses": ({"step": 1},)}
    state, path = module.state_dict(), folder / f"{learner.name}.pt"
    save_checkpoint(path, Checkpoint(learner.name, preset, dataclasses.asdict(architecture), **facts, state=state))
    return path


def tiny_unet() -> torch.nn.Module:
    """A network whose answer is the mean of what it is given: total variation and FDK."""
    module = unet.LEARNER.build(TINY_UNET, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.blur.weight[0, :, 1, 1, 1] = torch.tensor([-0.5, 0.5]) / unet.QUICK
    return module


def tiny_lpd() -> torch.nn.Module:
    """A network that adds nothing yet to a gradient method."""
    return lpd.LEARNER.build(TINY_LPD, torch.Generator().manual_seed(0))


def test_lpd_takes_the_outside_away_from_the_views(tmp_path: Path) -> None:
    """The views are straightened first, for the beam hardened in all of the object, and once."""
    file, seen = checkpoint(lpd.LEARNER, "small", TINY_LPD, tiny_lpd(), tmp_path), []
    own = reconstruct(scan_of_leg(), "lpd", BOX, [lambda p: seen.append(np.asarray(p.volume).shape)], check=False, checkpoint=file)
    measured = reconstruct(scan_of_leg(), trained_method(lpd.LEARNER, lpd.LpdSettings, part=as_they_are), BOX, check=False, checkpoint=file)
    assert error(own.volume, truth()) < 0.6 * error(measured.volume, truth())
    assert own.settings["outside"].startswith("subtracted, from pdhg_tv of the whole on voxels of 1.2 mm")
    assert set(seen) == {BOX.shape}
    whole = reconstruct(scan_of_leg(), "lpd", WHOLE, check=False, checkpoint=file)
    assert error(own.volume, truth()) < 1.1 * error(whole.volume[PART], truth())
    assert "outside" not in whole.settings


def test_unet_gives_a_part_as_it_gives_the_whole(tmp_path: Path) -> None:
    """Its total variation takes the outside away by itself, and FDK is the same voxel by voxel."""
    file = checkpoint(unet.LEARNER, "small", TINY_UNET, tiny_unet(), tmp_path)
    part, whole = (reconstruct(scan_of_leg(), "unet", grid, check=False, checkpoint=file).volume for grid in (BOX, WHOLE))
    assert error(part, whole[PART]) < 0.04
    assert error(part, truth()) < 0.15


def test_pixelnerf_gives_a_part_as_it_gives_the_whole(tmp_path: Path) -> None:
    small = replace(
        pixelnerf.PRESETS["small"], channels=(4, 4, 4, 4, 4), blocks=(1, 1, 1, 1), width=8, view_blocks=1, joint_blocks=1, groups=2
    )
    file = checkpoint(pixelnerf.LEARNER, "small", small, pixelnerf.LEARNER.build(small, torch.Generator().manual_seed(0)), tmp_path)
    part, whole = (reconstruct(scan_of_leg()[:3], "pixelnerf", grid, check=False, checkpoint=file).volume for grid in (BOX, WHOLE))
    assert np.allclose(part, whole[PART], atol=1e-4 * whole.max())
    assert whole[PART].std() > 0


def test_mednerf_and_a_network_without_a_rule_are_refused_a_part(tmp_path: Path) -> None:
    small = replace(mednerf.LEARNER.presets["small"])
    file = checkpoint(mednerf.LEARNER, "small", small, mednerf.LEARNER.build(small, torch.Generator().manual_seed(0)), tmp_path)
    with pytest.raises(InputError, match=r"mednerf on a part of the object: the views show \d+% of their largest value beside the grid"):
        reconstruct(scan_of_leg(), "mednerf", BOX, check=False, checkpoint=file, steps=1)
    file = checkpoint(lpd.LEARNER, "small", TINY_LPD, tiny_lpd(), tmp_path)
    with pytest.raises(InputError, match="lpd on a part of the object"):
        reconstruct(scan_of_leg(), trained_method(lpd.LEARNER, lpd.LpdSettings), BOX, check=False, checkpoint=file)


def test_wcrr_takes_the_outside_away_too() -> None:
    straight = straightened(scan_of_leg(), HARDENING)
    own, as_it_is = (
        reconstruct(straight, "wcrr", BOX, check=False, iterations=5, tv=0.01, share=0.5, outside=outside) for outside in ("auto", "ignore")
    )
    assert error(own.volume, truth()) < 0.5 * error(as_it_is.volume, truth())


def test_views_are_straightened_once() -> None:
    once = straightened(scan_of_leg(), HARDENING)
    assert straightened(once, HARDENING) is once
    assert once.values.max() > 1.1 * scan_of_leg().values.max()
