"""How iterative methods converge, from the histories in the records of a sweep: objective, data residual and memory, over the seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import new_figure, short, uri_of

QUANTITIES = {"objective": "objective", "residual": "data residual |A x - p|", "memory_mb": "peak memory, MB"}


def convergence(records: Sequence[Mapping[str, Any]]) -> str:
    """One column a number of views, one row a quantity, one line a method, for the first animal that has histories; "" without any."""
    drawn = [r for r in records if _iterated(r)]
    if not drawn:
        return ""
    animal = drawn[0]["task"]["animal"]
    drawn = [r for r in drawn if r["task"]["animal"] == animal]
    counts = sorted({r["task"]["views"] for r in drawn})
    methods = list(dict.fromkeys(r["task"]["method"] for r in drawn))
    rows = [q for q in QUANTITIES if any(q in step for r in drawn for step in r["history"])]
    figure = new_figure((max(5.2, 3.6 * len(counts)), 2.3 * len(rows) + 0.7))
    axes = figure.subplots(len(rows), len(counts), squeeze=False, sharex="col")
    for line, quantity in enumerate(rows):
        for column, count in enumerate(counts):
            axis = axes[line][column]
            for record in drawn:
                steps = [s for s in record["history"] if quantity in s]
                if record["task"]["views"] != count or not steps:
                    continue
                colour = f"C{methods.index(record['task']['method']) % 10}"
                x, y = [s["seconds"] for s in steps], [s[quantity] for s in steps]
                axis.plot(x, y, marker=".", ms=3, lw=1, color=colour, label=short(record["task"]["method"]))
            if quantity == "memory_mb":
                axis.set_ylim(bottom=0)
            else:
                axis.set_yscale("log")
            axis.grid(alpha=0.25, which="both")
            if line == 0:
                axis.set_title(f"{count} views", fontsize=10)
            if line == len(rows) - 1:
                axis.set_xlabel("seconds, the choice of settings included", fontsize=8)
            if column == 0:
                axis.set_ylabel(QUANTITIES[quantity], fontsize=8)
    found = {label: handle for axis in axes.ravel() for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return uri_of(figure)


def _iterated(record: Mapping[str, Any]) -> bool:
    """Whether the record holds the history of a method that reports a residual."""
    return sum("residual" in step for step in record.get("history", ())) > 1
