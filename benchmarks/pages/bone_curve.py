"""The picture of a quantity's bias against the number of views: a panel for each quantity, a line for each method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...base.files import own_path
from ..sweeps.columns import Row
from .figures import new_figure

Bias = Callable[[Sequence[Row]], tuple[float, float]]
LIMITS = (2.0, 5.0)  # per cent


def write_bone_curve(found: Sequence[Row], bias_of: Bias, path: Path) -> None:
    """Write the picture as a .png; ``bias_of`` gives mean and half width of the interval of a group of rows."""
    quantities = list(dict.fromkeys(row["quantity"] for row in found))
    methods = list(dict.fromkeys(row["method"] for row in found))
    figure = new_figure((2.6 * len(quantities), 3.2))
    for axis, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        for limit in LIMITS:
            axis.axhspan(-limit, limit, color="0.5", alpha=0.12, linewidth=0)
        for method in methods:
            own = [row for row in found if row["method"] == method and row["quantity"] == quantity]
            counts = sorted({row["views"] for row in own})
            biases = [bias_of([row for row in own if row["views"] == n]) for n in counts]
            axis.errorbar(counts, [b for b, _ in biases], [h for _, h in biases], marker="o", markersize=3, linewidth=1, label=method)
        axis.set(xscale="log", title=quantity.replace("_", "."), xlabel="views")
        axis.set_yscale("symlog", linthresh=5)
    figure.axes[0].set_ylabel("bias, % (bands: 2 and 5 %)")
    figure.axes[0].legend(fontsize="small")
    with own_path(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, dpi=150, format="png")
