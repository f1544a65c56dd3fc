"""Scans, grids, view selections, and what can be done to them. Expected values come from theory or from the test's own ray maths."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from fewview.geometry import Grid, InputError, Scan, circular_recipe, draw_svg, skyscan_1276, transform, views
from fewview.geometry.transform import pixel_centers
from hypothesis import given, settings
from hypothesis import strategies as st

eval_names = {"Scan": Scan, "Grid": Grid}


@st.composite
def circular_scans(draw: st.DrawFn) -> Scan:
    dso = draw(st.floats(20, 500))
    n = draw(st.integers(1, 9))
    start, step = draw(st.floats(-180, 180)), draw(st.floats(1, 60)) * draw(st.sampled_from([-1, 1]))
    return Scan.circular(
        dso_mm=dso,
        dsd_mm=dso * draw(st.floats(0.7, 4)),
        rows=draw(st.integers(1, 9)),
        cols=draw(st.integers(1, 9)),
        pixel_mm=draw(st.floats(0.01, 0.5)),
        angles_deg=start + step * np.arange(n),
        axis_shift_mm=draw(st.floats(-2, 2)),
        row_shift_mm=draw(st.floats(-2, 2)),
        roll_deg=draw(st.floats(-20, 20)),
    )


@st.composite
def any_scans(draw: st.DrawFn) -> Scan:
    """Circular, then tilted, shifted view by view, and moved."""
    scan = draw(circular_scans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scan = transform.tilt(scan, draw(st.floats(-10, 10)), draw(st.floats(-10, 10)))
    scan = transform.shift_views(scan, rng.normal(0, 2, len(scan)), rng.normal(0, 2, len(scan)))
    matrix = transform.rotation_matrix(rng.normal(size=3), draw(st.floats(-180, 180)))
    return transform.move(scan, matrix, rng.normal(0, 50, 3))


quick = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(("rows", "cols"), [(2688, 4032), (1344, 2016), (672, 1008), (128, 192)])
@pytest.mark.parametrize("voxel_mm", [0.007, 0.0106, 0.2226])
def test_the_1276_has_the_published_cone_angles(rows: int, cols: int, voxel_mm: float) -> None:
    scan = skyscan_1276(rows=rows, cols=cols, voxel_mm=voxel_mm)
    assert scan.cone_angles_deg == pytest.approx((25.888290, 17.423092), abs=1e-6)
    assert len(scan) == 260
    assert scan.angles_deg[-1] - scan.angles_deg[0] == pytest.approx(207.2, abs=1e-9)
    assert cols * voxel_mm / scan.dso_mm == pytest.approx(0.459683, abs=1e-6)


def test_the_frame_is_that_of_the_conventions() -> None:
    scan = Scan.circular(dso_mm=100, dsd_mm=150, rows=3, cols=5, pixel_mm=0.5, angles_deg=[0, 90, 30], axis_shift_mm=1.0, row_shift_mm=0.5)
    b = np.deg2rad(30)
    np.testing.assert_allclose(scan.source[2], 100 * np.array([np.sin(b), -np.cos(b), 0]))
    np.testing.assert_allclose(scan.u[0], [0.5, 0, 0], atol=1e-15)
    np.testing.assert_allclose(scan.u[1], [0, 0.5, 0], atol=1e-15)
    np.testing.assert_allclose(scan.v, [[0, 0, 0.5]] * 3, atol=1e-15)
    # the ray through the axis at z = 0 meets column 2 + 1.0 / 0.5 = 4, row 1 + 0.5 / 0.5 = 2
    np.testing.assert_allclose(pixel_centers(scan, 0)[2, 4], [0, 50, 0], atol=1e-12)


@quick
@given(any_scans())
def test_a_scan_prints_as_itself(scan: Scan) -> None:
    assert eval(scan.expression(), eval_names) == scan
    again = eval(scan[::-1].expression(), eval_names)
    assert again == scan[::-1]
    assert hash(again) == hash(scan[::-1])


@quick
@given(circular_scans(), st.data())
def test_every_kind_of_subset_keeps_each_views_own_vectors(scan: Scan, data: st.DataObject) -> None:
    n = len(scan)
    lists = st.lists(st.integers(-n, n - 1), min_size=1, max_size=12)
    masks = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array).filter(np.any)
    slices = st.slices(n).filter(lambda s: len(range(n)[s]) > 0)
    index = data.draw(st.one_of(lists, masks, slices, st.integers(-n, n - 1)))
    keep = np.atleast_1d(np.arange(n)[index])
    part = scan[index]
    assert len(part) == len(keep)
    for name in ("source", "detector", "u", "v", "angles_deg"):
        np.testing.assert_array_equal(getattr(part, name), getattr(scan, name)[keep])
    assert eval(part.expression(), eval_names) == part


def test_bad_subsets_are_refused() -> None:
    scan = skyscan_1276(2, 3, 1.0)
    with pytest.raises(InputError, match="260 views"):
        scan[np.ones(5, dtype=bool)]
    with pytest.raises(IndexError, match="outside the scan's 260 views"):
        scan[[0, 260]]
    for empty in (slice(5, 5), [], np.zeros(260, dtype=bool)):
        with pytest.raises(InputError):
            scan[empty]
    with pytest.raises(InputError, match="whole numbers"):
        scan[[0.5]]


def test_scans_are_frozen() -> None:
    scan = skyscan_1276(2, 3, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        scan.source[0, 0] = 1.0


def test_impossible_scans_are_refused() -> None:
    good = {"dso_mm": 10, "dsd_mm": 20, "rows": 2, "cols": 2, "pixel_mm": 0.1, "angles_deg": [0, 1]}
    for name, value in (("dso_mm", 0), ("pixel_mm", -1), ("rows", 0), ("dsd_mm", np.nan), ("angles_deg", []), ("angles_deg", [np.inf])):
        with pytest.raises(InputError, match=name):
            Scan.circular(**{**good, name: value})
    scan = Scan.circular(**good)
    with pytest.raises(InputError, match="plane of its detector"):
        Scan(scan.shape, scan.detector, scan.detector, scan.u, scan.v, scan.angles_deg)
    with pytest.raises(InputError, match="source has shape"):
        Scan(scan.shape, scan.source[:1], scan.detector, scan.u, scan.v, scan.angles_deg)


# --- motions and panels


@quick
@given(circular_scans(), st.integers(0, 2**32 - 1), st.floats(-180, 180))
def test_rigid_motion_keeps_every_distance(scan: Scan, seed: int, degrees: float) -> None:
    rng = np.random.default_rng(seed)
    matrix, t = transform.rotation_matrix(rng.normal(size=3), degrees), rng.normal(0, 100, 3)
    moved = transform.move(scan, matrix, t)
    for view in (0, len(scan) - 1):
        before = np.linalg.norm(pixel_centers(scan, view) - scan.source[view], axis=-1)
        after = np.linalg.norm(pixel_centers(moved, view) - moved.source[view], axis=-1)
        np.testing.assert_allclose(after, before, rtol=1e-12)
    back = transform.move(transform.move(moved, None, -t), matrix.T)
    np.testing.assert_allclose(back.detector, scan.detector, atol=1e-9)


def test_motions_that_are_none_are_refused() -> None:
    scan = skyscan_1276(2, 3, 1.0)
    for matrix in (np.diag([1, 1, -1]), 2 * np.eye(3), np.ones((2, 2))):
        with pytest.raises(InputError, match="not a rotation"):
            transform.move(scan, matrix)
    with pytest.raises(InputError, match="not zero"):
        transform.rotation_matrix((0, 0, 0), 5)


@quick
@given(any_scans(), st.integers(1, 3), st.integers(1, 3))
def test_binned_pixels_sit_at_the_mean_of_their_block(scan: Scan, fr: int, fc: int) -> None:
    rows, cols = scan.shape
    if fr > rows or fc > cols:
        with pytest.raises(InputError, match="binning"):
            transform.bin_pixels(scan, fr, fc)
        return
    binned = transform.bin_pixels(scan, fr, fc)
    first_row, first_col = rows % fr // 2, cols % fc // 2  # what is left over goes at both ends
    old = pixel_centers(scan, 0)[first_row:, first_col:][: rows // fr * fr, : cols // fc * fc]
    means = old.reshape(rows // fr, fr, cols // fc, fc, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pixel_centers(binned, 0), means, atol=1e-9)


@quick
@given(any_scans(), st.data())
def test_cropping_is_numpys_slicing(scan: Scan, data: st.DataObject) -> None:
    picks = [data.draw(st.slices(n).filter(lambda s, n=n: len(range(n)[s]) > 0)) for n in scan.shape]
    np.testing.assert_allclose(pixel_centers(transform.crop(scan, *picks), 0), pixel_centers(scan, 0)[picks[0], picks[1]], atol=1e-9)
    np.testing.assert_allclose(
        pixel_centers(transform.flip_cols(transform.flip_rows(scan)), 0), pixel_centers(scan, 0)[::-1, ::-1], atol=1e-9
    )


def test_a_shifted_view_shows_at_column_c_what_was_at_c_minus_shift() -> None:
    scan = skyscan_1276(8, 9, 0.5)[:3]
    shifted = transform.shift_views(scan, [0, 2, -1], [0, 0, 3])
    np.testing.assert_allclose(pixel_centers(shifted, 1)[:, 2:], pixel_centers(scan, 1)[:, :-2], atol=1e-12)
    np.testing.assert_allclose(pixel_centers(shifted, 2)[3:, :-1], pixel_centers(scan, 2)[:-3, 1:], atol=1e-12)
    with pytest.raises(InputError, match="rows_px"):
        transform.shift_views(scan, 0, [1, 2])


@quick
@given(circular_scans(), st.floats(-3, 3), st.floats(-3, 3), st.floats(-5, 5))
def test_a_correction_adds_to_the_recipe(scan: Scan, axis: float, row: float, roll: float) -> None:
    old = circular_recipe(scan)
    args = {**vars(old), "axis_shift_mm": old.axis_shift_mm + axis, "row_shift_mm": old.row_shift_mm + row, "roll_deg": old.roll_deg + roll}
    want = Scan.circular(**args, angles_deg=scan.angles_deg)
    got = transform.correct(scan, axis, row, roll)
    if len(scan) > 1:  # one view has no axis but z through the origin, which this scan has too
        for name in ("source", "detector", "u", "v"):
            np.testing.assert_allclose(getattr(got, name), getattr(want, name), atol=1e-6 * old.dso_mm * old.pixel_mm)


def test_a_correction_moves_along_with_a_moved_scan() -> None:
    scan = skyscan_1276(16, 24, 0.5)[::7]
    matrix = transform.rotation_matrix((1, 2, 3), 70)
    late = transform.correct(transform.move(scan, matrix, (3, 4, 5)), 0.4, -0.3, 0.8)
    early = transform.move(transform.correct(scan, 0.4, -0.3, 0.8), matrix, (3, 4, 5))
    np.testing.assert_allclose(late.detector, early.detector, atol=1e-9)
    np.testing.assert_allclose(late.u, early.u, atol=1e-12)


def test_tilt_and_roll_keep_the_pixel_size_and_the_point_where_the_central_ray_meets_the_panel() -> None:
    scan = transform.correct(skyscan_1276(16, 24, 0.5)[::20], 2.0, 1.0)
    tipped = transform.tilt(transform.roll(scan, 3), 5, -4)
    np.testing.assert_allclose(np.linalg.norm(tipped.u, axis=1), 0.5)
    np.testing.assert_allclose(np.einsum("ij,ij->i", tipped.u, tipped.v), 0, atol=1e-12)
    np.testing.assert_allclose(transform.central_hit(tipped), transform.central_hit(scan), atol=1e-9)
    hit_px = np.einsum("ij,ij->i", transform.central_hit(tipped) - tipped.detector, tipped.u) / 0.25
    np.testing.assert_allclose(hit_px, 2.0 / 0.5, atol=1e-9)
    np.testing.assert_allclose(np.degrees(np.arccos(np.einsum("ij,ij->i", tipped.normal, scan.normal))), 6.4, atol=0.01)


@quick
@given(circular_scans())
def test_reversed_rotation_twice_is_the_scan(scan: Scan) -> None:
    once = transform.reverse_rotation(scan)
    np.testing.assert_allclose(transform.reverse_rotation(once).detector, scan.detector, atol=1e-7)
    if len(scan) > 1:
        np.testing.assert_allclose(np.diff(once.angles_deg), -np.diff(scan.angles_deg), atol=1e-9)


def test_reversed_rotation_is_the_circular_scan_with_angles_negated() -> None:
    args = {"dso_mm": 90, "dsd_mm": 120, "rows": 4, "cols": 6, "pixel_mm": 0.5, "axis_shift_mm": 0.3, "roll_deg": 1.0}
    angles = np.arange(260) * 0.8
    got = transform.reverse_rotation(Scan.circular(angles_deg=angles, **args))
    want = Scan.circular(angles_deg=-angles, **args)
    np.testing.assert_allclose(got.detector, want.detector, atol=1e-9)
    np.testing.assert_allclose(got.u, want.u, atol=1e-12)
    assert transform.turn_count(got) == pytest.approx(-207.2 / 360)


@quick
@given(circular_scans(), st.integers(1, 3))
def test_the_recipe_of_a_changed_circular_scan_rebuilds_it(scan: Scan, factor: int) -> None:
    changed = scan
    if factor <= min(scan.shape):
        changed = transform.bin_pixels(scan, factor)
    changed = transform.shift_views(changed, 1.5, -0.25)
    again = Scan.circular(**vars(circular_recipe(changed)), angles_deg=changed.angles_deg)
    np.testing.assert_allclose(again.detector, changed.detector, atol=1e-7)
    np.testing.assert_allclose(again.v, changed.v, atol=1e-9)


def test_no_recipe_for_a_scan_that_is_not_circular() -> None:
    scan = skyscan_1276(4, 6, 1.0)
    moved = transform.move(scan, transform.rotation_matrix((1, 0, 0), 1))
    for odd in (moved, transform.shift_views(scan, np.arange(260) * 0.01), transform.tilt(scan, 1), transform.flip_rows(scan)):
        with pytest.raises(InputError, match="not a plain circular"):
            circular_recipe(odd)


# --- the axis


def test_the_axis_of_a_rigidly_moved_scan_is_the_moved_axis() -> None:
    matrix, t = transform.rotation_matrix((2, -1, 1), 50), np.array([10.0, -20.0, 5.0])
    for views_kept in (slice(None), slice(0, 2), slice(100, 103), slice(0, 260, 90)):
        axis = transform.move(skyscan_1276(4, 6, 1.0)[views_kept], matrix, t).axis
        np.testing.assert_allclose(np.abs(axis.direction @ matrix[:, 2]), 1, atol=1e-9)
        off = axis.point_mm - t
        np.testing.assert_allclose(off - (off @ axis.direction) * axis.direction, 0, atol=1e-5)


def test_a_distant_source_has_its_axis_through_the_origin() -> None:
    for kept in (slice(None), slice(0, 5), slice(40, 60)):
        scan = Scan.circular(dso_mm=1e6, dsd_mm=1e6 + 50, rows=1, cols=100, pixel_mm=0.1, angles_deg=np.arange(180))[kept]
        np.testing.assert_allclose(scan.axis.point_mm, 0, atol=1e-3)
        np.testing.assert_allclose(scan.axis.direction, [0, 0, 1], atol=1e-9)
        assert scan.dso_mm == pytest.approx(1e6)


@pytest.mark.parametrize(("views_kept", "tolerance_mm"), [(20, 0.25), (60, 0.05), (260, 0.02)])
def test_jitter_of_the_source_does_not_upset_the_axis_of_a_short_arc(views_kept: int, tolerance_mm: float) -> None:
    """20 views span 15 deg: 0.02 mm of jitter moves the centre of a circle fit by millimetres."""
    scan = skyscan_1276(4, 6, 1.0)[:views_kept]
    jitter = np.random.default_rng(3).normal(0, 0.02, (views_kept, 3))
    axis = Scan(scan.shape, scan.source + jitter, scan.detector, scan.u, scan.v, scan.angles_deg).axis
    assert np.linalg.norm(axis.point_mm) < tolerance_mm
    np.testing.assert_allclose(axis.direction, [0, 0, 1], atol=1e-3)


def test_jitter_of_the_panels_does_not_upset_the_axis_of_a_long_arc() -> None:
    scan = skyscan_1276(4, 6, 1.0)
    rolled = transform.tilt(
        transform.roll(scan, np.random.default_rng(1).normal(0, 0.5, 260)), 0, np.random.default_rng(2).normal(0, 0.5, 260)
    )
    np.testing.assert_allclose(rolled.axis.point_mm, 0, atol=1e-6)


def test_without_rotation_the_axis_is_z() -> None:
    still = skyscan_1276(4, 6, 1.0)[[5, 5, 5, 5]]
    for scan in (still, still[:1]):
        np.testing.assert_array_equal(scan.axis.point_mm, 0)
        np.testing.assert_array_equal(scan.axis.direction, [0, 0, 1])


# --- grid and field of view


def test_the_grid_holds_what_every_view_sees() -> None:
    """A point on the rim of the field of view projects onto the panel's edge in some view and beyond it in none."""
    scan = skyscan_1276(32, 48, 1.0)
    radius, half_height, pixel = scan.field_of_view_mm
    assert pixel == pytest.approx(1.0)
    angle = np.linspace(0, 2 * np.pi, 3600)
    reach = 0.0
    for b in np.deg2rad(scan.angles_deg[::10]):
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        depth = scan.dso_mm - x * np.sin(b) + y * np.cos(b)
        reach = max(reach, float(np.abs(scan.dsd_mm * (x * np.cos(b) + y * np.sin(b)) / depth).max()))
    assert reach == pytest.approx(24.0, abs=1e-3)
    assert half_height == pytest.approx(16.0)


