"""Projections and their kin in a Python session: pickled, copied, printed, shown in a notebook; wrong arguments get our errors."""

from __future__ import annotations

import copy
import io
import pickle
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import fewview as fv
import imageio.v3 as iio
import numpy as np
import pytest
from fewview.base import InputError
from fewview.data import Projections, RawScan, Reconstruction
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.geometry.transform import move, rotation_matrix

SCAN = skyscan_1276(rows=4, cols=6, voxel_mm=1.0)
VALUES = np.linspace(0, 2, 260 * 24, dtype=np.float32).reshape(260, 4, 6)
P = Projections(VALUES, SCAN, {"photons": 20_000, "per_view": {"flux": np.arange(260.0)}, "log": {"a": ("b", 1)}})
REC = Reconstruction(np.ones((4, 6, 6), np.float32), Grid((4, 6, 6), 1.0), SCAN, "fdk", {"filter": "hann"}, ({"step": 1},), 1.5)

pickled: Callable[[Any], Any] = lambda thing: pickle.loads(pickle.dumps(thing))  # noqa: E731


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"])
def test_projections_scans_and_reconstructions_copy(copied: Callable[[Any], Any]) -> None:
    p = copied(P)
    np.testing.assert_array_equal(p.values, P.values)
    assert p.scan == P.scan
    assert (p.meta["photons"], p.meta["log"]) == (20_000, {"a": ("b", 1)})
    np.testing.assert_array_equal(p[::100].meta["per_view"]["flux"], [0, 100, 200])
    raw = copied(RawScan(np.full(VALUES.shape, 900, np.uint16), SCAN, meta={"photons": 5}))
    assert (raw.intensity[0, 0, 0], raw.scan == SCAN, dict(raw.meta)) == (900, True, {"photons": 5})
    rec = copied(REC)
    assert (rec.volume.sum(), rec.grid, rec.scan == SCAN, rec.settings) == (144, REC.grid, True, {"filter": "hann"})
    scan = copied(SCAN)
    assert scan == SCAN
    assert scan.expression() == SCAN.expression()


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_is_read_only_too(copied: Callable[[Any], Any]) -> None:
    p = copied(P)
    for array in (p.values, p.scan.source, p.scan.angles_deg):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        p.meta["photons"] = 1


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (VALUES, "an array of shape (260, 4, 6); expected Projections: line integrals together with their scan; give Projections(array"),
        (
            "my_scan",
            "the path my_scan; expected Projections: line integrals together with their scan; read them first: fewview.read('my_scan')",
        ),
        (SCAN, "a scan without values"),
        (RawScan(np.ones((260, 4, 6), np.uint16), SCAN), "fewview.data.prepare(raw)"),
        (None, "a NoneType"),
    ],
)
def test_what_is_no_projections_gets_the_remedy(thing: Any, said: str) -> None:
    for call in (fv.reconstruct, fv.fdk, fv.calibrate):
        with pytest.raises(InputError, match=re.escape(said)):
            call(thing)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (
            (64, 64, 32),
            "the grid is (64, 64, 32); expected a Grid: shape (nz, ny, nx) and voxel_mm; give Grid(shape=(64, 64, 32), voxel_mm=...)",
        ),
        (64, "Grid.across(scan, 64)"),
        ("fine", "the grid is str"),
    ],
)
def test_what_is_no_grid_gets_the_remedy(grid: Any, said: str) -> None:
    for call in (lambda: fv.reconstruct(P, grid=grid), lambda: fv.fdk(P, grid), lambda: fv.Operator(SCAN, grid)):
        with pytest.raises(InputError, match=re.escape(said)):
            call()


def test_projections_want_a_scan() -> None:
    with pytest.raises(InputError, match="the scan of projections is ndarray"):
        Projections(VALUES, VALUES)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ repr


@pytest.mark.parametrize("keep", [slice(None), slice(None, None, 10), slice(None, None, -1), slice(None, None, 5), [0, 7, 3]])
def test_the_repr_of_a_circular_scan_fits_a_screen_and_makes_it_again(keep: Any) -> None:
    scan = SCAN[keep]
    assert len(repr(scan)) < 1000
    assert eval(repr(scan), {"Scan": Scan}) == scan


def test_the_repr_of_any_scan_fits_a_screen_and_the_expression_makes_it_again() -> None:
    moved = move(SCAN, rotation_matrix((1, 2, 3), 10.0), np.array([1.0, 2.0, 3.0]))
    for scan in (moved, SCAN[np.random.default_rng(0).permutation(260)]):
        assert repr(scan).startswith("<Scan: 260 views of 4 x 6 pixels")
        assert len(repr(scan)) < 400
        assert eval(scan.expression(), {"Scan": Scan}) == scan


# ------------------------------------------------------------------------------------------------ notebooks


class Html(HTMLParser):
    """Tags that close, the pictures, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[np.ndarray] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            source = dict(attrs)["src"] or ""
            self.images.append(iio.imread(io.BytesIO(b64decode(source.partition("base64,")[2]))))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_projections_with_three_views() -> None:
    page = Html(P._repr_html_())
    assert [image.shape[:2] for image in page.images] == [(4, 6)] * 3
    assert "view 259, 207.2 deg" in page.text
    first, last = (page.images[k][..., 0].mean() for k in (0, -1))
    assert first > 200 > 60 > last  # little attenuation is white, as on a radiograph


def test_a_notebook_shows_a_reconstruction_with_three_slices() -> None:
    volume = np.zeros((40, 50, 700), np.float32)
    volume[20, 10, 100] = 5  # low y, low x: bottom left
    page = Html(Reconstruction(volume, Grid(volume.shape, 0.1), SCAN, "a<b>", {"filter": "hann"})._repr_html_())
    assert "Reconstruction by a<b>" in page.text
    assert "700 x 50 x 40 of 0.1 mm" in page.text
    assert max(max(image.shape) for image in page.images) <= 320
    rows, cols = np.nonzero(page.images[0][..., 0] > 128)
    assert cols.size == 0 or (rows.mean() > page.images[0].shape[0] / 2 and cols.mean() < page.images[0].shape[1] / 2)


def test_a_notebook_shows_a_scan_with_a_drawing() -> None:
    text = SCAN._repr_html_()
    assert "<svg" in text
    assert "260, 0 to 207.2 deg" in Html(re.sub(r"(?s)<svg.*</svg>", "", text)).text


def test_nothing_heavy_is_loaded_before_a_picture_is_shown() -> None:
    script = "import sys; from fewview.data import Projections, Reconstruction; from fewview.geometry import Scan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "torch", "numba"} & set(loaded)
