"""`fewview bench NAME`: any study in the table of studies, and the comparison of speeds."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..base.files import refuse_existing
from ..base.record import make_record, recorded_path
from .options import MaybePath
from .outputs import command_line


@dataclass(frozen=True)
class Place:
    """Where a study runs, and which earlier records it may reuse.

    Args:
        workers: number of local processes; 0 runs everything in this one.
        scheduler: address of a dask scheduler.
        accept_code: versions of the code whose records in OUT are reused; records of any other version are made again.
    """

    workers: int = 0
    scheduler: str = ""
    accept_code: tuple[str, ...] = ()


HERE = Place()
SharedPlace = Annotated[Place, tyro.conf.OmitArgPrefixes]


def study_command(name: str) -> Callable[..., None]:
    """The command of a study. Its options are ``--out``, the fields of its plan, and where it runs."""
    from ..benchmarks.studies.study_table import STUDIES, find_study

    study = find_study(name)

    def command(*, plan: Any, out: Path = Path(f"bench_{name}"), place: Place = HERE) -> None:
        run_and_tell(study, plan, out, place)

    types = {"out": Path, "plan": Annotated[study.Plan, tyro.conf.OmitArgPrefixes], "place": SharedPlace, "return": None}
    command.__annotations__ = types
    keyword = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter("out", keyword, annotation=Path, default=Path(f"bench_{name}")),
        inspect.Parameter("plan", keyword, annotation=types["plan"]),
        inspect.Parameter("place", keyword, annotation=SharedPlace, default=HERE),
    ])  # fmt: skip
    command.__doc__ = f"""{study.title}: {STUDIES[name].summary}.

    Every record is kept in OUT as soon as it is made; a run that was stopped continues where it was. Records of other code are made again,
    unless they are accepted by name.

    Examples:
      fewview bench {name} --data mouse_head --out results
      fewview report results

    Args:
        out: the folder of results; table.md is the table.
        plan: what is done.
        place: where it runs.
    """
    return command


def run_and_tell(study: Any, plan: Any, out: Path, place: Place) -> None:
    """Run a study with a progress bar, then print its page."""
    from ..benchmarks.sweeps.study import run_study
    from ..benchmarks.sweeps.sweep import Where

    where = Where(place.workers, place.scheduler or None, place.accept_code)
    with Bar() as bar:
        run_study(study, plan, out, where=where, tell=bar.tell, command=command_line())
    print((out / "table.md").read_text(encoding="utf-8"))
    print(f"wrote {out / 'table.md'}; fewview report {out} makes a page of it")


class Bar:
    """The progress bar of a sweep, shown on a terminal only."""

    def __enter__(self) -> Bar:
        from tqdm import tqdm

        self._bar = tqdm(desc="tasks", disable=None, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def tell(self, done: int, total: int, task: Any, record: Mapping[str, Any]) -> None:
        """Called by the sweep after each task."""
        self._bar.total = total
        self._bar.set_postfix_str("" if task is None else task.label)
        self._bar.update(max(0, done - self._bar.n))


def speed(*, size: tuple[str, ...] = ("A", "F"), peers: bool = False, rounds: int = 3, out: MaybePath = None, force: bool = False) -> None:
    """Measure the speed of forward projection, adjoint and FDK: the median in giga voxel-views per second, after a warm-up.

    Examples:
      fewview bench speed
      fewview bench speed --size F --peers --out speed.txt

    Args:
        size: A (256 x 256 x 171 voxels, 260 views of 384 x 256), medium or small; F, a fan beam (256 x 256, 180 views of 560 x 1); on a
            GPU 256, 512 and 1024 (n x n x n voxels, 260 views of n x n).
        peers: also measure every other implementation that is installed here (itk-rtk, mbirjax, ASTRA), on the same data, in turn.
        rounds: number of timed repetitions.
        out: also write the table to this file.
        force: replace the file if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    from ..base import InputError
    from ..benchmarks.peers.work import geometry_of, in_words
    from ..benchmarks.studies.speed import run_speed, speed_table
    from ..benchmarks.sweeps.provenance import describe, machine

    if rounds < 1:
        raise InputError(f"--rounds {rounds}", expected="1 or more")
    if out is not None:
        refuse_existing(out, force)
    lines: list[str] = []
    for name in size:
        rows, remarks = run_speed(name, peers=peers, rounds=rounds, report=_tell_line())
        lines += [f"work {name}: {in_words(*geometry_of(name))}", speed_table(rows), *remarks, ""]
    here = machine()
    table = "\n".join([*lines, describe(here)])
    print(table)
    if out is not None:
        made, extra = {"size": size, "rounds": rounds, "peers": peers}, {"machine": here}
        with recorded_path(out, lambda: make_record(command_line(), made, (), [out], extra=extra), force=force) as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")


def _tell_line() -> Callable[[str], None]:
    """Show what is being done, on a terminal only."""
    return (lambda line: print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)) if sys.stderr.isatty() else (lambda line: None)
