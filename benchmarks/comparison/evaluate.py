"""What one task of a benchmark does: read the scan, take its views, reconstruct, score, and keep the pictures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...base.shapes import Float, FloatVolume, ViewIndices, Volume
from ...data import Projections
from ...data.pairs import Pair, find_pairs
from ...data.volumes.resample import resample
from ...geometry import Grid, views
from ...nerf.field.naf import binned
from ...recon import Method, load_method, reconstruct
from ...recon.run_method import thinned_history
from ..scores.compared import ImagePair, Yardstick
from ..scores.distribution import features_of
from ..scores.feature_networks import judges
from ..scores.metric_table import scores_of
from ..scores.perceptual import LEAST_PIXELS
from ..scores.scoring import all_scores
from .control_methods import CONTROLS, control_volume
from .task import PairTask

SELECTIONS = ("evenly", "random", "wedge")


@dataclass(frozen=True)
class Evaluation:
    """What all tasks of a sweep share: the data folder, the yardstick, and the networks for FID, KID and LPIPS.

    ``train`` are the animals whose Recon-CT the mean-volume control may see; ``features`` is a kind of `judges`. ``grey_fit`` and
    ``register`` bring each volume to its reference before it is compared, and the map and the motion are recorded. ``bin`` averages
    detector pixels while two of them fit into a voxel, for all methods alike, after the photons are thinned and before anything is scored.
    """

    data: Path
    window: tuple[float, float] | None = None
    line_window: tuple[float, float] = (0.0, 3.0)
    train: tuple[str, ...] = ()
    features: str = "none"
    keep_volumes: bool = False
    grey_fit: bool = False
    register: bool = False
    bin: bool = True

    def measured(self, tasks: Sequence[PairTask]) -> list[PairTask]:
        """The tasks with these conditions as part of their keys, so that a record made with another yardstick is not reused for them."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("data", "train")}
        seen = {"train": self.train}
        return [dataclasses.replace(t, scoring=shared | (seen if t.method in CONTROLS else {})) for t in tasks]

    def __call__(self, task: PairTask) -> dict[str, Any]:
        """Reconstruct and score; returns the measured part of the record."""
        pair = self.pair(task.animal, task.week)
        whole = _projections(pair)
        given_index = choose_views(whole, task)
        given = whole[given_index] if task.photons is None else thinned(whole[given_index], task.photons, task.seed)
        grid = Grid.across(whole.scan, task.size)
        if self.bin:
            whole, given = (binned(p, grid.voxel_mm) for p in (whole, given))
        reference = _reference(pair, grid)
        if task.method in CONTROLS:
            trained_on = [_reference(p, grid) for p in self.pairs() if p.animal in self.train and p.animal != task.animal]
            method = load_method(Method(task.method, lambda p, g, s, c: control_volume(task.method, p, g, trained_on)))
        else:
            method = load_method(task.method)
        rec = reconstruct(given, method, grid, check=False, **task.settings)
        if "interrupted" in rec.settings:  # after Ctrl-C this is the volume of the last step, which is not a result to keep
            raise KeyboardInterrupt
        yardstick = self.yardstick(pair)
        compared = all_scores(rec.volume, grid, reference, whole, given_index, yardstick)
        scores = {protocol: {**part} for protocol, part in compared.scores.items()}
        self._perceptual(scores, compared.images, yardstick)
        return {
            "arrays": self._kept(compared.volume, reference, compared.images, yardstick),
            "scores": scores,
            "alignment": compared.alignment,
            "seconds": rec.seconds,
            "settings": rec.settings,
            "history": thinned_history(rec.history),
            "given_views": given_index,
            "grid": repr(grid),
            "data_range": yardstick.data_range,
            "reference": "Recon-CT: FDK of all views, those given among them",
        }

    def pairs(self) -> list[Pair]:
        """All pairs of the data folder."""
        return list(_pairs(str(self.data), self.window))

    def pair(self, animal: str, week: int) -> Pair:
        """The pair of one animal and week."""
        found = {(p.animal, p.week): p for p in self.pairs()}
        if (animal, week) not in found:
            raise UnknownNameError("scan", f"{animal} week {week}", [p.name for p in found.values()])
        return found[animal, week]

    def yardstick(self, pair: Pair) -> Yardstick:
        """The yardstick with the window of the data set; bone is above 75/255 of it, as in BoneMet's own segmentation."""
        low, high = pair.window
        return Yardstick(pair.window, low + 75 / 255 * (high - low), self.line_window, grey_fit=self.grey_fit, register=self.register)

    def _perceptual(self, scores: dict[str, Any], images: Mapping[str, NDArray], yardstick: Yardstick) -> None:
        network = judges(self.features).perceptual
        for protocol, name, window in (("heldout-views", "views", yardstick.line_window), ("volume", "slices", yardstick.window)):
            if network is not None and name in images and min(images[name].shape[1:]) >= LEAST_PIXELS:
                pair = ImagePair(images[name], images[f"{name}_reference"], window, network)
                scores[protocol] |= scores_of(protocol, "images and a network", pair)

    def _kept(self, volume: NDArray, reference: NDArray, images: Mapping[str, NDArray], yardstick: Yardstick) -> dict[str, NDArray]:
        """The pictures for the page, and the features of all images, because FID and KID compare the images of all animals together."""
        kept: dict[str, NDArray] = {"volume": orthoslices(volume), "reference": orthoslices(reference)}
        extract = judges(self.features).features
        if extract is not None:
            windows = {"slices": yardstick.window, "views": yardstick.line_window}
            for name, stack in images.items():
                kept[f"features_{name}"] = features_of(stack, windows[name.partition("_")[0]], extract).numpy().astype(np.float32)
        if self.keep_volumes:
            kept["whole"] = volume.astype(np.float16)
        return kept


