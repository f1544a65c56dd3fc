"""Pictures for the pages of benchmarks as data URIs: curves, scatter plots, and slices with their errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import FloatVolume, UInt8
from ..comparison.tables import Row
from ..scores.against.references import judged_by


def data_uri(png: bytes) -> str:
    """A PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def image_uri(image: UInt8[NDArray, "row col *colour"]) -> str:
    """A grey image [row, col] or a colour image [row, col, 3] as the address of a PNG."""
    import imageio.v3 as iio

    return data_uri(iio.imwrite("<bytes>", image, extension=".png"))


def new_figure(size: tuple[float, float]) -> Any:
    """An empty figure of this size in inches, made without pyplot, so that there is no global state and no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def uri_of(figure: Any) -> str:
    """The figure as a ``data:`` address."""
    out = io.BytesIO()
    figure.savefig(out, dpi=150, format="png")
    return data_uri(out.getvalue())


def curves(rows: Sequence[Row], panels: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """A picture for each title -> (protocol, metric): the metric against views, a line for each method, and a band where there is an
    interval.

    Returns titles with their pictures, without those that have no values. A picture is narrow enough to be read on a telephone.
    """
    methods = list(dict.fromkeys(row.name for row in rows))
    found = []
    for title, (protocol, metric) in panels.items():
        shown = [row for row in rows if metric in row.cells[protocol]]
        if shown:
            found.append((title, _curve(shown, methods, title, protocol, metric)))
    return found


def _curve(rows: Sequence[Row], methods: Sequence[str], title: str, protocol: str, metric: str) -> str:
    figure = new_figure((4.8, 4.2))
    axis = figure.subplots()
    for number, method in enumerate(methods):
        points = sorted((r.views, r.cells[protocol][metric]) for r in rows if r.name == method)
        if not points:
            continue
        x, mean = [p[0] for p in points], [p[1].mean for p in points]
        style = "--" if method.startswith("control") else "-"
        axis.plot(x, mean, style, marker="os^v"[number // 10 % 4], ms=5, color=f"C{number % 10}", label=short(method))
        if all(np.isfinite(p[1].low) for p in points):
            axis.fill_between(x, [p[1].low for p in points], [p[1].high for p in points], color=f"C{number % 10}", alpha=0.15, lw=0)
    axis.set(xlabel="views given", xscale="log")
    axis.set_title(title, fontsize=12)
    ticks = sorted({row.views for row in rows})
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.25)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=10, frameon=False)
    return uri_of(figure)


def scatter(records: Sequence[Mapping[str, Any]], metric: str = "psnr_object") -> str:
    """The ``metric`` of the volume of every animal, with a line for each method and a colour for each number of views."""
    good = [r for r in records if "failed" not in r and metric in r["scores"][judged_by(r["scores"])]]
    methods = list(dict.fromkeys(r["task"]["method"] for r in good))
    counts = sorted({r["task"]["views"] for r in good})
    figure = new_figure((5.2, 1.3 + 0.34 * max(4, len(methods))))
    axis = figure.subplots()
    for number, count in enumerate(counts):
        chosen = [r for r in good if r["task"]["views"] == count]
        y = [methods.index(r["task"]["method"]) + 0.6 * ((number + 0.5) / len(counts) - 0.5) for r in chosen]
        axis.plot([float(r["scores"][judged_by(r["scores"])][metric]) for r in chosen], y, "o", ms=5, alpha=0.7, label=f"{count} views")
    axis.set_yticks(range(len(methods)), [short(m) for m in methods])
    axis.invert_yaxis()
    axis.set(xlabel="PSNR in the object, dB")
    axis.grid(axis="x", alpha=0.25)
    if good:
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    return uri_of(figure)


def planes(volume: FloatVolume, window: tuple[float, float]) -> UInt8[NDArray, "row cols"]:
    """Three planes side by side in a fixed grey window, with rows upwards."""
    low, high = window
    grey = np.clip((volume.astype(np.float32) - low) / (high - low), 0, 1)
    return (np.concatenate(list(grey[:, ::-1]), axis=1) * 255 + 0.5).astype(np.uint8)


def shot(volume: FloatVolume, reference: FloatVolume, window: tuple[float, float]) -> str:
    """Slices above and their errors below (blue too low, red too high; full scale is a quarter of the window)."""
    top = np.repeat(planes(volume, window)[..., None], 3, axis=2)
    error = (volume.astype(np.float32) - reference.astype(np.float32)) / (0.25 * (window[1] - window[0]))
    signed = np.clip(np.concatenate(list(error[:, ::-1]), axis=1), -1, 1)
    red, blue = 1 + np.minimum(signed, 0), 1 - np.maximum(signed, 0)
    colour = np.stack([red, np.minimum(red, blue), blue], axis=-1)
    return image_uri(np.concatenate([top, (colour * 255 + 0.5).astype(np.uint8)], axis=0))


def short(method: str) -> str:
    """``my_file.py:mine`` for a user's own method, without its folder."""
    path, colon, name = method.rpartition(":")
    return f"{path.replace(chr(92), '/').rpartition('/')[2]}:{name}" if colon else method
