"""LPIPS against torchmetrics' own arithmetic, its weights by hash, and columns that say when they are absent."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.benchmarks.comparison.tables import Row, markdown
from fewview.benchmarks.scores.networks import feature_networks as judges_module
from fewview.benchmarks.scores.networks.feature_networks import ABSENT, judges
from fewview.benchmarks.scores.perceptual import perceptual_distance, random_perceptual
from fewview.geometry import InputError, MissingBackendError, UnknownNameError
from fewview.nerf.mednerf import lpips as training_lpips
from fewview.nerf.mednerf.lpips import alexnet, load_lpips, lpips_distance, lpips_of, published_heads
from numpy.typing import NDArray


def _images(seed: int, n: int = 3, side: int = 64) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((n, side, side), dtype=np.float32) * 3


def test_the_distance_is_torchmetrics_on_the_same_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    backbone = alexnet().eval()
    fake = types.ModuleType("torchvision")
    fake.models = types.SimpleNamespace(alexnet=lambda weights: types.SimpleNamespace(features=backbone))  # type: ignore[attr-defined]
    theirs = pytest.importorskip("torchmetrics.functional.image.lpips")
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setattr(theirs, "_TORCHVISION_AVAILABLE", True)
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: load(*a, **{**k, "map_location": "cpu"}))
    peer = theirs._LPIPS(pretrained=True, net="alex", pnet_rand=True).eval()
    a, b = _images(1), _images(2)
    ours = perceptual_distance(a, b, (0.0, 3.0), lpips_of(backbone, published_heads()))
    with torch.no_grad():
        three = [torch.from_numpy(x / 3)[:, None].expand(-1, 3, -1, -1) * 2 - 1 for x in (a, b)]
        expected = float(peer(*three).mean())
    assert expected > 0.001
    assert ours == pytest.approx(expected, rel=1e-5)


def test_the_backbone_has_the_published_parameters() -> None:
    names = {f"{n}.{end}" for n in (0, 3, 6, 8, 10) for end in ("weight", "bias")}
    assert {k for k, _ in alexnet().named_parameters()} == names
    assert sum(p.numel() for p in alexnet().parameters()) == 2_469_696  # of torchvision's AlexNet without its classifier
    assert [len(h) for h in published_heads()] == [64, 192, 384, 256, 256]


@pytest.mark.parametrize(
    "perceptual", [random_perceptual(), lpips_of(alexnet(), [torch.full((c,), 1 / c) for c in (64, 192, 384, 256, 256)])]
)
def test_equal_images_are_at_zero_and_more_noise_is_further(perceptual) -> None:
    a = _images(3)
    noise = _images(4) - 1.5
    at = [perceptual_distance(a, a + s * noise, (0.0, 3.0), perceptual) for s in (0, 0.1, 0.4)]
    assert at[0] == 0
    assert 0 < at[1] < at[2]
    one_by_one = [perceptual_distance(a[k : k + 1], (a + 0.4 * noise)[k : k + 1], (0.0, 3.0), perceptual) for k in range(3)]
    assert at[2] == pytest.approx(np.mean(one_by_one), rel=1e-4)


@pytest.mark.wrong_shapes
def test_images_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="two equal stacks"):
        perceptual_distance(_images(0), _images(0, n=2), (0, 3), random_perceptual())
    with pytest.raises(InputError, match="at least 32"):
        perceptual_distance(_images(0, side=16), _images(1, side=16), (0, 3), random_perceptual())


def test_weights_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWVIEW_DATA", str(tmp_path))
    with pytest.raises(MissingBackendError, match="lpips-alexnet"):
        load_lpips()
    folder = tmp_path / "lpips-alexnet"
    folder.mkdir()
    torch.save({f"features.{k}": v for k, v in alexnet().state_dict().items()}, folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(InputError, match="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"):
        load_lpips()  # a file of that name, but not that file


def test_absent_weights_are_a_note_and_not_an_empty_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWVIEW_DATA", str(tmp_path))
    judges_module.judges.cache_clear()
    absent = judges("inception")
    judges_module.judges.cache_clear()
    assert absent.features is None
    assert absent.perceptual is None
    assert set(absent.labels.values()) == {ABSENT}
    assert any("fewview data fetch fid-inception" in line for line in absent.remarks)
    row = Row("fdk", 26, "evenly", ("851",), {p: {} for p in ("table2-compat", "heldout-views", "truth", "recon-ct")}, 1.0, 1.0, ())
    table = markdown([row], "truth", absent.labels)
    head, note = table.splitlines()[0], table.splitlines()[-1]
    assert "FID" not in head
    assert "LPIPS, FID, KID: the weights of its network are not here (`fewview data fetch" in note
    assert "LPIPS, FID, KID: no network was asked for" in markdown([row], "truth", {})
    with pytest.raises(UnknownNameError, match="inception"):
        judges("inceptoin")


def test_the_distance_of_training_is_the_column_and_has_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    found = lpips_of(alexnet().eval().requires_grad_(False), [torch.full((c,), 1 / c) for c in (64, 192, 384, 256, 256)])
    monkeypatch.setattr(training_lpips, "_published", lambda: found)
    a, b = _images(0), _images(1)
    one, two = (torch.from_numpy(x)[:, None] / 1.5 - 1 for x in (a, b))  # 0..3 is -1..1
    one.requires_grad_()
    loss = lpips_distance(one, two)
    assert float(loss.detach()) == pytest.approx(perceptual_distance(a, b, (0.0, 3.0), found), rel=1e-4)
    loss.backward()
    assert one.grad is not None
    assert float(one.grad.abs().max()) > 0
