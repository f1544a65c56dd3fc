"""The published protocol in the methods themselves: one view, the whole image, their own rendering, and where the fit ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fewview.benchmarks.scores.published import as_published, published_psnr
from fewview.data import Projections
from fewview.geometry import Grid, skyscan_1276
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.mednerf.inversion import Inversion, invert
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.training.learner import RenderingLearner
from fewview.recon import Operator

SCAN = skyscan_1276(rows=16, cols=24, voxel_mm=1.8)[:1]
GRID = Grid.across(SCAN, 24)


def _view() -> Projections:
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    ball = (0.03 * ((x / 12) ** 2 + (y / 9) ** 2 + (z / 9) ** 2 < 1)).astype(np.float32)
    return Projections(Operator(SCAN, GRID)(ball), SCAN)


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_published_inversion_has_the_published_weights_and_one_whole_view() -> None:
    p = Inversion.as_published()
    assert (p.perceptual, p.squared, p.prior, p.code_rate, p.generator_rate) == (0.3, 0.1, 0.3, 5e-4, 5e-4)
    assert (p.fit, p.views, p.starts, p.whole, p.psnr_stop) == ("generator", "one", 1, True, 25.0)


def test_a_fit_of_whole_images_ends_when_they_are_as_near_as_asked_for() -> None:
    module = mednerf.LEARNER.build(replace(mednerf.PRESETS["small"], width=16, samples=8), _seed())
    a, heard = module.architecture, []
    settings = replace(Inversion.as_published(), steps=300, psnr_stop=18.0, code_rate=1e-2, generator_rate=2e-3, prior=0.0)
    found = invert(
        module.average, _view(), GRID, settings, a.optics, a.perceptual, _seed(), lambda step, values: heard.append((step, values))
    )
    last, values = heard[-1]
    assert last < 300
    assert values["psnr_patches"] >= 18.0
    assert all(before["psnr_patches"] < 18.0 for _, before in heard[:-1])
    assert found.psnr_after > found.psnr_before


@pytest.mark.parametrize("learner", [mednerf.LEARNER, pixelnerf.LEARNER], ids=["mednerf", "pixelnerf"])
def test_both_published_methods_render_their_view_themselves(learner: RenderingLearner) -> None:
    assert isinstance(learner, RenderingLearner)


def test_the_rendering_of_pixelnerf_is_the_projection_of_its_field() -> None:
    module = pixelnerf.LEARNER.build(replace(pixelnerf.PRESETS["small"], width=16, features=8, fine=0, coarse=96), _seed())
    module.radius_mm.fill_(SCAN.field_of_view_mm.radius_mm)
    view = _view()
    with torch.no_grad():
        for points in (module.coarse, module.fine):
            torch.nn.init.normal_(points.leave.weight, std=0.3, generator=_seed())
    fine = Grid((3 * GRID.shape[0], 3 * GRID.shape[1], 3 * GRID.shape[2]), GRID.voxel_mm / 3)
    volume = pixelnerf.LEARNER.reconstruct(module, view, fine, _seed()).numpy()
    expected = Operator(SCAN, fine)(volume)[0]
    seen = pixelnerf.LEARNER.rendering(module, view, GRID, _seed())
    inside = (slice(4, -4), slice(6, -6))
    np.testing.assert_allclose(seen[inside], expected[inside], rtol=0.03, atol=0.01)


def test_an_untrained_generator_reaches_the_published_psnr_of_the_view_that_it_was_given() -> None:
    module = mednerf.LEARNER.build(mednerf.PRESETS["small"], _seed())
    view = _view()
    seen = mednerf.LEARNER.rendering(module, view, GRID, _seed())
    image, target = as_published(seen, view.values[0])
    assert published_psnr(image, target) == pytest.approx(25.3, abs=0.4)  # the fit ends at the first image of 25 dB or more
