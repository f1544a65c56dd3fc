"""A study: a question, the tasks that answer it, what a task measures, and the page with the answer. One engine runs all studies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.files import own_path
from ...base.outputs.one_at_a_time import one_at_a_time
from ...base.plain import plain
from .columns import Table, TablePlan, make_table
from .provenance import describe
from .records import Record, Stamp, Task
from .results import check_results
from .sweep import HERE, Tell, Where, run_sweep, stamp_of


@dataclass(frozen=True)
class Desk:
    """What preparation may need besides the plan: the results folder, where tasks run, and who is told of progress."""

    results: Path
    where: Where = HERE
    tell: Tell | None = None


@dataclass(frozen=True)
class Study:
    """A study: ``Plan`` is a frozen dataclass of options, whose docstring explains each; ``tasks`` and ``run`` are module-level functions.

    ``metrics`` are names in `scores.metric_table.METRICS` (or of what else the study measures), and part of every key. ``about`` and
    ``notes`` are paragraphs around the ``tables``. ``prepare`` completes the plan (tuning, training) before its tasks are listed. ``info``
    is what `sweep.json` says about how it was done, and ``write`` writes the results for people into the results folder (default:
    table.md).
    """

    name: str
    title: str
    Plan: type
    tasks: Callable[[Any], Sequence[Task]]
    run: Callable[[Any, Any], Mapping[str, Any]]
    metrics: tuple[str, ...]
    tables: tuple[TablePlan, ...] = ()
    about: Callable[[Any], str] = lambda plan: ""
    notes: Callable[[Sequence[Record]], Sequence[str]] = lambda records: ()
    prepare: Callable[[Any, Desk], Any] = lambda plan, desk: plan
    info: Callable[[Any], Mapping[str, Any]] = lambda plan: {}
    write: Callable[[Study, Any, Path, Sequence[Record], Mapping[str, Any]], None] = lambda *given: write_tables(*given)

    @property
    def stamp(self) -> Stamp:
        """The stamp of the records that this code makes now."""
        return stamp_of(self.name, self.metrics)


def run_study(
    study: Study, plan: Any, results: str | Path, *, where: Where = HERE, tell: Tell | None = None, command: str = ""
) -> list[Record]:
    """Run what does not exist yet, write the page into ``results``, and return all records in the order of the tasks."""
    results = Path(results)
    check_results(results, study.name)
    ready = study.prepare(plan, Desk(results, where, tell))
    info = {"title": study.title, "about": study.about(ready), "plan": plain(vars(plan)), **study.info(ready)}
    info |= {"command": command} if command else {}
    run = functools.partial(study.run, ready)
    tasks = list(study.tasks(ready))  # so that what is wrong with them is an error before there is a folder
    results.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(results):
        records = run_sweep(tasks, run, results, study.stamp, where=where, info=info, tell=tell)
        study.write(study, ready, results, records, info)
    return records


def write_tables(study: Study, plan: Any, results: Path, records: Sequence[Record], info: Mapping[str, Any]) -> None:
    """Write the study's page as Markdown, ``table.md``."""
    with own_path(results / "table.md") as temporary:
        temporary.write_text(page_of(study, records, info), encoding="utf-8")


def tables_of(study: Study, records: Sequence[Record]) -> list[Table]:
    """The study's tables."""
    return [make_table(table, records) for table in study.tables]


def page_of(study: Study, records: Sequence[Record], info: Mapping[str, Any]) -> str:
    """The study as Markdown: how it was made, its tables, its notes, and what failed."""
    parts = [f"# {study.title}", f"`{info['command']}`" if info.get("command") else "", *made_by(records), str(info.get("about", ""))]
    for table in tables_of(study, records):
        parts += [f"## {table.title}" if table.title else "", table.markdown()]
    good = [r for r in records if "failed" not in r]
    parts += ["\n".join(f"* {note}" for note in (study.notes(good) if good else ()))]
    failed = [f"* {r['label']}: {r['failed']}" for r in records if "failed" in r]
    parts += ["## What failed", "\n".join(failed)] if failed else []
    return "\n\n".join(part for part in parts if part) + "\n"


def made_by(records: Sequence[Record]) -> list[str]:
    """The dates, the code and the machines of the records, each mentioned once."""
    if not records:
        return []
    dates = sorted(r["date"][:10] for r in records)
    span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    codes = dict.fromkeys(r["code"]["name"] + (f" (commit {r['code']['commit'][:9]})" if r["code"]["commit"] else "") for r in records)
    machines = dict.fromkeys(describe(r["machine"]) for r in records)
    loads = [float(r["machine"]["load"]) for r in records if r["machine"]["load"] is not None]
    load = f"; load average {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    return [f"{span}, fewview {' and '.join(codes)}; {'; '.join(machines)}{load}."]
