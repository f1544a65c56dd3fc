"""`fewview bench board`: published rows beside ours on a public data set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..base.files import refuse_existing
from ..base.record import make_record, recorded_path
from .options import MaybePath
from .outputs import command_line


def board(
    *,
    name: Literal["r2", "cwi", "htc2022", "rabbitct"],
    data: Path,
    methods: tuple[str, ...] = (),
    out: MaybePath = None,
    force: bool = False,
) -> None:
    """Print what others have published on a public data set, and what our methods reach on it here, by the same measure.

    Examples:
      fewview bench board --name r2 --data synthetic_dataset/cone_ntrain_50_angle_360
      fewview bench board --name htc2022 --data htc2022_teaching_data --methods fdk fista_tv --out board.md

    Args:
        name: r2, scenes of R2-Gaussian; cwi, walnuts of CWI; htc2022, discs of the Helsinki challenge; rabbitct, the back-projection alone.
        data: the folder of the data set, or of one scene of it.
        methods: methods with their default settings; by default fdk, cgls, and fista_tv, which chooses its strength from the views. For
            rabbitct: backends.
        out: also write the page to this file.
        force: replace the file if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    from ..benchmarks.boards.board import board_page, checked_methods, score_scenes
    from ..benchmarks.boards.boards import BOARDS

    chosen = tuple(checked_methods(BOARDS[name], methods))  # an unknown name is refused before the work
    if out is not None:
        refuse_existing(out, force, [data])
    page = board_page(BOARDS[name], score_scenes(BOARDS[name], data, chosen))
    print(page)
    if out is not None:
        with recorded_path(out, lambda: make_record(command_line(), {"methods": chosen}, (), [out]), force=force) as temporary:
            temporary.write_text(page, encoding="utf-8")
