"""`fewview bench board`: published rows beside ours on a public data set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..base.files import refuse_existing
from ..base.record import make_record, recorded_path
from .options import MaybePath
from .outputs import command_line


def board(*, name: Literal["r2"], data: Path, methods: tuple[str, ...] = (), out: MaybePath = None, force: bool = False) -> None:
    """Print what others have published on a public data set, and what our methods reach on it here, by the same measure.

    Examples:
      fewview bench board --name r2 --data synthetic_dataset/cone_ntrain_50_angle_360
      fewview bench board --name r2 --data 0_chest_cone --methods fdk fista_tv --out board.md

    Args:
        name: r2, scenes in the layout of R2-Gaussian (meta_data.json, .npy views and ground truth).
        data: one scene, or a folder of scenes.
        methods: methods with their default settings; by default fdk, cgls, and fista_tv, which chooses its strength from the views.
        out: also write the page to this file.
        force: replace the file if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    from ..benchmarks.boards.r2_board import METHODS_SHOWN, board_page, score_scenes
    from ..recon import load_method

    chosen = methods or METHODS_SHOWN
    for method in chosen:
        load_method(method)  # an unknown name is refused before the work
    if out is not None:
        refuse_existing(out, force, [data])
    page = board_page(name, score_scenes(data, chosen))
    print(page)
    if out is not None:
        with recorded_path(out, lambda: make_record(command_line(), {"methods": chosen}, (), [out]), force=force) as temporary:
            temporary.write_text(page, encoding="utf-8")