def test_the_grid_follows_a_moved_and_a_cropped_scan() -> None:
    scan = skyscan_1276(32, 48, 1.0)
    upright, lying = Grid.fit(scan), Grid.fit(transform.move(scan, transform.rotation_matrix((1, 0, 0), 90), (1, 2, 3)))
    assert (lying.shape[0], lying.shape[1], lying.shape[2]) == (upright.shape[1], upright.shape[0], upright.shape[2])
    np.testing.assert_allclose(lying.center_mm, (1, 2, 3), atol=1e-6)
    upper = Grid.fit(transform.crop(scan, rows=slice(16, 32)))
    assert upper.shape[0] == 16
    assert upper.center_mm == pytest.approx((0, 0, 8))
    assert Grid.fit(scan).center_mm == (0, 0, 0)


@given(st.tuples(*[st.integers(1, 50)] * 3), st.floats(1e-3, 10), st.tuples(*[st.floats(-100, 100)] * 3))
def test_a_grid_prints_as_itself_and_is_centred(shape: tuple[int, int, int], voxel: float, center: tuple[float, float, float]) -> None:
    grid = Grid(shape, voxel, center)
    assert eval(repr(grid), eval_names) == grid
    for axis, c in zip((grid.x_mm, grid.y_mm, grid.z_mm), center, strict=True):
        assert axis.mean() == pytest.approx(c, abs=1e-6)


