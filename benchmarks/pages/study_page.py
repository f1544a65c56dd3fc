"""The page of a study of tables and notes: self-contained, made from a results folder alone."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from ...base import InputError
from ...base.files import atomic_path, refuse_existing
from ...base.outputs.ownership import SIGNATURE
from ..sweeps.results import load_records, read_state
from ..sweeps.study import Study, made_by, tables_of


def write_study_page(study: Study, results: str | Path, out: str | Path | None = None, *, force: bool = False) -> Path:
    """Write ``report.html`` (default: into ``results``) from the records there; no network is needed to make or to read it.

    Raises InputError for a folder without results, FileExistsError for an existing page without ``force``.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    from ... import __version__

    results = Path(results)
    path = results / "report.html" if out is None else Path(out)
    refuse_existing(path, force, [results])
    records, info = load_records(results), read_state(results).info
    if not records:
        raise InputError(f"{results} holds no record yet", expected="at least one finished task", remedy="run `fewview bench` first")
    good = [r for r in records if "failed" not in r]
    here = files("fewview.benchmarks.pages")
    template = Environment(autoescape=True).from_string((here / "study.html.j2").read_text(encoding="utf-8"))
    text = template.render(
        signature=SIGNATURE,
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        title=study.title,
        about=info.get("about", ""),
        tables=tables_of(study, records),
        notes=study.notes(good) if good else (),
        failures=[f"{r['label']}: {r['failed']}" for r in records if "failed" in r],
        made=made_by(records),
        command=info.get("command", ""),
        version=__version__,
        date=datetime.now(UTC).date().isoformat(),
    )
    with atomic_path(path, force=force, inputs=[results]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
