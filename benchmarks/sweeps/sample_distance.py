"""The published FID and KID: X-rays that a generator invents against X-rays of the training animals. They say nothing of any scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from ...base.files import own_path
from ...base.plain import from_json, to_json
from ...data.pairs import Pair
from ...geometry import Grid, Scan
from ...nerf.field.naf import binned
from ...nerf.training.checkpoint import module_of, read_checkpoint
from ...nerf.training.learner import GenerativeLearner
from ...nerf.training.learners import find_learner, learners
from ..scores.distribution import Features, features_of, frechet_distance, kernel_distance
from ..scores.statistics import Interval
from .evaluate import method_hash

FILE = "samples.json"


def measure_samples(
    results: Path,
    given: Mapping[str, Mapping[str, Any]],
    train: Sequence[Pair],
    size: int,
    line_window: tuple[float, float],
    features: Features | None,
    count: int = 128,
) -> None:
    """FID and KID of ``count`` samples of every generative method with a checkpoint, kept in ``results/samples.json``.

    The other set are as many measured views of the training animals, drawn with a fixed seed; both binned to ``size`` voxels across.
    What is there already for the same checkpoint and setting is not made again.
    """
    generative = {
        m: s["checkpoint"]
        for m, s in given.items()
        if m in learners() and isinstance(find_learner(m), GenerativeLearner) and s.get("checkpoint")
    }
    if features is None or not generative or not train:
        return
    found = read_samples(results)
    setting = {"size": size, "count": count, "features": features.label, "line_window": list(line_window)}
    keys = {m: {**setting, "checkpoint": method_hash(m, {"checkpoint": path})} for m, path in generative.items()}
    missing = [m for m in generative if found.get(m, {}).get("made_from") != keys[m]]
    if missing:
        real, scan = _measured(train, size, count)
        target = features_of(real, line_window, features)
        for method in missing:
            learner = find_learner(method)
            assert isinstance(learner, GenerativeLearner)
            module = module_of(read_checkpoint(generative[method]), learner, name=generative[method]).eval()
            with torch.no_grad():
                images = learner.samples(module, scan, count, torch.Generator().manual_seed(0))
            fake = features_of(images, line_window, features)
            kid, spread = kernel_distance(target, fake)
            found[method] = {"made_from": keys[method], "fid": frechet_distance(target, fake), "kid": kid, "kid_spread": spread}
    with own_path(results / FILE) as temporary:
        temporary.write_text(to_json(found, indent=1), encoding="utf-8")


def read_samples(results: Path) -> dict[str, dict[str, Any]]:
    """What `measure_samples` kept; empty where nothing was."""
    path = results / FILE
    return from_json(path.read_text(encoding="utf-8")) if path.exists() else {}


def sample_cells(results: Path, method: str) -> dict[str, Interval]:
    """The cells of a method's row under table2-compat: FID, and KID with its spread over subsets; empty for one that invents nothing."""
    found = read_samples(results).get(method)
    if found is None:
        return {}
    nan, kid, spread = float("nan"), found["kid"], found["kid_spread"]
    return {"fid": Interval(found["fid"], nan, nan, 1), "kid": Interval(kid, kid - spread, kid + spread, 1)}


def _measured(train: Sequence[Pair], size: int, count: int) -> tuple[Float[NDArray[np.float32], "image row col"], Any]:
    """``count`` views, as many of every animal (but for one), on the detector of ``size`` voxels across; and the scan of the first."""
    random, images, first = np.random.default_rng(0), [], None
    for place, pair in enumerate(train):
        share = count // len(train) + (place < count % len(train))
        if not share:
            continue

        def some(scan: Scan, share: int = share) -> NDArray[np.intp]:
            return np.sort(random.choice(len(scan), min(share, len(scan)), replace=False))

        few = pair.projections(views=some)
        small = binned(few, Grid.across(few.scan, size).voxel_mm)
        first = binned(pair.projections(), Grid.across(few.scan, size).voxel_mm).scan if first is None else first
        images.append(small.values)
    return np.concatenate(images), first
