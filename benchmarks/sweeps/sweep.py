"""Run many tasks, each once: in this process, on local workers, or on a cluster. It can be killed at any time and started again."""

from __future__ import annotations

import dataclasses
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import own_path
from ...base.plain import plain
from .peak_memory import peak_memory_mib, reset_peak_memory
from .provenance import machine, this_code
from .records import FORMAT, Record, Stamp, Task, fields_of, read_record, write_record
from .results import PICTURES, RECORDS, accept_or_warn, open_results, write_state

Run = Callable[[Any], Mapping[str, Any]]
Tell = Callable[[int, int, Any, Mapping[str, Any]], None]
# dask tells its workers' malloc to return all freed memory at once: iterations then spend half their time on page faults
_WORKER_MALLOC = {"MALLOC_MMAP_THRESHOLD_": 1 << 25, "MALLOC_TRIM_THRESHOLD_": 1 << 30}


@dataclass(frozen=True)
class Where:
    """Where tasks run: in this process (default), in ``workers`` local processes, or on the dask scheduler at ``scheduler``.

    ``accept`` are names of other code (`provenance.Code.name`) whose records are reused; all others are made again.
    """

    workers: int = 0
    scheduler: str | None = None
    accept: tuple[str, ...] = ()


HERE = Where()


def stamp_of(study: str, metrics: Sequence[str]) -> Stamp:
    """The stamp of records that this code makes now."""
    return Stamp(study, tuple(metrics), this_code().name)


def run_sweep(
    tasks: Sequence[Task],
    run: Run,
    results: str | Path,
    stamp: Stamp,
    *,
    where: Where = HERE,
    info: Mapping[str, Any] | None = None,
    tell: Tell | None = None,
) -> list[Record]:
    """Run every task that has no complete record in ``results/records`` yet; returns all records, in the order of ``tasks``.

    ``run(task)`` returns the part of the record that the task measured (arrays under ``arrays`` go to ``results/pictures``). An exception
    becomes a record with ``failed``, and the sweep continues. The same task is never done twice by the same code. Records of other code are
    made again, with a warning, unless they are accepted by name. Ctrl-C and kill -9 lose only the tasks that were running.

    Raises InputError when the folder holds results of another format, layout or study.
    """
    results = Path(results)
    open_results(results, stamp.study)
    unique = {stamp.key(task): task for task in tasks}
    done = {key: record for key in unique if (record := read_record(results / RECORDS / f"{key}.json")) is not None}
    accepted = accept_or_warn(results, stamp, [task for key, task in unique.items() if key not in done], where.accept)
    done |= {key: accepted[work] for key, task in unique.items() if key not in done and (work := stamp.same_work(task)) in accepted}
    named = [(done[key]["key"] if key in done else key, task) for key, task in unique.items()]
    write_state(results, stamp, named, info or {}, _facts())
    open_tasks = {key: task for key, task in unique.items() if key not in done}
    count = len(done)
    if tell and count:
        tell(count, len(unique), None, {})
    for key, record in _records(open_tasks, run, results, stamp, where):
        done[key] = record
        count += 1
        if tell:
            tell(count, len(unique), unique[key], record)
    return [done[stamp.key(task)] for task in tasks]


def perform(task: Task, run: Run, results: Path, stamp: Stamp) -> Record:
    """Do one task and write its record. An error of a method is recorded and not passed on; Ctrl-C is passed on."""
    if this_code().name != stamp.code:
        raise InputError(
            f"a worker runs other code ({this_code().name})", expected=stamp.code, remedy="install the same fewview on all machines"
        )
    start, facts = time.perf_counter(), _facts()
    reset_peak_memory()
    before = peak_memory_mib()
    try:
        measured: dict[str, Any] = dict(run(task))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        measured = {"failed": f"{type(error).__name__}: {error}", "where": f"{Path(last.filename).name}:{last.lineno}"}
    key = stamp.key(task)
    arrays = measured.pop("arrays", None)
    if arrays:
        _keep(results / PICTURES, key, arrays)
    record = {
        "format": FORMAT,
        "key": key,
        "study": stamp.study,
        "same_work": stamp.same_work(task),
        "metrics": list(stamp.metrics),
        **facts,
        "task": fields_of(task),
        "label": task.label,
        "memory_before_mib": before,
        "peak_memory_mib": peak_memory_mib(),
        **measured,
        "total_seconds": time.perf_counter() - start,
    }
    write_record(results / RECORDS, record)
    return plain(record)


def _facts() -> dict[str, Any]:
    """The code, the date and the machine of what is made now."""
    code = this_code()
    named = {"name": code.name, **dataclasses.asdict(code)}
    return {"code": named, "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}


def _keep(folder: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of a record before the record itself, so that a record that exists has its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    with own_path(folder / f"{key}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def _perform_there(task: Task, run: Run, results: Path, stamp: Stamp, threads: int | None) -> Record:
    """Do `perform` on a worker, with its share of the cores where workers share a machine, since more threads than cores wait for one
    another.
    """
    if threads is not None:
        import numba
        import torch

        numba.set_num_threads(min(threads, numba.get_num_threads()))
        torch.set_num_threads(threads)
    return perform(task, run, results, stamp)


def _records(tasks: Mapping[str, Task], run: Run, results: Path, stamp: Stamp, where: Where) -> Iterable[tuple[str, Record]]:
    if not tasks:
        return
    if where.workers <= 0 and not where.scheduler:
        for key, task in tasks.items():
            yield key, perform(task, run, results, stamp)
        return
    import dask.config
    from dask.distributed import Client, as_completed

    target: dict[str, Any] = {"address": where.scheduler} if where.scheduler else {"n_workers": where.workers, "threads_per_worker": 1}
    threads = max(1, (os.cpu_count() or 1) // where.workers) if where.workers > 0 and not where.scheduler else None
    malloc = {f"distributed.nanny.pre-spawn-environ.{name}": size for name, size in _WORKER_MALLOC.items()}
    with dask.config.set(malloc), Client(**target) as client:
        futures = {
            client.submit(_perform_there, task, run, results.resolve(), stamp, threads, key=f"fewview-{key}", pure=False): key
            for key, task in tasks.items()
        }
        for future in as_completed(list(futures)):
            yield futures[future], future.result()