def choose_views(whole: Projections, task: PairTask) -> ViewIndices:
    """The indices of the views that the task gives to its method."""
    if task.selection == "evenly":
        return views.evenly(whole.scan, task.views)
    if task.selection == "random":
        return views.random(whole.scan, task.views, seed=task.seed)
    if task.selection == "wedge":
        return np.arange(len(whole))[: task.views]
    raise UnknownNameError("selection of views", task.selection, SELECTIONS)


def thinned(projections: Projections, photons: float, seed: int) -> Projections:
    """The scan as it would have been with ``photons`` in an unattenuated pixel: each counted photon is kept by chance (binomial, exact).

    This needs ``meta["photons"]``, the count with which the scan was made, and ``photons`` must not exceed it.
    """
    had = projections.meta.get("photons")
    if had is None:
        raise InputError("the scan does not say how many photons made it", expected="meta['photons']", remedy="leave the dose as it is")
    if not 0 < photons <= had:
        raise InputError(f"{photons:g} photons in a pixel", expected=f"more than 0 and at most {had:g}, those of the scan")
    counts = np.rint(had * np.exp(-projections.values.astype(np.float64))).astype(np.int64)
    kept = np.random.default_rng(seed).binomial(np.maximum(counts, 0), photons / had)
    values = -np.log(np.maximum(kept, 0.5) / photons)
    return Projections(values.astype(np.float32), projections.scan, {**projections.meta, "photons": photons})


def orthoslices(volume: FloatVolume) -> Float[NDArray[np.float16], "plane row col"]:
    """The three middle planes (axial, coronal, sagittal) in 1/mm, padded to one size."""
    nz, ny, nx = volume.shape
    planes = [volume[nz // 2], volume[:, ny // 2], volume[:, :, nx // 2]]
    side = max(volume.shape)
    out = np.zeros((3, side, side), dtype=np.float16)
    for plane, image in zip(out, planes, strict=True):
        top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
        plane[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


def make_tasks(
    pairs: Sequence[Pair],
    methods: Sequence[str],
    counts: Sequence[int],
    size: int,
    *,
    selections: Sequence[str] = ("evenly",),
    seeds: Sequence[int] = (0,),
    settings: dict[str, dict[str, Any]] | None = None,
    total_photons: float | None = None,
) -> list[PairTask]:
    """Tasks for scans x numbers of views x selections x methods x seeds. ``total_photons`` (in a pixel, over all views) keeps the dose
    constant.
    """
    tasks = []
    for pair in pairs:
        inputs = pair.fingerprint()
        for method in methods:
            extra = (settings or {}).get(method, {})
            file_hash = method_hash(method, extra)
            for count in counts:
                photons = None if total_photons is None else total_photons / count
                for selection in selections:
                    for seed in seeds if selection == "random" else seeds[:1]:
                        tasks.append(
                            PairTask(pair.animal, pair.week, count, selection, seed, method, size, extra, photons, inputs, file_hash)
                        )
    return tasks


def method_hash(method: str, settings: dict[str, Any]) -> str:
    """SHA-256 of a method's own file and of its checkpoint, so that a changed one is run again; empty for a built-in method."""
    from ...base.record import sha256

    path = method.rpartition(":")[0]
    parts = [sha256(path)] if path.endswith(".py") and Path(path).is_file() else []
    checkpoint = settings.get("checkpoint")
    if checkpoint and Path(checkpoint).is_file():
        parts.append(sha256(checkpoint))
    return " ".join(parts)


@lru_cache(maxsize=8)
def _pairs(data: str, window: tuple[float, float] | None) -> tuple[Pair, ...]:
    return tuple(find_pairs(data, window=window))


def _state(folder: Path) -> tuple[int, int]:
    """A value that changes when a file of the folder changes, so that what is kept in memory is read again."""
    times = [entry.stat().st_mtime_ns for entry in os.scandir(folder)]
    return len(times), max(times, default=0)


def _projections(pair: Pair) -> Projections:
    return _read_projections(pair, _state(pair.xrays))


def _reference(pair: Pair, grid: Grid) -> Volume:
    return _read_reference(pair, grid, _state(pair.recon))


@lru_cache(maxsize=2)
def _read_projections(pair: Pair, state: tuple[int, int]) -> Projections:
    return pair.projections()


@lru_cache(maxsize=64)
def _read_reference(pair: Pair, grid: Grid, state: tuple[int, int]) -> Volume:
    volume, own = pair.reference()
    if volume.min() == volume.max():
        raise InputError(
            f"the Recon-CT in {pair.recon} is constant", expected="slices with structure", remedy="fetch or reconstruct it again"
        )
    return resample(volume, own, grid)
