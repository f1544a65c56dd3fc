"""Metrics against theory and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fewview.benchmarks.scores.distribution import features_of, frechet_distance, inception_features, kernel_distance, random_features
from fewview.benchmarks.scores.networks.inception import FidInception, load_inception
from fewview.benchmarks.scores.statistics import mean_interval, paired_difference
from fewview.benchmarks.scores.volume_metrics import dice, edge_error, fourier_shell_correlation, nrmse, surface_distance
from fewview.geometry import InputError, MissingBackendError
from numpy.typing import NDArray
from scipy import linalg, ndimage


def _ball(radius: float, shift: float = 0.0, n: int = 40) -> NDArray[np.float64]:
    z, y, x = np.mgrid[:n, :n, :n] - (n - 1) / 2
    return (np.sqrt((x - shift) ** 2 + y**2 + z**2) <= radius).astype(float)


def test_frechet_distance_equals_the_plain_formula() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(200, 12)), rng.normal(size=(150, 12)) @ np.diag(np.linspace(0.5, 2, 12)) + 0.3
    sa, sb = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sa + sb - 2 * np.real(linalg.sqrtm(sa @ sb)))
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_shifted_copies_is_the_squared_shift() -> None:
    a = np.random.default_rng(2).normal(size=(100, 5))
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(a + 2.0)) == pytest.approx(5 * 4.0, rel=1e-6)


def test_kernel_distance_equals_the_plain_formula() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(40, 6)), rng.normal(size=(40, 6)) + 0.5

    def kernel(p: NDArray, q: NDArray) -> NDArray:
        return (p @ q.T / 6 + 1) ** 3

    m = 40
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    expected = (aa.sum() - np.trace(aa)) / (m * (m - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1)) - 2 * ab.mean()
    mean, spread = kernel_distance(torch.from_numpy(a), torch.from_numpy(b), subsets=3, subset_size=m)
    assert mean == pytest.approx(expected, rel=1e-6)  # a subset of the whole set is the whole set
    assert spread == pytest.approx(0, abs=1e-9)
    assert kernel_distance(torch.from_numpy(a), torch.from_numpy(b))[1] > 0.01  # half of the images each time: a real spread


def test_distances_leave_the_global_generator_alone_and_need_two_images() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    kernel_distance(a, a + 1)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(InputError, match="1 real images"):
        frechet_distance(a[:1], a)


def test_random_features_see_structure_and_say_their_name() -> None:
    rng = np.random.default_rng(0)
    smooth = np.stack([ndimage.gaussian_filter(rng.normal(size=(32, 32)), 3) for _ in range(150)])
    also = np.stack([ndimage.gaussian_filter(rng.normal(size=(32, 32)), 3) for _ in range(150)])
    rough = rng.normal(size=(150, 32, 32))
    features = random_features()
    f = [features_of(x / x.std(), (-3, 3), features) for x in (smooth, also, rough)]
    assert features.label.startswith("random")
    assert frechet_distance(f[0], f[2]) > 4 * frechet_distance(f[0], f[1])
    with pytest.raises(InputError, match="window"):
        features_of(smooth, (1, 1), features)


def test_inception_is_the_published_network_and_never_a_substitute(tmp_path, monkeypatch) -> None:
    # torchvision publishes 27 161 264 parameters with 1000 classes; without the auxiliary head (3 326 696) and with 1008 classes:
    assert sum(p.numel() for p in FidInception().parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    monkeypatch.setenv("FEWVIEW_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingBackendError, match="fewview data fetch"):
        inception_features()
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"not these")
    with pytest.raises(InputError, match="SHA-256"):
        load_inception(bad)


def test_shell_correlation_of_identical_volumes_is_one_and_of_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 30, 32))
    same = fourier_shell_correlation(x, x, 0.1)
    assert np.allclose(same.correlation, 1)
    assert same.resolution_mm == pytest.approx(0.2)
    other = fourier_shell_correlation(x, rng.normal(size=x.shape), 0.1)
    assert np.abs(other.correlation[3:]).max() < 0.2


def test_shell_correlation_finds_the_resolution_of_a_low_pass() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 48, 48))
    spectrum = np.fft.fftn(x)
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(48)] * 3, indexing="ij")))
    low = np.fft.ifftn(np.where(radius < 0.25, spectrum, 0)).real  # cuts at 0.25 cycles a voxel
    assert fourier_shell_correlation(low, x, 0.1).resolution_mm == pytest.approx(0.4, rel=0.08)


def test_dice_and_surface_of_shifted_balls() -> None:
    a, b = _ball(10), _ball(10, shift=2)
    # volume of the lens of two balls r = 10 at distance 2 over the ball: 1 - 3d/(4r) + d^3/(16 r^3)
    assert dice(a, b, 0.5) == pytest.approx(1 - 0.15 + 8 / 16000, abs=0.01)
    near = surface_distance(_ball(12), _ball(10), 0.5, voxel_mm=0.5)
    assert near.mean_mm == pytest.approx(1.0, abs=0.15)
    assert surface_distance(a, a, 0.5, 0.5).p95_mm == 0
    assert np.isinf(surface_distance(a, np.zeros_like(a), 0.5, 0.5).mean_mm)
    assert np.isnan(dice(a * 0, a * 0, 0.5))


@pytest.mark.wrong_shapes
def test_errors_of_a_blank_volume_are_one_and_shapes_are_checked() -> None:
    a = _ball(10)
    assert nrmse(a * 0, a) == pytest.approx(1)
    assert edge_error(a * 0, a, 0.1) == pytest.approx(1)
    assert edge_error(a + 3, a, 0.1) == pytest.approx(0)
    with pytest.raises(InputError, match="shape"):
        nrmse(a[1:], a)
    with pytest.raises(InputError, match="constant"):
        edge_error(a, np.ones_like(a), 0.1)


def _coverage(samples: NDArray[np.float64], mean: float) -> float:
    return float(np.mean([found.low <= mean <= found.high for found in map(mean_interval, samples)]))


def test_the_printed_intervals_hold_the_mean_in_95_percent_of_all_cases_with_six_animals(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    cases = {"normal": (rng.normal(1.0, 1.0, (4000, 6)), 1.0), "uniform": (rng.uniform(-1, 1, (4000, 6)), 0.0),
             "skewed as differences of PSNR are (gamma of shape 20)": (rng.gamma(20, 1, (4000, 6)), 20.0)}  # fmt: skip
    found = {name: _coverage(*case) for name, case in cases.items()}
    with capsys.disabled():
        print("\ncoverage at n = 6:", ", ".join(f"{name} {share:.3f}" for name, share in found.items()))
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def test_a_difference_is_paired_over_weeks_seeds_and_selections_within_each_animal() -> None:
    a = {("m1", "0", "random", "0"): 3.0, ("m1", "1", "random", "0"): 9.0, ("m2", "0", "random", "0"): 4.0, ("m3",): float("nan")}
    b = {("m1", "0", "random", "0"): 1.0, ("m1", "1", "random", "0"): 1.0, ("m2", "0", "random", "0"): 2.0, ("m3",): 1.0, ("m4",): 9.0}
    found = paired_difference(a, b)  # m1: the mean of 2 and 8; m2: 2
    assert (found.mean, found.count) == (3.5, 2)
    assert paired_difference({**a, ("m2", "1", "evenly", "0"): 7.0}, b).mean == 3.5  # without a counterpart it does not count
    with pytest.raises(InputError, match="share no animal"):
        paired_difference({("x",): 1.0}, {("y",): 1.0})
    with pytest.raises(InputError, match="not finite"):
        mean_interval([1.0, float("inf")])
