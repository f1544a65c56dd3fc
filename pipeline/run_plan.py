"""`run` turns a plan into a volume on disk with its record, in one call."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.memory import require_memory
from ..base.record import kept_warnings
from ..data import Projections, Reconstruction
from ..data.scans.reader import line_integrals, open_scan
from ..data.self_check import WRONG
from ..geometry import Grid
from ..recon.corrections import correct, correct_volume
from ..recon.method import Callback
from .earlier_scan import earlier_volume
from .findings import Findings, findings
from .outputs import save
from .plan import ReconPlan
from .plausible_plan import plan_doubts
from .stages import Tell, calibrated, counted, reconstructed, without_drift

Watch = Callable[[str], AbstractContextManager[Callback]]


@dataclass(frozen=True, eq=False)
class Finished:
    """The reconstruction, the file of the volume and that of its standard deviation (if any), the notes in the record, and the seconds in
    all.
    """

    reconstruction: Reconstruction
    path: Path
    std_path: Path | None
    notes: dict[str, Any]
    seconds: float

    @property
    def interrupted_at(self) -> int | None:
        """The step whose volume was kept when Ctrl-C ended the run; None for a run that was completed."""
        return self.reconstruction.settings.get("interrupted")


def silent(text: str) -> None:
    """Say nothing."""


def unwatched(label: str) -> AbstractContextManager[Callback]:
    """Watch nothing."""
    return nullcontext(lambda progress: None)


def run(
    plan: ReconPlan,
    *,
    tell: Tell = silent,
    watch: Watch = unwatched,
    command: str | None = None,
    named: Callable[[Path], Path] = lambda path: path,
) -> Finished:
    """Read, calibrate, correct, reconstruct and write what the plan says, with a run record beside the volume.

    ``tell`` receives each line for a person: what the scan is, and what was assumed, found and written. ``watch`` makes, for a label, a
    context with a callback for the progress of the method. ``command`` is the command line for the record; ``named`` returns the name that
    a path has once the folder it lies in is renamed.

    Raises the errors of reading, of the method and of writing, and FileExistsError before anything is read where an output exists and
    ``force`` is not given.
    """
    start = time.perf_counter()
    plan.require_free_outputs()
    if plan.prior is not None and not Path(plan.prior).exists():
        raise FileNotFoundError(f"--prior {plan.prior} is not there")
    with kept_warnings() as warned:
        part, grid, notes = _read(plan, tell, watch)
        if plan.calibrate:
            with watch("calibration") as callback:
                part, notes["calibration"] = calibrated(part, tell, (callback,))
        if plan.drift:
            with watch("drift of the views"):
                part, notes["drift"] = without_drift(part, tell)
        with watch("corrections"):  # last, because finding bone needs the right geometry
            part, notes["corrections"] = correct(part, plan.corrections, grid=grid)
        extra: dict[str, Any] = {}
        if plan.prior is not None:
            with watch("registration of the prior"):
                earlier, notes["prior"] = earlier_volume(Path(plan.prior), part, grid, tell)
            extra = {"reference": earlier, "start": earlier}
        with watch(plan.reconstructor.name) as callback:
            rec = reconstructed(part, plan, grid, (callback,), extra)
        named_instead = {name: f"{plan.prior}, registered" for name in extra if rec.settings[name] is not plan.settings.get(name)}
        rec = dataclasses.replace(rec, settings={**rec.settings, **named_instead})  # a record has no room for a volume
        volume, account = correct_volume(rec.volume, plan.corrections)
        notes["corrections"] += account
        rec = dataclasses.replace(rec, volume=volume)
        _tell_chosen(rec, tell)
        _tell_check(rec, tell)
    notes["warnings"] = list(warned)
    facts = {"command": command or f"fewview.pipeline.run({plan!r})", "inputs": plan.inputs, "named": named, "force": plan.force}
    _write(rec, plan, facts, notes, tell, start)
    return Finished(rec, plan.output, plan.std_output, notes, time.perf_counter() - start)


def _read(plan: ReconPlan, tell: Tell, watch: Watch) -> tuple[Projections, Grid, dict[str, Any]]:
    """The projections of the chosen views, the grid, and notes. What follows from the geometry alone is said before the images are read."""
    source = open_scan(plan.source, views=plan.view_choice.of, binning=plan.binning, **plan.open_options)
    grid = plan.grid_choice.of(source.scan)
    nz, ny, nx = grid.shape
    tell(f"{plan.reconstructor.name}: {len(source.scan)} views to {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm")
    require_memory(4 * nx * ny * nz, f"the {nx} x {ny} x {nz} voxels", "use a larger --voxel-mm, or a smaller --grid or --box")
    for doubt in plan_doubts(plan, source.scan, grid):
        warnings.warn(doubt, stacklevel=3)
    early = findings(source.scan, source.meta)
    say(early, Findings(), tell)
    with watch("reading") as callback:
        part = line_integrals(source, progress=counted(callback), **plan.count_options)
    told = findings(part.scan, part.meta)
    say(told, early, tell)
    notes = {"reader": part.meta.get("assumptions", ()), "findings": told, "prepare": part.meta.get("prepare")}
    return part, grid, notes


def say(found: Findings, before: Findings, tell: Tell) -> None:
    """Say what was not said before, the most serious first: warnings as warnings, everything else as lines."""
    for line in found.warnings:
        if line not in before.warnings:
            warnings.warn(line, stacklevel=4)
    known = before.notes()
    for line in found.notes():
        if line not in known:
            tell(line)


def _tell_chosen(rec: Reconstruction, tell: Tell) -> None:
    """Say what the method did about an object larger than the grid, and how much it made of an earlier volume."""
    if "outside_seen" in rec.settings:
        seen, seconds = rec.settings["outside_seen"], rec.settings["outside_seconds"]
        tell(f"the views show an object beside the grid ({seen:.0%} of their largest value): {rec.settings['outside']} ({seconds:.1f} s)")
    if rec.settings.get("reference") is not None:
        alpha = rec.settings["alpha"]
        tell(f"prior: {f'alpha = {alpha:g}' if alpha else 'not used'}, {rec.settings.get('alpha_rule', 'as given')}")


def _tell_check(rec: Reconstruction, tell: Tell) -> None:
    """Say the result of the self-check in a line, unless it was given as a warning."""
    if rec.check is not None and rec.check.level != WRONG:
        tell(f"self-check: {rec.check.message}")


def _write(rec: Reconstruction, plan: ReconPlan, facts: dict[str, Any], notes: dict[str, Any], tell: Tell, start: float) -> None:
    final = dataclasses.replace(plan, scan=facts["named"](plan.source), out=facts["named"](plan.output))
    save(rec, plan.output, **facts, extra={"notes": notes, "plan": final})
    low, high = float(rec.volume.min()), float(rec.volume.max())
    seconds = time.perf_counter() - start
    tell(f"wrote {plan.output}: {low:.4g} to {high:.4g} 1/mm, {rec.seconds:.1f} s ({seconds:.1f} s with reading)")
    if plan.std_output is not None and rec.std is not None:
        save(dataclasses.replace(rec, volume=rec.std, std=None), plan.std_output, **facts)
        tell(f"wrote {plan.std_output}: the standard deviation of each voxel, {float(rec.std.mean()):.4g} 1/mm in the mean")
