"""`adapt`: the network learns from the scan itself, by predicting views that it was not given, until views kept apart stop improving.

The views are divided into parts. Each step hides one part, corrects the total variation of the others, and asks how well the corrected
volume predicts the hidden views (Sparse2Inverse, arXiv 2402.16921, after Noise2Inverse, IEEE Trans. Comput. Imaging 6 (2020) 1320). No
truth is needed, because the noise of hidden views is independent of what was given. Some views take part in none of this. They say when
to stop, and whether the weights from before were better.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from ...base.shapes import Float, Volume
from ...data import Projections
from ...data.multiresolution import bin_projections, coarsening
from ...geometry import Grid
from ...recon import Operator
from ...recon.iterative.tuning.held_out import held_out
from ...recon.iterative.tuning.supported_share import as_voxels_show, ramp_of_voxels
from .inputs import TvWeight, as_learned, facts, grey_scale, left_over
from .learner import Network, inputs

PARTS, LEAST_VIEWS = 4, 20  # with 13 views a head became worse: two views are too few to judge by, and what hides three is another scan
RATE, WARM = 3e-4, 16  # the learning rate, and the steps in which it rises to that: the first steps of Adam are all of full length
# Cycles a voxel, half of what voxels can show: of what views hold above it, the error of projections of voxels is more than that of a good
# network, and a network that learned it made two heads worse by 1.1 and 1.7 dB (with this limit 0.8 and 1.2: docs/model_cards.md).
FINEST = 0.25
PATIENCE = 4  # rounds through all parts without a better prediction of the views kept apart


@dataclass(frozen=True)
class Hidden:
    """What the last look of the network is given of some views, and views that it is to predict: their cosine coefficients times
    |f|^(1/2), as the score of volumes asks, up to the frequency `FINEST`.
    """

    volumes: tuple[Volume, ...]
    told: Float[Tensor, "facts"]
    scale: float
    operator: Operator
    wanted: Float[Tensor, "view row col"]
    rows: Float[Tensor, "some_rows row"]
    cols: Float[Tensor, "col some_cols"]

    def error(self, module: Network) -> Float[Tensor, ""]:
        """The mean square (dimensionless) of the filtered difference between the hidden views and what the corrected volume predicts."""
        first = torch.from_numpy(self.volumes[0]).to(self.told.device)
        whole = tuple(slice(0, n) for n in first.shape)
        volume = torch.clamp(first + self.scale * module.net.on(self.volumes, whole, self.scale, self.told), min=0)
        return ((self.rows @ (self.operator(volume) - self.wanted) @ self.cols) ** 2).mean()


def adapted(module: Network, projections: Projections, grid: Grid, weight: TvWeight, rounds: int) -> tuple[Network, dict[str, Any]]:
    """The network after at most ``rounds`` rounds of learning from the scan, and what was found: ``adapt_gain`` is the share of the squared
    error of the views kept apart that this took away. Without a gain it is the network that was given.

    A large scan is learned from on a smaller copy.
    """
    if len(projections) < LEAST_VIEWS:
        return module, {"adapt_gain": 0.0, "adapt_rule": f"{len(projections)} views are too few to learn from"}
    factor = coarsening(projections, grid)
    small, box = bin_projections(projections, factor), grid.coarser(factor)
    apart = held_out(len(projections))
    stay = np.setdiff1d(np.arange(len(projections)), apart)
    judge = hidden(module, small, box, stay, apart, weight)
    lessons = [hidden(module, small, box, np.setdiff1d(stay, stay[k::PARTS]), stay[k::PARTS], weight) for k in range(PARTS)]
    if judge is None or any(lesson is None for lesson in lessons):
        return module, {"adapt_gain": 0.0, "adapt_rule": "an empty volume"}
    learned, best, taken = _learned(module, [x for x in lessons if x is not None], judge, rounds)
    with torch.no_grad():
        before = float(judge.error(module))
    told = {"adapt_gain": 1 - best / before if before > 0 else 0.0, "adapt_rounds": taken}
    return learned, {**told, "adapt_rule": f"{len(apart)} of {len(projections)} views kept apart, grid coarser by {factor}"}


def _learned(module: Network, lessons: Sequence[Hidden], judge: Hidden, rounds: int) -> tuple[Network, float, int]:
    """The best network on the way, its error of the views kept apart, and after how many rounds it was found (0: the one given)."""
    pupil = copy.deepcopy(module)
    optimiser = torch.optim.Adam(pupil.parameters(), lr=RATE, betas=(0.9, 0.99))
    with torch.no_grad():
        kept, best, found = module, float(judge.error(module)), 0
        usual = [float(lesson.error(module)) for lesson in lessons]
    for count in range(1, rounds + 1):
        for place, (lesson, size) in enumerate(zip(lessons, usual, strict=True)):
            optimiser.param_groups[0]["lr"] = RATE * min(1.0, ((count - 1) * len(lessons) + place + 1) / WARM)
            optimiser.zero_grad(set_to_none=True)
            (lesson.error(pupil) / max(size, 1e-30)).backward()
            optimiser.step()
        with torch.no_grad():
            error = float(judge.error(pupil))
        if error < best:
            kept, best, found = copy.deepcopy(pupil), error, count
        elif count >= found + PATIENCE:
            break
    return kept, best, found


def hidden(module: Network, views: Projections, grid: Grid, given: np.ndarray, asked: np.ndarray, weight: TvWeight) -> Hidden | None:
    """The views ``asked``, to be predicted from the views ``given``; None for an empty volume."""
    device = next(module.parameters()).device
    some, wanted = views[given], views[asked]
    volume = weight.volume(some, grid)
    scale = grey_scale(volume)
    if scale == 0:
        return None
    ramp = np.sqrt(ramp_of_voxels(wanted, grid.voxel_mm, FINEST))
    rows, cols = (np.asarray(dct(np.eye(n), norm="ortho", axis=1)) for n in ramp.shape)
    filters = [rows.T[ramp.any(1)], (cols * ramp.max(0))[:, ramp.any(0)]]
    filters = [torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(device) for x in filters]
    told = as_learned(facts(some, grid, scale, weight.lambda_), module.known.cpu().numpy())
    shown = inputs(module, partial(left_over, some, grid), volume, scale, told)
    seen = torch.from_numpy(as_voxels_show(wanted, grid.voxel_mm)).to(device)
    return Hidden(shown, torch.from_numpy(told).to(device), scale, Operator(wanted.scan, grid), seen, *filters)
