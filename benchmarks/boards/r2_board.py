"""`bench board --name r2`: our methods on scenes in the layout of R2-Gaussian, scored as its published code scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.psnr import psnr_db
from ...base.shapes import FloatVolume
from ...data.scans.r2_gaussian import is_r2, open_r2, truth_of_r2
from ...recon import reconstruct
from .published import BOARDS

METHODS_SHOWN = ("fdk", "cgls", "fista_tv")
TUNED = {"fista_tv": "its strength chosen from the views alone", "pdhg_tv": "its strength chosen from the views alone"}
Say = Callable[[str], object]


@dataclass(frozen=True)
class Score:
    """A method on one scene: the published measure in dB, the number of views, and seconds; ``failed`` says why there is none."""

    scene: str
    method: str
    views: int
    psnr: float
    seconds: float
    failed: str = ""


def scenes_in(root: str | Path) -> list[Path]:
    """The scenes of a folder: the folder itself, or those in it. FileNotFoundError for no folder, InputError for one without a scene."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected scenes with a meta_data.json")
    found = [root] if is_r2(root) else sorted(p for p in root.iterdir() if p.is_dir() and is_r2(p))
    if not found:
        raise InputError(f"{root} holds no scene", expected="folders with a meta_data.json as R2-Gaussian writes it")
    return found


def published_psnr(volume: FloatVolume, truth: FloatVolume) -> float:
    """The 3-D PSNR in dB as the published code has it: over the whole volume, data range 1, nothing clipped or fitted."""
    return psnr_db(max(float(np.mean((volume.astype(np.float64) - truth) ** 2)), 1e-30), data_range=1.0)


def score_scenes(root: str | Path, methods: Sequence[str] = METHODS_SHOWN, say: Say = print) -> list[Score]:
    """Every method on every scene. What fails on a scene is named in its score; the others are made all the same."""
    scores = []
    for scene in scenes_in(root):
        for method in methods:
            say(f"{scene.name}: {method}")
            try:
                truth, grid = truth_of_r2(scene)
                projections = open_r2(scene)
                rec = reconstruct(projections, method, grid, check=False)
                scores.append(Score(scene.name, method, len(projections), published_psnr(rec.volume, truth), rec.seconds))
            except (InputError, FileNotFoundError) as error:
                scores.append(Score(scene.name, method, 0, float("nan"), float("nan"), str(error)))
    return scores


def board_page(name: str, scores: Sequence[Score]) -> str:
    """Published rows and ours as Markdown, best first for each number of views, and what failed."""
    good = [s for s in scores if not s.failed]
    lines = [
        f"# Board {name}",
        "",
        "3-D PSNR over the whole volume, data range 1, as the published code has it. Methods with their defaults.",
    ]
    for views in sorted({s.views for s in good}, reverse=True):
        rows = [(row.psnr[views], row.method, "published", "", row.source) for row in BOARDS[name] if views in row.psnr]
        for method in dict.fromkeys(s.method for s in good):
            mine = [s for s in good if s.method == method and s.views == views]
            if mine:
                mean, seconds = (float(np.mean([getattr(s, key) for s in mine])) for key in ("psnr", "seconds"))
                rows.append((mean, method, f"{len(mine)} scenes here", f"{seconds:.3g}", TUNED.get(method, "")))
        lines += ["", f"## {views} views", "", "| method | PSNR, dB | of | s | remark |", "|---|---|---|---|---|"]
        lines += [f"| {method} | {value:.2f} | {of} | {seconds} | {remark} |" for value, method, of, seconds, remark in sorted(rows)[::-1]]
        if not any(views in row.psnr for row in BOARDS[name]):
            lines.append(f"\nNobody has published a row for {views} views.")
    failed = [f"* {s.scene}, {s.method}: {s.failed}" for s in scores if s.failed]
    return "\n".join([*lines, *(["", "## What failed", "", *failed] if failed else [])]) + "\n"
