"""Slabs on two dask workers: the volume of the single run to the last bit, and a worker that is killed costs its slab."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from dask.distributed import LocalCluster
from fewview.data import RawScan, read_volume, write_skyscan
from fewview.geometry import skyscan_1276
from fewview.pipeline import ReconPlan, run, run_slabs
from fewview.pipeline.slabs import run_slabs as module

pytestmark = pytest.mark.filterwarnings("ignore")
SCAN = skyscan_1276(rows=24, cols=36, voxel_mm=1.2)[::10]


@dataclass(frozen=True)
class Deadly:
    """Writes slabs, and notes each; the first process that comes to the slab at ``at`` is killed before it is written."""

    file: Any
    notes: Path
    at: int

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "file"), name)

    def write(self, first: int, slab: Any) -> None:
        if first == self.at and not self.notes.with_name("killed").exists():
            self.notes.with_name("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.file.write(first, slab)
        with self.notes.open("a") as notes:
            notes.write(f"{first}\n")


def test_a_killed_worker_costs_its_slab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.full((len(SCAN), *SCAN.shape), 57_000, np.uint16)
    counts[:, 5:19, 12:24] = 23_000
    folder = write_skyscan(RawScan(counts, SCAN), tmp_path / "rod")
    plan = ReconPlan(folder, out=tmp_path / "v.ome.zarr")
    make = module._file
    monkeypatch.setattr(module, "_file", lambda *a: Deadly(make(*a), tmp_path / "notes", 8))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            done = run_slabs(plan, slab=4, cluster=cluster.scheduler_address)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (tmp_path / "killed").exists()
    written = Counter(int(line) for line in (tmp_path / "notes").read_text().split())
    assert set(written) == {0, 4, 8, 12, 16, 20}
    assert sum(written.values()) <= 7  # at most one more: a slab that was finished there, and not yet fetched
    whole = run(ReconPlan(folder, out=tmp_path / "whole.h5"))
    np.testing.assert_array_equal(read_volume(done.path)[0], whole.reconstruction.volume)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewview.pipeline.slabs.cluster._PATIENCE_S", 0.2)
    folder = write_skyscan(RawScan(np.random.default_rng(0).integers(9000, 50_000, (26, 24, 36), np.uint16), SCAN), tmp_path / "rod")
    with pytest.raises(ValueError, match=r"--cluster 127\.0\.0\.1:9: no scheduler answers"):
        run_slabs(ReconPlan(folder, out=tmp_path / "v.h5"), slab=8, cluster="127.0.0.1:9")
