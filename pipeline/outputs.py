"""Write a reconstruction with a run record that names the command, its inputs and the final names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..base.record import make_record
from ..data import Reconstruction, write_volume
from ..recon.run_method import thinned_history


def save(
    rec: Reconstruction,
    path: Path,
    *,
    command: str,
    inputs: Iterable[Path] = (),
    named: Callable[[Path], Path] = lambda path: path,
    force: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """The same as `write_volume`, with a full run record. ``named`` returns the name that a path has once its folder is renamed."""
    facts = {"method": rec.method, "views": len(rec.scan), "view_angles_deg": rec.scan.angles_deg, "grid": rec.grid, "scan": str(rec.scan)}
    facts |= {"last_step": list(rec.history)[-1:], "history": thinned_history(rec.history)}
    facts["check"] = rec.check.as_record() if rec.check is not None else None
    read = tuple(inputs)
    hashed = () if "interrupted" in rec.settings else read  # after Ctrl-C there is no time to read all inputs again
    record = make_record(command, rec.settings, hashed, (named(path),), rec.seconds, {**facts, **(extra or {})})
    hashes = [entry["sha256"] for entry in record["inputs"]] or [None] * len(read)
    record["inputs"] = [{"path": str(named(place)), "sha256": found} for place, found in zip(read, hashes, strict=True)]
    write_volume(rec, path, force=force, record=record)
