"""A blank volume, a smoothed total variation, FDK and the truth: every column that claims to judge volumes ranks them as a person would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from fewview.benchmarks.scores.against.linear_map import grey_map, normal_equations, solved
from fewview.benchmarks.scores.against.references import object_mask
from fewview.benchmarks.scores.compared import VolumePair, Yardstick
from fewview.benchmarks.scores.metric_table import Metric, metrics_of
from fewview.data import Projections
from fewview.geometry import Grid, Scan, views
from fewview.recon import Operator, fdk, pdhg_tv
from numpy.typing import NDArray
from scipy import ndimage

GRID, FROM_WORST = Grid((24, 48, 48), 1.0), ("blank", "smoothed TV", "FDK", "truth")
SCAN = Scan.circular(dso_mm=150, dsd_mm=150, rows=36, cols=64, pixel_mm=1.0, angles_deg=np.arange(0, 360, 3.0))
Volumes = Mapping[str, NDArray[np.float32]]


def _animal(seed: int) -> NDArray[np.float32]:
    """Soft tissue with bones of different thickness, some of them only two voxels thick."""
    random = np.random.default_rng(seed)
    z, y, x = (a.astype(float) for a in np.mgrid[:24, :48, :48])
    volume = np.where((y - 23.5) ** 2 + (x - 23.5) ** 2 < 17**2, 0.02, 0.0) * ((z > 1) & (z < 22))
    for _ in range(9):
        cy, cx, r = *random.uniform(13, 34, 2), random.uniform(2, 5)
        ring = np.abs(np.hypot(y - cy - 0.2 * (z - 12), x - cx) - r) < random.uniform(0.8, 1.6)
        volume[ring & (volume > 0)] = 0.07
    return ndimage.gaussian_filter(volume, 0.4).astype(np.float32)


def _made(seed: int, grey: float) -> Volumes:
    """The four volumes of one animal; reconstructions come out ``grey`` times too bright, as after a correction of hardening."""
    truth = _animal(seed)
    clean = Operator(SCAN, GRID)(truth)
    p = Projections((clean + np.random.default_rng(seed).normal(0, 0.01, clean.shape)).astype(np.float32), SCAN)
    few = p[views.evenly(SCAN, 20)]
    smooth = ndimage.gaussian_filter(pdhg_tv(few, GRID, lambda_=0.01, iterations=15), 2.0)
    return {"blank": np.zeros_like(truth), "smoothed TV": grey * smooth, "FDK": grey * fdk(p, GRID, filter="hann"), "truth": truth}


@pytest.fixture(scope="module", params=[1.0, 1.4], ids=["same grey scale", "another grey scale"])
def scene(request: pytest.FixtureRequest) -> tuple[float, Volumes, Volumes]:
    return request.param, _made(1, request.param), _made(2, request.param)


def _scores(metric: Metric, tested: Volumes, other: Volumes) -> list[float]:
    """The metric of the four volumes, from the worst to the best; maps are fitted on the other animal."""
    truth = tested["truth"]
    inside = GRID.seen_by_all(SCAN)
    pair = VolumePair(truth, truth, GRID, inside, Yardstick(bone=0.045), object_mask(truth, inside))
    found = []
    for name in FROM_WORST:
        volume = tested[name]
        if metric.needs != "volume":
            body = object_mask(other["truth"], inside)
            fit = grey_map if metric.needs == "grey-mapped volume" else solved
            volume = fit(normal_equations([other[name]], other["truth"], body))([volume])
        found.append(float(metric.function(replace(pair, volume=volume))))
    return found


JUDGES = [m for m in metrics_of("volume") if m.judges != "no"]


@pytest.mark.parametrize("metric", JUDGES, ids=[m.name for m in JUDGES])
def test_volumes_are_ranked_as_a_person_would(metric: Metric, scene: tuple[float, Volumes, Volumes]) -> None:
    grey, tested, other = scene
    if grey != 1 and metric.judges == "same grey scale":
        pytest.skip("this column judges volumes of the reference's grey scale, and says so")
    scores = np.array(_scores(metric, tested, other))
    gain = np.diff(scores if metric.better == "high" else -scores)
    gain[np.isnan(gain) | (np.isinf(scores[:-1]) & np.isinf(scores[1:]) & (scores[:-1] == scores[1:]))] = 0
    assert (gain > 0).all(), dict(zip(FROM_WORST, scores, strict=True))


def test_what_judges_every_grey_scale_is_what_tables_mark_and_a_number_alone_is_not() -> None:
    marked = {m.name for m in metrics_of("volume") if m.marked}
    assert {"psnr_object_linear", "psnr_object_grey", "dice_bone_linear", "fsc_half_mm"} <= marked
    assert not marked & {"bv_tv_error", "tb_th_error", "pmoi_error", "psnr_grey_fit", "edge_error", "fid", "kid", "psnr_object"}
