"""The report of a benchmark: one self-contained page, made from a results folder alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...base import InputError
from ...base.files import atomic_path, refuse_existing
from ...base.outputs.ownership import SIGNATURE
from ...base.plain import to_json
from ..comparison.choosing.tuning import HEADLINE
from ..comparison.pair_task import DEFAULT, PairRecord
from ..comparison.pictures import open_pictures
from ..comparison.tables import PUBLISHED, Row, absent_columns, cells_of, columns_of, head_of, rows_of, sections_of
from ..scores.against.references import judged_by
from ..scores.metric_table import MEANING
from ..sweeps.columns import Cell
from ..sweeps.results import load_records, read_state
from ..sweeps.study import made_by
from .convergence import convergence
from .figures import curves, image_uri, planes, scatter, short, shot
from .leads import in_words, leads


def write_report(results: str | Path, out: str | Path | None = None, *, force: bool = False) -> Path:
    """Write ``report.html`` (default: into ``results``) from the records there; no network is needed to make or to read it.

    Raises InputError for a folder without results, FileExistsError for an existing page without ``force``.
    """
    from jinja2 import Environment

    results = Path(results)
    path = results / "report.html" if out is None else Path(out)
    refuse_existing(path, force, [results])
    records = load_records(results, PairRecord)
    if not records:
        raise InputError(f"{results} holds no record yet", expected="at least one finished task", remedy="run `fewview bench` first")
    info = read_state(results).info
    context = _context(results, records, rows_of(records, results), info)
    here = files("fewview.benchmarks.pages")
    template = Environment(autoescape=True).from_string((here / "report.html.j2").read_text(encoding="utf-8"))
    from markupsafe import Markup

    text = template.render(signature=SIGNATURE, style=Markup((here / "page.css").read_text(encoding="utf-8")), **context)
    with atomic_path(path, force=force, inputs=[results]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _context(results: Path, records: Sequence[dict[str, Any]], rows: Sequence[Row], info: Mapping[str, Any]) -> dict[str, Any]:
    from ... import __version__

    animals = sorted({r["task"]["animal"] for r in records}, key=int)
    counts = sorted({r["task"]["views"] for r in records})
    methods = list(dict.fromkeys(r["task"]["method"] for r in records))
    shots, reference, shown = _shots(results, records, animals[0], info)
    judge = judged_by(dict.fromkeys(sections_of(rows)))
    return {
        "title": f"{len(methods)} methods, {', '.join(map(str, counts))} views",
        "lead": f"{info.get('data', 'data')}: {_count(len(animals), 'test animal')} "
        "(no method was trained, tuned or mapped on them).",
        "facts": [
            (len(animals), _count(len(animals), "test animal").partition(" ")[2]), (len(methods), "methods and controls"),
            (len(records), "reconstructions"),
            (f"{info.get('size', '?')}", "voxels across"),
        ],
        "protocols": [_leaderboard(rows, section, info.get("labels", {})) for section in sections_of(rows)],
        "published": PUBLISHED,
        "made": made_by(records),
        "curves": curves(
            rows, {f"PSNR in the object against {judge}, dB": (judge, "psnr_object"), "held-out view PSNR, dB": ("heldout-views", "psnr")}
        ),
        "scatter": scatter(records),
        "convergence": convergence([r for r in records if "failed" not in r]),
        "verdicts": in_words(records),
        "differences": _differences(records, judge),
        "shots": shots,
        "shots_note": f"Animal {animals[0]}, grey from {shown[0]:.3g} to {shown[1]:.3g} 1/mm; errors in blue and red, full scale "
        f"{(shown[1] - shown[0]) / 4:.2g} 1/mm.",
        "reference_shot": reference,
        "shot_methods": list(dict.fromkeys(s["method"] for s in shots)),
        "shot_views": counts,
        "failures": _failures(records),
        "notes": _notes(info),
        "command": info.get("command", f"fewview report {results.name}"),
        "info": to_json(info, indent=1),
        "records": [_record_line(r) for r in records],
        "version": __version__,
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _leaderboard(rows: Sequence[Row], section: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The table of a section: only columns with values, the best value of each marked, and a note on what other columns would need."""
    columns = columns_of(rows, section)
    found = [cells_of(rows, section, metric) for metric in columns]
    table = []
    for place, row in enumerate(rows):
        cells = [{"text": short(row.name), "value": short(row.name)}, {"text": row.views, "value": row.views}]
        cells += [_cell(cells[place], row, metric.name, section) for metric, cells in zip(columns, found, strict=True)]
        tail = ((row.seconds, ".3g"), (row.peak_memory_mib, ",.0f"))
        cells += [{"text": format(v, style) if math.isfinite(v) else "-", "value": v} for v, style in tail]
        table.append(cells)
    heads = ["method", "views", *(head_of(metric, labels) for metric in columns), "seconds", "MiB"]
    note = absent_columns(rows, section, labels)
    return {
        "name": section,
        "meaning": MEANING[section],
        "heads": heads,
        "rows": table,
        "note": note,
        "kid": any(m.name == "kid" for m in columns),
    }


