"""The picture of a calibration: its score about the best value of each correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .estimate import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(calibration: Calibration) -> Figure:
    """One panel a correction (score against value, the best marked with its standard error), and one for the sense of rotation.

    Save it with ``draw(calibration).savefig("score.png")``. Needs no display.
    """
    from matplotlib.figure import Figure

    panels = len(calibration.curves) + bool(calibration.sense_scores)
    figure = Figure(figsize=(3.4 * max(1, panels), 3.0), layout="constrained")
    axes = figure.subplots(1, max(1, panels), squeeze=False)[0]
    for axis, (name, (values, scores)) in zip(axes, calibration.curves.items(), strict=False):
        best = getattr(calibration, name)
        axis.plot(values, scores, marker=".", color="tab:blue")
        axis.axvline(best, color="tab:orange")
        axis.axvspan(best - calibration.errors[name], best + calibration.errors[name], color="tab:orange", alpha=0.3)
        label, unit = name.rsplit("_", 1)
        axis.set_xlabel(f"{label.replace('_', ' ')} ({unit})")
        axis.set_title(f"{best:+.4f} {unit}", fontsize=10)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("contradiction between views")
    if calibration.sense_scores:
        axis = axes[panels - 1]
        axis.bar(list(calibration.sense_scores), list(calibration.sense_scores.values()), color="tab:blue")
        axis.set_title("rotation reversed" if calibration.reversed else "rotation as given", fontsize=10)
    return figure
