"""Line integrals on a disk: a store is indexed as an array, and what is prepared into it is what `read` gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from fewview.data import Projections, RawScan, prepare, read, write_skyscan
from fewview.data.scans.preparation import TooFewRowsError, prepare_into
from fewview.data.scans.raw import RawSource
from fewview.data.scans.reader import integrals_into, open_scan
from fewview.data.scans.view_store import ViewStore
from fewview.geometry import skyscan_1276
from fewview.recon.corrections import Corrections, correct
from fewview.recon.corrections.by_view import corrected

SCAN = skyscan_1276(rows=24, cols=48, voxel_mm=0.9)[::10]


def counts() -> np.ndarray:
    """A rod with noise, dead columns, a dead block, and pixels without a count here and there."""
    rng = np.random.default_rng(1)
    image = rng.poisson(50_000, size=(len(SCAN), *SCAN.shape)).astype(np.uint16)
    image[:, 6:18, 18:30] //= 3
    image[:, :, 20] = 7
    image[:, 11:14, 9:12] = 3
    image[rng.random(image.shape) < 2e-3] = 0
    return image


def test_a_store_is_indexed_like_an_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    store = ViewStore.create(tmp_path / "s", array.shape)
    for view, image in enumerate(array):
        store[view] = image
    store[:, 2:4] = array[:, 2:4] + 1
    array[:, 2:4] += 1
    again = pickle.loads(pickle.dumps(store))
    for index in (0, -1, slice(1, 4), np.array([3, 1]), (slice(None), slice(1, 3)), (2, slice(4, 6)), (np.array([0, 4]), slice(0, 2))):
        np.testing.assert_array_equal(again[index], array[index])
    np.testing.assert_array_equal(store.mapped(), array)
    assert (len(store), store.shape, store.size, store.ndim, store.dtype) == (5, array.shape, array.size, 3, array.dtype)


def test_a_store_that_was_cut_short_is_named(tmp_path: Path) -> None:
    store = ViewStore.create(tmp_path / "s", (2, 3, 4))
    (tmp_path / "s").write_bytes(b"few")
    with pytest.raises(OSError, match="s ends too early"):
        store[1]


@pytest.mark.filterwarnings("ignore")
def test_some_rows_are_prepared_as_in_the_whole_views(tmp_path: Path) -> None:
    raw = RawScan(counts(), SCAN)
    whole = prepare(raw).values
    folder = write_skyscan(RawScan(counts(), SCAN), tmp_path / "rod")
    source = open_scan(folder)
    store = ViewStore.create(tmp_path / "s", (len(SCAN), 14, 48))
    meta = integrals_into(store, slice(4, 18), slice(8, 14), source)
    np.testing.assert_array_equal(store[:, 4:10], whole[:, 8:14])
    np.testing.assert_array_equal(meta["per_view"]["air_level"], read(folder).meta["per_view"]["air_level"])
    assert isinstance(source, RawSource)
    parts = (source.views, source.scan, source.flat, source.dark, source.meta)
    with pytest.raises(TooFewRowsError, match="margin of 3 rows"):  # the block of dead pixels is filled from two pixels away
        prepare_into(store, slice(6, 20), slice(8, 14), *parts)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [
        Corrections(dead_pixels=8, rings=7, scatter=0.01, smoothing=1, beam_hardening=20),
        Corrections(dead_pixels=0, smoothing=2, smoothing_kernel="box"),
        Corrections(dead_pixels=0, bone_hardening=2),
    ],
)
def test_corrections_by_view_are_those_of_the_whole_scan(settings: Corrections, tmp_path: Path) -> None:
    values = prepare(RawScan(counts(), SCAN)).values
    store = ViewStore.create(tmp_path / "s", values.shape)
    for view, image in enumerate(values):
        store[view] = image
    beam = {"voltage_kv": 50.0, "filter_mm_al": 0.5}
    account = corrected(store, SCAN, settings, beam)[1]
    wanted, theirs = correct(Projections(values, SCAN, beam), settings)
    np.testing.assert_array_equal(store[:], wanted.values)
    assert account == theirs
