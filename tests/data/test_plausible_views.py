"""Views that cannot be those of a CT scan are refused, doubtful ones are told with numbers, sound ones pass without a word.

The object is three balls, so that line integrals are chord lengths: nothing here comes from our own projector.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fewview.data import Projections, RawScan, prepare
from fewview.geometry import InputError, Scan, skyscan_1276
from numpy.typing import NDArray

AIR, PHOTONS = 57_000.0, 20_000.0
BALLS = (((2.0, 1.0, 0.5), 7.0, 0.03), ((4.5, 2.0, 1.5), 2.5, 0.08), ((-1.5, 3.0, -1.5), 2.0, 0.08))


def scan_of(views: int, rows: int = 32, cols: int = 48) -> Scan:
    step = 208 / views
    dso = 92.975
    return Scan.circular(
        dso_mm=dso, dsd_mm=dso, rows=rows, cols=cols, pixel_mm=42.74 / cols, angles_deg=np.arange(views) * np.float64(step)
    )


def integrals(scan: Scan, scale: float = 1.0) -> NDArray[np.float64]:
    """[view, row, col]: chord lengths through the balls, times their attenuation; places and radii times ``scale``."""
    rows, cols = scan.shape
    i, j = np.arange(rows) - (rows - 1) / 2, np.arange(cols) - (cols - 1) / 2
    u, v, source = (a[:, None, None] for a in (scan.u, scan.v, scan.source))
    along = scan.detector[:, None, None] + i[None, :, None, None] * v + j[None, None, :, None] * u - source
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    total = np.zeros(along.shape[:-1])
    for middle, radius, mu in BALLS:
        to = scale * np.array(middle) - source
        nearest = (to**2).sum(-1) - (to * along).sum(-1) ** 2
        total += 2 * mu * np.sqrt(np.maximum((scale * radius) ** 2 - nearest, 0))
    return total


def counts_of(line: NDArray[np.float64], seed: int = 0, photons: float = PHOTONS) -> NDArray[np.uint16]:
    counts = np.random.default_rng(seed).poisson(photons * np.exp(-line)) * (AIR / photons)
    return np.clip(np.rint(counts), 1, 65535).astype(np.uint16)


def read(counts: NDArray[np.generic], scan: Scan, **given: object) -> tuple[Projections, list[str]]:
    """The projections, and what was warned of: the same that meta["warnings"] keeps."""
    meta = {"air_level": AIR} if given.pop("known", True) else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = prepare(RawScan(counts, scan, meta=meta), **given)  # type: ignore[arg-type]
    told = [str(w.message) for w in caught]
    assert list(result.meta["warnings"]) == [line for line in told if "air should be" not in line]
    return result, told


@pytest.mark.parametrize("views", [5, 13, 26, 52, 130])
@pytest.mark.parametrize("photons", [1500.0, 20_000.0, 1e9])
def test_sound_scans_pass_without_a_word(views: int, photons: float) -> None:
    scan = scan_of(views)
    for seed in range(3):
        assert read(counts_of(integrals(scan), seed, photons), scan, known=seed == 0)[1] == []


@pytest.mark.shared_data
def test_no_false_alarm_on_a_real_head(shared_data: Path) -> None:
    from fewview.data.volumes.attenuation import GreyScale
    from fewview.pipeline.subjects import fitting_scan, read_sample
    from fewview.recon.physics.simulator import simulate_raw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # edges of voxels that differ by 0.3 %
        head = read_sample(shared_data / "mouse_head/NZW_LACJ_.nii.gz", GreyScale(mu_max=0.2))
    scan = fitting_scan(head.grid, 64, 96)[::5]
    raw = simulate_raw(head.volume, head.grid, scan, seed=1, rays=1, refine=1)
    for step in (1, 2, 5):
        assert read(raw.intensity[::step], scan[::step])[1] == []


@pytest.mark.shared_data
def test_the_tooth_has_no_pixel_size_and_nothing_else_to_doubt(shared_data: Path) -> None:
    from fewview.data import read as read_scan

    with pytest.warns(UserWarning, match="states no pixel size"):
        tooth = read_scan(shared_data / "tooth.h5")
    assert all("pixel size" in told for told in tooth.meta["warnings"])


SCAN = scan_of(52)
SOUND = counts_of(integrals(SCAN))


def with_view(view: int, image: NDArray[np.generic]) -> NDArray[np.generic]:
    counts = SOUND.copy()
    counts[view] = image
    return counts


def noise(level: float, sd: float, views: int = 52) -> NDArray[np.uint16]:
    return np.rint(np.random.default_rng(4).normal(level, sd, (views, *SCAN.shape))).astype(np.uint16)


def picked(index: Callable[[NDArray[np.intp]], NDArray[np.intp]]) -> NDArray[np.uint16]:
    return SOUND[index(np.arange(52))]


REFUSED = [
    ("closed", lambda: noise(120, 4), ["closed shutter", "all others"]),
    ("closed in a view", lambda: with_view(7, noise(120, 4)[0]), ["view 7", "shutter"]),
    ("the beam failed", lambda: np.concatenate([SOUND[:26], noise(120, 4)[26:]]), ["26 views (view 26", "beam failed"]),
    ("nothing there in a view", lambda: with_view(7, noise(AIR, 400)[0]), ["view 7", "nothing but air"]),
    ("inverted", lambda: (65535 - SOUND).astype(np.uint16), ["inverted"]),
    ("never turned", lambda: picked(lambda i: 0 * i), ["identical", "51 views (view 1,"]),
    ("half twice", lambda: picked(lambda i: i // 2), ["identical", "26 views"]),
    ("first half again", lambda: picked(lambda i: i % 26), ["identical", "26 views (view 26"]),
    ("line integrals", lambda: integrals(SCAN).astype(np.float32), ["view 0", "line integrals, not counts", "write_projections"]),
    ("noisy line integrals", lambda: (np.log(AIR / SOUND)).astype(np.float32), ["line integrals, not counts"]),
    ("saturated", lambda: with_view(0, np.full(SCAN.shape, 65535)), ["view 0", "65535, saturated"]),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "named"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_right_is_refused(counts: Callable[[], NDArray[np.generic]], named: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(counts(), SCAN)
    for word in named:
        assert word in str(caught.value)


def dimmed_inside() -> NDArray[np.generic]:
    image = SOUND[7].astype(float)
    image[:, 4:-4] *= 0.7
    return with_view(7, image)


def stalled(photons: float = 60_000.0) -> NDArray[np.uint16]:
    """Views 20 to 22 are views of angle 20 again, with noise of their own."""
    line = integrals(SCAN)
    line[21:23] = line[20]
    return counts_of(line, photons=photons)


def round_object() -> NDArray[np.uint16]:
    line = integrals(SCAN)
    return counts_of(np.repeat(line[:1], 52, axis=0))


TOLD = [
    ("nothing in the beam", lambda: noise(AIR, 400), ["no object is seen", "air"]),
    ("two alike", lambda: picked(lambda i: np.where(i == 11, 10, i)), ["view 11: identical", "view 11 repeats view 10"]),
    ("far alike", lambda: picked(lambda i: np.where(i == 40, 10, i)), ["view 40: identical"]),
    ("stalled with fresh noise", stalled, ["2 views (view 21, then 22): alike", "stalled"]),
    ("stalled, hardly any noise", lambda: stalled(1e7), ["2 views (view 21, then 22): alike", "stalled"]),
    ("never turned, fresh noise", round_object, ["all views look alike", "did not turn"]),
    ("dimmed inside", dimmed_inside, ["view 7: darker", "the level of air does not explain it"]),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "named"), [case[1:] for case in TOLD], ids=[case[0] for case in TOLD])
def test_what_may_be_right_is_told(counts: Callable[[], NDArray[np.generic]], named: list[str]) -> None:
    _, told = read(counts(), SCAN)
    assert any(all(word in line for word in named) for line in told), told


def test_a_lamp_that_flickers_is_followed_and_no_news() -> None:
    lamp = np.ones(52)
    lamp[[7, 8, 30]] = (0.7, 0.8, 0.95)
    counts = np.rint(SOUND * lamp[:, None, None]).astype(np.uint16)
    result, told = read(counts, SCAN)
    assert told == []
    np.testing.assert_allclose(result.meta["per_view"]["air_level"] / (AIR * lamp), 1, atol=3e-3)
    assert np.abs(result.values.mean(axis=(1, 2)) - integrals(SCAN).mean(axis=(1, 2))).max() < 3e-3


def test_the_object_at_both_borders_is_no_flicker() -> None:
    line = integrals(SCAN)
    line[10:13, :, :5] += 0.3
    line[10:13, :, -5:] += np.linspace(0.2, 0.4, 32)[:, None]
    result, _ = read(counts_of(line), SCAN)
    assert result.meta["prepare"]["air_covered_views"] == 3
    np.testing.assert_allclose(result.meta["per_view"]["air_level"], AIR, rtol=3e-3)


@pytest.mark.parametrize("scale", [2.6, 3.5, 6.0])
def test_truncation_is_told_with_and_without_a_known_level_of_air(scale: float) -> None:
    for known in (True, False):
        _, told = read(counts_of(integrals(SCAN, scale) / scale), SCAN, known=known)
        assert any("covers the border in" in line and "cut off" in line for line in told)


@pytest.mark.parametrize("radius_mm", [24.0, 30.0, 40.0])
def test_the_share_that_is_cut_off(radius_mm: float) -> None:
    """Of a cylinder about the axis in a nearly parallel beam: what is beyond half the panel's width w, by the area of a circle."""
    x = (np.arange(96) - 47.5) * 42.74 / 96
    chord = 2 * np.sqrt(np.maximum(radius_mm**2 - x**2, 0)) * 0.02
    counts = counts_of(np.tile(chord, (26, 32, 1)))
    _, told = read(counts, scan_of(26, 32, 96))
    line = next(line for line in told if "cut off" in line)
    assert any("level of air was taken where the object is" in line for line in read(counts, scan_of(26, 32, 96), known=False)[1])
    w = 42.74 / 2 / radius_mm
    share = 1 - 2 / np.pi * (w * np.sqrt(1 - w**2) + np.arcsin(w))
    assert "26 of 26 views" in line
    assert float(line.split("roughly ")[1].split("%")[0]) / 100 == pytest.approx(share, abs=0.04)


