"""The published FID and KID: X-rays that a generator invents, compared with X-rays of the training animals. They say nothing about any
scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import own_path
from ...base.plain import from_json, to_json
from ...base.shapes import Float
from ...data.pairs import Pair
from ...geometry import Grid, Scan
from ...nerf.field.naf import binned
from ...nerf.training.checkpoint import module_of, read_checkpoint
from ...nerf.training.learner import GenerativeLearner
from ...nerf.training.learners import find_learner, learners
from ..scores.compared import FeatureSets
from ..scores.distribution import Features, features_of
from ..scores.metric_table import distances_of
from ..scores.statistics import Interval
from ..sweeps.provenance import this_code
from .making_tasks import method_hash

FILE, PUBLISHED_COUNT = "samples.json", 1000


def measure_samples(
    results: Path,
    given: Mapping[str, Mapping[str, Any]],
    train: Sequence[Pair],
    size: int,
    line_window: tuple[float, float],
    features: Features | None,
    count: int = PUBLISHED_COUNT,
) -> None:
    """FID and KID of ``count`` samples of every generative method with a checkpoint, kept in ``results/samples.json``.

    They are compared with as many measured views of the training animals, drawn with a fixed seed; both are binned to ``size`` voxels
    across. With fewer than the published 1000 each cell says so. What exists already for the same checkpoint and settings, made by the same
    code, is not made again.
    """
    generative = {
        m: s["checkpoint"]
        for m, s in given.items()
        if m in learners() and isinstance(find_learner(m), GenerativeLearner) and s.get("checkpoint")
    }
    if features is None or not generative or not train:
        return
    found = read_samples(results)
    setting = {"size": size, "count": count, "features": features.label, "line_window": list(line_window), "code": this_code().name}
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
            sets = FeatureSets(target, features_of(images, line_window, features))
            note = f"{count} samples; published: {PUBLISHED_COUNT}" if count < PUBLISHED_COUNT else ""
            cells = {name: astuple(replace(cell, note=note)) for name, cell in distances_of("table2-compat", sets).items()}
            found[method] = {"made_from": keys[method], "cells": cells}
    with own_path(results / FILE) as temporary:
        temporary.write_text(to_json(found, indent=1), encoding="utf-8")


def read_samples(results: Path) -> dict[str, dict[str, Any]]:
    """What `measure_samples` kept; empty where there is none. InputError for a file that it did not make."""
    path = results / FILE
    if not path.exists():
        return {}
    try:
        found = from_json(path.read_text(encoding="utf-8"))
        if not all(len(cell) == 5 for entry in found.values() for cell in entry["cells"].values()):
            raise TypeError("its cells are not of five parts")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not what fewview wrote ({error})", remedy="delete it; the samples are drawn again") from error
    return found


def sample_cells(results: Path, method: str) -> dict[str, Interval]:
    """The cells in a method's row under table2-compat: FID, and KID with its spread over subsets. Empty for a
    method that invents nothing.
    """
    cells = read_samples(results).get(method, {}).get("cells", {})
    return {name: Interval(float(kept[0]), float(kept[1]), float(kept[2]), int(kept[3]), str(kept[4])) for name, kept in cells.items()}


def _measured(train: Sequence[Pair], size: int, count: int) -> tuple[Float[NDArray[np.float32], "image row col"], Any]:
    """``count`` views, equally many of each animal (to within one), on the detector of ``size`` voxels across, and the scan of the first
    animal.
    """
    random, images, first = np.random.default_rng(0), [], None
    for place, pair in enumerate(train):
        share = count // len(train) + (place < count % len(train))
        if not share:
            continue

        def some(scan: Scan, share: int = share) -> NDArray[np.intp]:
            return np.sort(random.choice(len(scan), min(share, len(scan)), replace=False))

        few = pair.projections(size, views=some)
        small = binned(few, Grid.across(few.scan, size).voxel_mm)
        first = binned(pair.projections(size), Grid.across(few.scan, size).voxel_mm).scan if first is None else first
        images.append(small.values)
    return np.concatenate(images), first
