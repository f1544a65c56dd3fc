"""Write a reconstruction with a run record that names the command, its inputs and the final names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..base.record import make_record
from ..data import Reconstruction, write_volume
from ..recon.iterative.solve import thinned_history


def save(
    rec: Reconstruction,
    path: Path,
    *,
    command: str,
    inputs: Iterable[Path] = (),
    final: Path | None = None,
    force: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """`write_volume` with a full record; ``final`` is the name that the output gets when its folder is renamed."""
    facts = {"method": rec.method, "views": len(rec.scan), "view_angles_deg": rec.scan.angles_deg, "grid": rec.grid, "scan": str(rec.scan)}
    facts |= {"last_step": list(rec.history)[-1:], "history": thinned_history(rec.history)}
    record = make_record(command, rec.settings, inputs, (final or path,), rec.seconds, {**facts, **(extra or {})})
    write_volume(rec, path, force=force, record=record)


def command_line() -> str:
    """What was typed, as near as the process knows it."""
    return " ".join(["fewview", *sys.argv[1:]])
