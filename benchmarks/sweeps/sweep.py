"""Run many tasks, each once: on this process, on local workers, or on a cluster; kill it at any time and start it again."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base import InputError
from ...base.files import own_path
from ...base.outputs.leftovers import clean
from ...base.plain import plain, to_json
from .cell import FORMAT, Task, read_record, write_record

Run = Callable[[Task], Mapping[str, Any]]
Tell = Callable[[int, int, Task | None, Mapping[str, Any]], None]
# dask tells its workers' malloc to return all freed memory at once: iterations then spend half their time on page faults
_WORKER_MALLOC = {"MALLOC_MMAP_THRESHOLD_": 1 << 25, "MALLOC_TRIM_THRESHOLD_": 1 << 30}


@dataclass(frozen=True)
class Where:
    """Where tasks run: this process (default), ``workers`` local processes, or the dask scheduler at ``scheduler``."""

    workers: int = 0
    scheduler: str | None = None


HERE = Where()


def run_sweep(
    tasks: Sequence[Task],
    run: Run,
    results: str | Path,
    *,
    where: Where = HERE,
    info: Mapping[str, Any] | None = None,
    tell: Tell | None = None,
) -> list[dict[str, Any]]:
    """Run every task that has no whole record in ``results/records`` yet; all records, in the order of ``tasks``.

    ``run(task)`` gives the part of the record that the task measured; an exception becomes a record with ``failed`` and the sweep
    goes on. The same task is never done twice. Ctrl-C and kill -9 lose only the tasks that were running.

    Raises InputError when the folder holds results of another format.
    """
    results = Path(results)
    folder = results / "records"
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    unique = list({task.key: task for task in tasks}.values())
    _state_sweep(results, unique, info or {})
    done = {task.key: record for task in unique if (record := read_record(folder / f"{task.key}.json")) is not None}
    open_tasks = [task for task in unique if task.key not in done]
    count = len(unique) - len(open_tasks)
    if tell and count:
        tell(count, len(unique), None, {})
    for task, record in _records(open_tasks, run, folder, where):
        done[task.key] = record
        count += 1
        if tell:
            tell(count, len(unique), task, record)
    return [done[task.key] for task in tasks]


def perform(task: Task, run: Run, folder: Path) -> dict[str, Any]:
    """Do one task and write its record; what a method raises is recorded, not passed on (Ctrl-C and lack of memory for Python are)."""
    start, before = time.perf_counter(), _reset_peak()
    try:
        measured: Mapping[str, Any] = run(task)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        measured = {"failed": f"{type(error).__name__}: {error}", "where": f"{Path(last.filename).name}:{last.lineno}"}
    record = {
        "format": FORMAT,
        "key": task.key,
        "task": vars(task),
        **measured,
        "total_seconds": time.perf_counter() - start,
        "peak_memory_mib": _peak_memory_mib(before),
    }
    write_record(folder, record)
    return plain(record)


def _perform_there(task: Task, run: Run, folder: Path, threads: int | None) -> dict[str, Any]:
    """`perform` on a worker, with its share of the cores where workers share a machine: more threads than cores wait for one another."""
    if threads is not None:
        import numba
        import torch

        numba.set_num_threads(min(threads, numba.get_num_threads()))
        torch.set_num_threads(threads)
    return perform(task, run, folder)


def _records(tasks: Sequence[Task], run: Run, folder: Path, where: Where) -> Iterable[tuple[Task, dict[str, Any]]]:
    if not tasks:
        return
    if where.workers <= 0 and where.scheduler is None:
        for task in tasks:
            yield task, perform(task, run, folder)
        return
    import dask.config
    from dask.distributed import Client, as_completed

    target: dict[str, Any] = {"address": where.scheduler} if where.scheduler else {"n_workers": where.workers, "threads_per_worker": 1}
    threads = max(1, (os.cpu_count() or 1) // where.workers) if where.workers > 0 and not where.scheduler else None
    malloc = {f"distributed.nanny.pre-spawn-environ.{name}": size for name, size in _WORKER_MALLOC.items()}
    with dask.config.set(malloc), Client(**target) as client:
        futures = {
            client.submit(_perform_there, task, run, folder.resolve(), threads, key=f"fewview-{task.key}", pure=False): task
            for task in tasks
        }
        for future in as_completed(list(futures)):
            yield futures[future], future.result()


def _state_sweep(results: Path, tasks: Sequence[Task], info: Mapping[str, Any]) -> None:
    path = results / "sweep.json"
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("format")
        except ValueError as error:
            raise InputError(
                f"{path} is not JSON ({error})", expected="a results folder of fewview", remedy="use another folder"
            ) from error
        if found != FORMAT:
            raise InputError(f"{results} holds results of format {found}", expected=f"format {FORMAT}", remedy="use another results folder")
    state = {"format": FORMAT, "info": plain(info), "tasks": [{"key": task.key, **plain(vars(task))} for task in tasks]}
    with own_path(path) as temporary:
        temporary.write_text(to_json(state, indent=1, sort_keys=True), encoding="utf-8")


def _reset_peak() -> bool:
    """Ask Linux to start the peak of this process anew; elsewhere the peak is that of the process so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_memory_mib(fresh: bool) -> float:
    if fresh:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    if os.name != "posix":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