def test_bad_grids_are_refused() -> None:
    for kwargs in ({"shape": (0, 1, 1), "voxel_mm": 1}, {"shape": (1, 1), "voxel_mm": 1}, {"shape": (1, 1, 1), "voxel_mm": -1}):
        with pytest.raises(InputError):
            Grid(**kwargs)
    with pytest.raises(InputError, match="voxel_mm"):
        Grid.fit(skyscan_1276(2, 3, 1.0), voxel_mm=0)


# --- view selections


@given(st.integers(1, 260))
def test_evenly_keeps_both_ends_and_the_count(count: int) -> None:
    index = views.evenly(skyscan_1276(2, 3, 1.0), count)
    assert len(np.unique(index)) == count
    if count > 1:
        assert (index[0], index[-1]) == (0, 259)
        assert np.ptp(np.diff(index)) <= 1


def test_the_other_selections() -> None:
    scan = skyscan_1276(2, 3, 1.0)
    np.testing.assert_array_equal(views.every(scan, 10), np.arange(0, 260, 10))
    np.testing.assert_array_equal(views.random(scan, 26, seed=4), views.random(scan, 26, seed=4))
    assert not np.array_equal(views.random(scan, 26, seed=4), views.random(scan, 26, seed=5))
    np.testing.assert_array_equal(views.wedge(scan, 8.0), np.arange(11))
    np.testing.assert_array_equal(views.wedge(transform.reverse_rotation(scan), 8.0), np.arange(11))
    for wrong in (
        lambda: views.evenly(scan, 261),
        lambda: views.every(scan, 0),
        lambda: views.wedge(scan, -1),
        lambda: views.wedge(scan, 5, 300),
    ):
        with pytest.raises(InputError):
            wrong()


