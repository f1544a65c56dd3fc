"""The speed benchmark: that all contenders did the same work. Times are printed, never asserted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fewview.benchmarks.peers import contenders, rtk
from fewview.benchmarks.peers.work import Contender, Work, make_work, own_contenders
from fewview.benchmarks.studies import speed
from fewview.benchmarks.studies.speed import run_speed, speed_table
from fewview.geometry import UnknownNameError


@pytest.fixture(scope="module")
def work() -> Work:
    return make_work("small").every(20)


def test_own_rows_and_the_table(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr(speed, "make_work", lambda size: work)
    rows, remarks = run_speed("small", rounds=2)
    assert [row.task for row in rows] == ["forward", "adjoint", "fdk"]
    assert remarks == []
    for row in rows:
        assert row.same
        assert row.ratio == 1.0
        assert row.gups == pytest.approx(43 * 64 * 64 * 13 / 1e9 / row.seconds)
    table = speed_table(rows)
    assert len(table.splitlines()) == 4
    assert "GUPS" in table


def test_the_work_ends_inside_the_grid() -> None:
    """Or implementations would differ for their treatment of the border, and not in speed."""
    volume = make_work("small").volume
    inner = volume[2:-2, 2:-2, 2:-2]
    assert volume.sum() == pytest.approx(inner.sum())
    assert inner.max() > 0.1


def test_the_fan_beam_is_one_slice_whose_blobs_are_all_met() -> None:
    fan = make_work("F")
    assert str(fan) == "256 x 256 x 1 voxels, 180 views of 560 x 1 pixels"
    assert fan.volume[0].max() > 0.1
    # every view of the fan sees all of the body, so that a view's sum over its solid angle hardly changes: 0.5 mm a pixel at the axis
    sums = fan.projections.sum(axis=(1, 2)) * 0.5
    np.testing.assert_allclose(sums, fan.volume.sum(), rtol=0.1)
    rows, _ = run_speed("F", rounds=1)
    assert all(row.same and row.views == 180 for row in rows)


def test_astra_gets_the_same_fan() -> None:
    pytest.importorskip("astra", reason="ASTRA is not installed")
    found, _ = contenders.peer_contenders(make_work("F"))
    assert {c.task for c in found} >= {"forward", "adjoint", "fdk"}
    for contender in found:
        assert speed._likeness(contender, contender.run()) >= contender.needs_correlation


def test_a_contender_that_does_other_work_is_marked(work: Work) -> None:
    wrong = Contender("mirrored", "forward", work, lambda: np.ascontiguousarray(work.projections[:, :, ::-1]))
    rows = speed._race([*[c for c in own_contenders(work) if c.task == "forward"], wrong], 1, lambda line: None)
    assert [row.same for row in rows] == [True, False]
    assert "NOT the same" in speed_table(rows)


def test_a_peer_that_is_not_here_is_a_remark(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    for name in ("itk", "mbirjax", "astra", "triton"):
        monkeypatch.setitem(sys.modules, name, None)
    found, remarks = contenders.peer_contenders(work)
    assert found == []
    assert [remark.split()[0] for remark in remarks] == ["itk-rtk", "mbirjax", "ASTRA", "fewview"]
    found, remarks = contenders.peer_contenders(make_work("F"))
    assert found == []
    assert [remark.split()[0] for remark in remarks] == ["ASTRA", "fewview"]  # RTK and mbirjax have no fan beam


@pytest.mark.slow
def test_rtk_gets_the_same_rays(work: Work) -> None:
    pytest.importorskip("itk", reason="itk-rtk is not installed")
    few = work.every(4)
    forward, joseph, voxel_driven, _ = rtk.rtk_contenders(few)  # four views are too few for RTK's FDK
    np.testing.assert_allclose(forward.run(), few.projections, atol=1e-4 * few.projections.max())
    for contender in (joseph, voxel_driven):
        assert speed._likeness(contender, contender.run()) >= contender.needs_correlation


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="small"):
        run_speed("smal")
    with pytest.raises(UnknownNameError, match="forward"):
        run_speed("small", tasks=["foward"])
