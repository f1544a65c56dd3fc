"""How iterative methods converge, from the histories in the records of a sweep: objective, data residual and memory against seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import new_figure, short, uri_of

QUANTITIES = {"objective": "objective", "residual": "data residual |A x - p|", "memory_mb": "peak memory, MB"}


def convergence(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """One picture for each number of views, with a row for each quantity and a line for each method, of the first animal that has
    histories.
    """
    drawn = [r for r in records if _iterated(r)]
    if not drawn:
        return []
    animal = drawn[0]["task"]["animal"]
    drawn = [r for r in drawn if r["task"]["animal"] == animal]
    methods = list(dict.fromkeys(r["task"]["method"] for r in drawn))
    rows = [q for q in QUANTITIES if any(q in step for r in drawn for step in r["history"])]
    counts = sorted({r["task"]["views"] for r in drawn})
    return [(f"{count} views", _picture([r for r in drawn if r["task"]["views"] == count], count, methods, rows)) for count in counts]


def _picture(records: Sequence[Mapping[str, Any]], count: int, methods: Sequence[str], rows: Sequence[str]) -> str:
    """The histories at one number of views, with one panel below the other for each quantity."""
    figure = new_figure((4.8, 2.2 * len(rows) + 1.0))
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex="col")[:, 0]
    for axis, quantity in zip(axes, rows, strict=True):
        for record in records:
            steps = [s for s in record["history"] if quantity in s]
            if steps:
                colour = f"C{methods.index(record['task']['method']) % 10}"
                x, y = [s["seconds"] for s in steps], [s[quantity] for s in steps]
                axis.plot(x, y, marker=".", ms=4, lw=1.2, color=colour, label=short(record["task"]["method"]))
        if quantity == "memory_mb":
            axis.set_ylim(bottom=0)
        else:
            axis.set_yscale("log")
        axis.grid(alpha=0.25, which="both")
        axis.set_ylabel(QUANTITIES[quantity])
    axes[0].set_title(f"{count} views", fontsize=12)
    axes[-1].set_xlabel("seconds, the choice of settings included")
    found = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    return uri_of(figure)


def _iterated(record: Mapping[str, Any]) -> bool:
    """Whether the record holds the history of a method that reports a residual."""
    return sum("residual" in step for step in record.get("history", ())) > 1