def test_a_long_object_is_a_fact_and_no_fault() -> None:
    line = integrals(SCAN)
    line[:, -12:] = line[:, 15:16]  # a cylinder from there on
    result, told = read(counts_of(line), SCAN)
    assert told == []
    assert any("beyond the last row" in line for line in result.meta["assumptions"])
    assert read(SOUND, SCAN)[0].meta["assumptions"] == []


def test_a_given_level_of_air_makes_bright_borders_a_matter_of_opinion() -> None:
    _, told = read((65535 - SOUND).astype(np.uint16), SCAN, air=60_000.0)
    assert any("inverted" in line for line in told)


def test_transmission_as_real_numbers_is_no_line_integral() -> None:
    result, told = read((SOUND / AIR).astype(np.float32), SCAN, known=False)
    assert told == []
    np.testing.assert_allclose(result.values, np.log(AIR / SOUND), atol=0.02)


def test_the_checks_cost_little() -> None:
    """On images of a scanner's size less than 2 % of the time of preparation; the limit leaves room for a machine that is busy."""
    from fewview.data.scans.plausible.samples import Sampler

    image = np.random.default_rng(0).integers(30_000, 60_000, (2016, 3024)).astype(np.uint16)
    scan = skyscan_1276(2016, 3024, 0.0142)[:3]
    counts = np.stack([image, np.roll(image, 1, 1), np.roll(image, 2, 1)])

    def seconds(run: Callable[[], object]) -> float:
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            run()
            best = min(best, time.process_time() - start)
        return float(best)

    intensity = image.astype(np.float32)
    sampling = seconds(lambda: Sampler(scan.shape).add(image, intensity))
    reading = seconds(lambda: prepare(RawScan(counts, scan))) / 3
    assert sampling < 0.04 * reading
