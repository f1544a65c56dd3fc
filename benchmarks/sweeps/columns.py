"""Tables as data: rows are grouped, a column says what the cell of a group holds, and the best cell of a column is marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...base import UnknownNameError
from ..scores.metric_table import metrics_of
from .records import Record

Row = Mapping[str, Any]
Better = Literal["high", "low", ""]
ARROWS: Mapping[str, str] = {"high": "↑", "low": "↓", "": ""}


@dataclass(frozen=True)
class Cell:
    """``text`` as it is printed, ``value`` to compare by (NaN takes no part), and ``best``, which is set when the table is made."""

    text: str
    value: float = math.nan
    best: bool = False


@dataclass(frozen=True)
class Column:
    """``cell`` makes the cell of a group from its rows, under ``head``; ``better`` says which end of the column is good, if either is."""

    head: str
    cell: Callable[[Sequence[Row]], Cell]
    better: Better = ""

    @property
    def title(self) -> str:
        """The head with an arrow towards the good values."""
        return f"{self.head}\N{NO-BREAK SPACE}{ARROWS[self.better]}" if self.better else self.head


@dataclass(frozen=True)
class TablePlan:
    """How records become a table: the ``rows`` of all good records, grouped ``by`` these names, with a line for each group.

    The best cell of a column is marked among groups that agree in the names of ``within`` (such as the number of views).
    """

    title: str
    by: tuple[str, ...]
    columns: tuple[Column, ...]
    within: tuple[str, ...] = ()
    rows: Callable[[Sequence[Record]], Iterable[Row]] = lambda records: [flat(r) for r in records]
    sort: bool = False


@dataclass(frozen=True)
class Table:
    """The ``heads`` and ``lines`` of cells. The first cells of a line are the names of its group."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]

    def markdown(self) -> str:
        """The table as Markdown, the best cells in bold."""
        marked = [[f"**{cell.text}**" if cell.best else cell.text for cell in line] for line in self.lines]
        rows = [list(self.heads), ["---"] * len(self.heads), *marked]
        return "\n".join("|" + "|".join(row) + "|" if row[0] == "---" else "| " + " | ".join(row) + " |" for row in rows)


def flat(record: Record) -> Row:
    """One row of a record: the fields of its task and what was measured, by name."""
    took = float(record["peak_memory_mib"]) - float(record["memory_before_mib"])
    return {"memory_mib": took, **record, **record["task"]}


def make_table(plan: TablePlan, records: Sequence[Record]) -> Table:
    """The table of the records that did not fail; columns without any value are left out."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in plan.rows([r for r in records if "failed" not in r]):
        groups.setdefault(tuple(row[name] for name in plan.by), []).append(row)
    keys = sorted(groups) if plan.sort else list(groups)
    made = [[column.cell(groups[key]) for column in plan.columns] for key in keys]
    filled = [n for n in range(len(plan.columns)) if any(line[n].text for line in made)]
    rivals = [tuple(key[plan.by.index(name)] for name in plan.within) for key in keys]
    columns = {n: mark_best([line[n] for line in made], rivals, plan.columns[n].better) for n in filled}
    lines = tuple((*(Cell(str(name)) for name in key), *(columns[n][k] for n in filled)) for k, key in enumerate(keys))
    return Table(plan.title, (*plan.by, *(plan.columns[n].title for n in filled)), lines)


def mark_best(cells: Sequence[Cell], rivals: Sequence[Any], better: str) -> list[Cell]:
    """The cells with the best of each set of rivals marked (all that print like the best, and none where there is no rival)."""
    marked = list(cells)
    if not better:
        return marked
    for rival in dict.fromkeys(rivals):
        places = [k for k, r in enumerate(rivals) if r == rival and not math.isnan(cells[k].value)]
        if len(places) < 2:
            continue
        top = (max if better == "high" else min)(places, key=lambda k: cells[k].value)
        for k in places:
            if cells[k].text == cells[top].text:
                marked[k] = Cell(cells[k].text, cells[k].value, best=True)
    return marked


def mean(name: str, head: str, form: str, better: Better = "", *, spread: bool = False) -> Column:
    """The column with the mean of a number over the rows of a group, with its standard deviation if ``spread``;
    empty where no row has it.
    """

    def cell(rows: Sequence[Row]) -> Cell:
        values = np.array([float(row[name]) for row in rows if row.get(name) is not None])
        if not values.size or np.isnan(values).all():
            return Cell("")
        value = float(np.nanmean(values))
        return Cell(f"{value:{form}}" + (f" ± {values.std():{form}}" if spread else ""), value)

    return Column(head, cell, better)


def metric(name: str, form: str, *, protocol: str = "volume", spread: bool = False) -> Column:
    """The column of a metric of `METRICS`, from which its head, unit and good end are read."""
    found = next((m for m in metrics_of(protocol) if m.name == name), None)
    if found is None:
        raise UnknownNameError(f"metric of protocol {protocol}", name, [m.name for m in metrics_of(protocol)])
    return mean(name, f"{found.head}, {found.unit}" if found.unit else found.head, form, found.better, spread=spread)


def count(head: str, name: str) -> Column:
    """The column with the number of different values under a name."""
    return Column(head, lambda rows: Cell(str(len({row[name] for row in rows}))))


def first(name: str, head: str, form: str = "") -> Column:
    """The column with the value of the first row of a group."""
    return Column(head, lambda rows: Cell(f"{rows[0][name]:{form}}", _number(rows[0][name])))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