def _cell(cell: Cell, row: Row, metric: str, section: str) -> dict[str, Any]:
    found = row.cells[section].get(metric)
    if found is None:
        return {"text": "-", "value": "-"}
    low, high = f"{found.low:#.4g}", f"{found.high:#.4g}"
    bounded = math.isfinite(found.low) and math.isfinite(found.high) and low != high
    interval = f"{low} to\N{NO-BREAK SPACE}{high}" if bounded else ""
    return {"text": cell.text, "value": found.mean, "best": cell.best, "interval": interval}


def _shots(
    results: Path, records: Sequence[dict[str, Any]], animal: str, info: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str, tuple[float, float]]:
    """Pictures of one animal and its reference, and the grey window of all of them, which goes up to the brightest
    voxel of the reference.
    """
    found, reference, window = [], "", _window(info)
    for record in records:
        path = results / "pictures" / f"{record['key']}.npz"
        if "failed" in record or record["task"]["animal"] != animal or not path.exists() or DEFAULT not in record["task"]["stands_for"]:
            continue
        with open_pictures(path) as kept:
            if not reference:
                brightest = float(kept["reference"].max())
                window = (window[0], brightest if brightest > window[0] else window[1])
                reference = image_uri(planes(kept["reference"], window))
            task = record["task"]
            score = _in_short(record["scores"][judged_by(record["scores"])])
            picture = shot(kept["volume"], kept["reference"], window)
        found.append({"method": short(task["method"]), "views": task["views"], "src": picture, "score": score})
    return found, reference, window


def _in_short(scores: Mapping[str, float]) -> str:
    """The PSNR in the object, as the volume is and after its linear map, as far as they exist."""
    shown = (("psnr_object", "dB"), (HEADLINE, "dB after a linear map"))
    return ", ".join(f"{float(scores[name]):.2f} {unit}" for name, unit in shown if name in scores)


def _failures(records: Sequence[dict[str, Any]]) -> list[str]:
    """One line for all tasks that failed in the same way."""
    alike: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if "failed" in record:
            task = record["task"]
            what = f"{short(task['method'])}, {task['views']} view(s), {task['selection']}"
            alike.setdefault((what, record["failed"]), []).append(f"{task['animal']} week {task['week']}")
    return [f"{what}: {why} ({', '.join(dict.fromkeys(who))})" for (what, why), who in alike.items()]


def _differences(records: Sequence[dict[str, Any]], section: str) -> list[dict[str, Any]]:
    """Every row compared with the best classical one after a linear map, pairwise over animals."""
    lines = []
    for lead in leads(records, section):
        d = lead.difference
        interval = f"{d.low:+.2f} to {d.high:+.2f}" if math.isfinite(d.low) else "one animal"
        lines.append(
            {"method": short(lead.row), "views": lead.views, "baseline": lead.baseline, "mean": f"{d.mean:+.2f}", "interval": interval}
        )
    return lines


def _notes(info: Mapping[str, Any]) -> list[str]:
    low, high = _window(info)
    return [
        f"Data range of volumes {high - low:g} 1/mm, of views {info.get('line_window', '?')}; fixed for all.",
        str(info.get("prepared", "")),
        "Detector pixels were averaged while two of them fit into a voxel, for all methods alike."
        if info.get("bin")
        else "The detector was not binned.",
        "Bone lies above "
        + ", ".join(f"{value:.3g} 1/mm in {name}" for name, value in info.get("bones", {}).items())
        + " (Otsu's upper threshold of three classes, on training animals).",
        "Recon-CT is an FDK of all views: the views that a method was given are among those it was made from.",
        f"Trained or tuned on animals {', '.join(info.get('train', [])) or 'none'}; relatives are on one side of the split.",
        f"Tuning candidates for each method, its defaults among them: {info.get('tuning', {}).get('candidates', {})}. "
        "Each column of a tuned row has the settings that were best in it on validation animals.",
        f"Linear maps were fitted on training animals {', '.join(info.get('mapped_on', [])) or 'none'}, inside the object: "
        "one for each method, its settings and the number of views.",
        f"FID, KID and LPIPS use {info.get('features', 'none')} features"
        + ("; over random features they are other quantities than the published ones." if info.get("features") == "random" else "."),
        f"Before the comparison of volumes: {info.get('alignment', 'nothing was aligned')}.",
        *info.get("remarks", []),
    ]


def _window(info: Mapping[str, Any]) -> tuple[float, float]:
    """The grey window of the data set; InputError where sweep.json holds anything but two numbers."""
    given = info.get("window_per_mm", (0.0, 0.25))
    if not (isinstance(given, list | tuple) and len(given) == 2 and all(isinstance(end, int | float) for end in given)):
        raise InputError(f"sweep.json: window_per_mm is {given!r:.60}", expected="two numbers in 1/mm")
    return float(given[0]), float(given[1])


def _record_line(record: Mapping[str, Any]) -> dict[str, Any]:
    task = record["task"]
    label = f"{task['animal']} week {task['week']}, {task['views']} views ({task['selection']}), {short(task['method'])}"
    seconds = f"{record['seconds']:.2f}" if "seconds" in record else "failed"
    return {"key": record["key"], "label": label, "seconds": seconds, "memory": f"{float(record['peak_memory_mib']):.0f}"}