# --- the drawing


@pytest.mark.parametrize(
    "scan",
    [
        skyscan_1276(8, 12, 1.0),
        skyscan_1276(8, 12, 1.0)[:1],
        Scan.circular(dso_mm=1e6, dsd_mm=1e6, rows=1, cols=4, pixel_mm=1, angles_deg=[0]),
    ],
)
def test_the_drawing_is_svg_with_every_part(scan: Scan) -> None:
    root = ET.fromstring(draw_svg(scan, title="a <scan> & its grid"))
    ns = "{http://www.w3.org/2000/svg}"
    assert "a <scan> & its grid" in [t.text for t in root.iter(f"{ns}text")]
    assert len(list(root.iter(f"{ns}circle"))) == 2 * min(len(scan), 60)
    numbers = [float(x) for p in root.iter(f"{ns}polygon") for pair in p.attrib["points"].split() for x in pair.split(",")]
    assert np.isfinite(numbers).all()
    assert min(numbers) >= 0


def test_the_drawing_says_its_scale_and_what_is_what() -> None:
    """The scale bar against the source's circle: its diameter is 2 DSO in the plane from above."""
    scan = Scan.circular(dso_mm=100, dsd_mm=150, rows=8, cols=12, pixel_mm=1, angles_deg=np.arange(0, 360, 3))
    ns = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(draw_svg(scan))
    said = [t.text or "" for t in root.iter(f"{ns}text")]
    for word in ("source", "detector", "rays", "volume"):
        assert any(text.startswith(word) for text in said)
    lengths = [float(text.removesuffix(" mm")) for text in said if text.endswith(" mm")]
    bars = [p.attrib["d"].split("h")[1].split()[0] for p in root.iter(f"{ns}path") if "v8" in p.attrib["d"]]
    x = [float(c.attrib["cx"]) for c in root.iter(f"{ns}circle")][: min(len(scan), 60)]
    assert lengths == [50.0, 50.0]
    assert float(bars[0]) / lengths[0] == pytest.approx((max(x) - min(x)) / 200, rel=1e-3)


