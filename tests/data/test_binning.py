"""One way to bin: the middle is kept, values and geometry go together, wherever binning is done."""

from __future__ import annotations

import numpy as np
from fewview.data import Projections, RawScan
from fewview.data.images.binning import bin_counts, bin_views
from fewview.data.multiresolution import bin_projections
from fewview.data.scans.raw import RawSource
from fewview.geometry import Scan
from fewview.geometry.transform import bin_pixels, pixel_centers
from fewview.recon.calibration.search import binned
from hypothesis import given, settings
from hypothesis import strategies as st


def scan_of(rows: int, cols: int) -> Scan:
    return Scan.circular(dso_mm=90, dsd_mm=120, rows=rows, cols=cols, pixel_mm=0.5, angles_deg=[0, 40, 100], roll_deg=3, axis_shift_mm=0.4)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5))
def test_values_that_are_places_stay_at_their_places(rows: int, cols: int, down: int, across: int) -> None:
    """A pixel that holds its own place in mm holds, after binning, the place that the binned scan gives it."""
    if down > rows or across > cols:
        return
    scan = scan_of(rows, cols)
    places = np.moveaxis(np.stack([pixel_centers(scan, view) for view in range(3)]), -1, 0)  # (xyz, view, row, col)
    small = bin_pixels(scan, down, across)
    expected = np.moveaxis(np.stack([pixel_centers(small, view) for view in range(3)]), -1, 0)
    np.testing.assert_allclose(bin_views(places, down, across), expected, atol=2e-5)


def test_what_is_left_over_goes_at_both_ends() -> None:
    values = np.zeros((1, 8, 11), np.float32)
    values[:, 1:7, 1:10] = 1  # of 8 rows 1 to 6, of 11 columns 1 to 9 take part in blocks of 3
    assert bin_views(values, 3).tolist() == [[[1, 1, 1], [1, 1, 1]]]
    counts = values.copy()
    counts[0, 2, 2] = 0  # no measurement
    assert bin_counts(counts, 3).tolist() == [[[1, 1, 1], [1, 1, 1]]]
    counts[0, 1:4, 1:4] = 0
    assert bin_counts(counts, 3)[0, 0].tolist() == [0, 1, 1]
    assert np.isnan(bin_counts(np.full((3, 3), np.nan), 3)).all()


def test_every_place_that_bins_bins_alike() -> None:
    scan = scan_of(8, 11)
    values = np.random.default_rng(0).random((3, 8, 11)).astype(np.float32)
    expected, geometry = bin_views(values, 3), bin_pixels(scan, 3)
    half = bin_projections(Projections(values, scan, {"photons": 10.0}), 3)
    raw = RawSource(RawScan(values, scan).intensity, scan, meta={"photons": 10.0}).part(None, 3)  # type: ignore[arg-type]
    again, third = binned(values, scan, 3)
    for got, where in ((half.values, half.scan), (np.stack([raw.views[i] for i in range(3)]), raw.scan), (again, third)):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert where == geometry
    assert half.meta["photons"] == raw.meta["photons"] == 90.0
    assert any("2 rows and 2 columns of 8 x 11 are left over" in line for line in raw.meta["assumptions"])