@pytest.mark.parametrize(("changes", "named"), [
    ({"dso_mm": 1e300}, "dso_mm is 1e\\+300"), ({"pixel_mm": 1e-300}, "pixel_mm is 1e-300"), ({"rows": 10**9}, "rows is 1e\\+09"),
    ({"cols": 6.5}, "cols is 6.5"), ({"cols": float("nan")}, "cols is nan"), ({"roll_deg": 1e9}, "roll_deg is 1e\\+09"),
    ({"axis_shift_mm": 1e12}, "axis_shift_mm is 1e\\+12"), ({"angles_deg": [0, 1e9]}, "angles_deg goes up to 1e\\+09"),
    ({"angles_deg": [0, float("nan")]}, "angles_deg holds NaN"), ({"angles_deg": []}, "angles_deg has shape"),
])  # fmt: skip
def test_numbers_that_have_lost_their_unit_are_refused_by_name(changes: dict[str, object], named: str) -> None:
    sound: dict[str, object] = {"dso_mm": 90, "dsd_mm": 120, "rows": 4, "cols": 6, "pixel_mm": 0.5, "angles_deg": [0, 120]}
    assert len(Scan.circular(**sound)) == 2  # type: ignore[arg-type]
    clinic = sound | {"dso_mm": 1000, "dsd_mm": 1536, "rows": 768, "cols": 1024, "pixel_mm": 0.388, "angles_deg": np.arange(360.0)}
    assert Scan.circular(**clinic).dso_mm == pytest.approx(1000)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=named):
        Scan.circular(**(sound | changes))  # type: ignore[arg-type]
