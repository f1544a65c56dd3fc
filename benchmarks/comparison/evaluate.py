"""What one task of a benchmark does: read the scan, take its views, reconstruct, score, and keep the pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...base.shapes import Float, FloatVolume, ViewIndices, Volume
from ...data import Projections, Reconstruction
from ...data.pairs import AS_STATED, AsRead, Pair
from ...geometry import Grid
from ...nerf.field.naf import binned
from ...recon import Method, load_method, reconstruct
from ...recon.run_method import thinned_history
from ..scores.against.references import judged_by
from ..scores.compared import ImagePair, Yardstick
from ..scores.distribution import features_of
from ..scores.metric_table import SECTIONS, scores_of
from ..scores.networks.feature_networks import judges
from ..scores.perceptual import LEAST_PIXELS
from ..scores.scoring import Made, Maps, all_scores
from .choosing.map_keys import digest, map_key
from .control_methods import CONTROLS, TV_FDK, classical_channels, control_volume
from .given_views import choose_views
from .loaded import Subject, mean_references, pairs_in, subject_of, views_of
from .own_rendering import own_rendering
from .pair_task import PairTask

_OTHERWISE_KNOWN = ("data", "as_read", "train", "maps", "shelf")  # fields that no key needs, or that keys have in another form


@dataclass(frozen=True)
class Scene:
    """What a task works on: the ``whole`` scan, the views that are ``given`` to the method (with these ``index``), and the subject."""

    whole: Projections
    given: Projections
    index: ViewIndices
    subject: Subject


@dataclass(frozen=True)
class Evaluation:
    """What all tasks of a sweep share: the data folder, the yardstick, and the networks for FID, KID and LPIPS.

    ``train`` are the animals whose references the mean-volume control may see, ``bones`` the bone threshold of each reference, ``maps`` the
    linear maps for each `map_key`, and ``features`` is a kind of `judges`. How the data is ``as_read`` is part of each pair's fingerprint.

    ``prepare`` corrects the views as the reference was, for all methods alike; without it they are as measured. ``grey_fit`` and
    ``register`` bring each volume to its reference before it is compared, and the map and the motion are recorded. ``bin`` averages
    detector pixels while two of them fit into a voxel, for all methods alike, before anything is scored. The ``shelf`` is a folder where
    workers keep prepared views for one another.
    """

    data: Path
    as_read: AsRead = AS_STATED
    line_window: tuple[float, float] = (0.0, 3.0)
    train: tuple[str, ...] = ()
    features: str = "none"
    keep_volumes: bool = False
    grey_fit: bool = False
    register: bool = False
    bin: bool = True
    prepare: bool = True
    bones: Mapping[str, float] = field(default_factory=dict)
    maps: Mapping[str, Maps] = field(default_factory=dict)
    shelf: Path | None = None

    def measured(self, tasks: Sequence[PairTask]) -> list[PairTask]:
        """The tasks with these conditions as part of their keys, so that a record made with another yardstick is not reused for them."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _OTHERWISE_KNOWN}
        seen = {"train": self.train}
        return [
            dataclasses.replace(t, scoring=shared | {"map": digest(self.maps.get(map_key(t)))} | (seen if t.method in CONTROLS else {}))
            for t in tasks
        ]

    def __call__(self, task: PairTask) -> dict[str, Any]:
        """Reconstruct and score; returns the measured part of the record."""
        scene = self.scene(task)
        made, rec = self.made(task, scene)
        maps = self.maps.get(map_key(task), {})
        if not made.raw:
            first = maps.get(judged_by(scene.subject.references), {})
            if "linear" not in first:
                raise InputError(f"{task.method} has no linear map", expected="a map fitted on training animals", remedy="see fit_animals")
            made = dataclasses.replace(made, volume=first["linear"](made.channels))
        subject, yardstick = scene.subject, self.yardstick
        compared = all_scores(made, subject.grid, subject.references, scene.whole, scene.index, yardstick, subject.body, maps)
        scores = {section: {**part} for section, part in compared.scores.items()}
        self._perceptual(scores, compared.images, yardstick)
        shown = subject.references[judged_by(subject.references)].volume
        return {
            "arrays": self._kept(compared.volume, shown, compared.images, yardstick),
            "scores": scores,
            "alignment": compared.alignment,
            "seconds": rec.seconds,
            "settings": rec.settings,
            "history": thinned_history(rec.history),
            "given_views": scene.index,
            "grid": repr(subject.grid),
            "data_range": yardstick.data_range,
            "bones": self.bones,
            "corrections": scene.given.meta.get("corrections", ()),
        }

    @property
    def yardstick(self) -> Yardstick:
        """How volumes and views are compared; each reference brings its own bone threshold."""
        return Yardstick(float("nan"), line_window=self.line_window, grey_fit=self.grey_fit, register=self.register)

    def scene(self, task: PairTask) -> Scene:
        """What a task works on."""
        pair = self.pair(task.animal, task.week)
        whole = views_of(pair, task.size, self.prepare, shelf=self.shelf)
        index = choose_views(whole, task)
        given = (whole if task.photons is None else views_of(pair, task.size, self.prepare, task.photons, task.seed))[index]
        subject = subject_of(pair, task.size, self.bones, whole.scan)
        if self.bin:
            whole, given = (binned(p, subject.grid.voxel_mm) for p in (whole, given))
        return Scene(whole, given, index, subject)

    def made(self, task: PairTask, scene: Scene) -> tuple[Made, Reconstruction]:
        """The volume of the task's method, or the volumes of a control that needs several, and the record of the reconstruction."""
        grid, channels = scene.subject.grid, []

        def both(projections: Projections, grid: Grid, settings: Any, callbacks: Any) -> Volume:
            channels.extend(classical_channels(projections, grid))
            return channels[0]

        method = load_method(Method(task.method, both)) if task.method == TV_FDK else self._method(task, grid)
        rec = reconstruct(scene.given, method, grid, check=False, **task.settings)
        if "interrupted" in rec.settings:  # after Ctrl-C this is the volume of the last step, which is not a result to keep
            raise KeyboardInterrupt
        if channels:
            return Made(rec.volume, tuple(channels), raw=False), rec
        own = own_rendering(task.method, task.settings, scene.given, grid) if len(scene.given) == 1 else None
        return Made.of(rec.volume, own), rec

    def _method(self, task: PairTask, grid: Grid) -> Method:
        if task.method not in CONTROLS:
            return load_method(task.method)
        seen = [p for p in self.pairs() if p.animal in self.train and p.animal != task.animal]
        trained_on = mean_references(seen, grid)
        return load_method(Method(task.method, lambda p, g, s, c: control_volume(task.method, p, g, trained_on)))

    def pairs(self) -> list[Pair]:
        """All pairs of the data folder."""
        return pairs_in(self.data, self.as_read)

    def pair(self, animal: str, week: int) -> Pair:
        """The pair of one animal and week."""
        found = {(p.animal, p.week): p for p in self.pairs()}
        if (animal, week) not in found:
            raise UnknownNameError("scan", f"{animal} week {week}", [p.name for p in found.values()])
        return found[animal, week]

    def _perceptual(self, scores: dict[str, Any], images: Mapping[str, NDArray], yardstick: Yardstick) -> None:
        network = judges(self.features).perceptual
        for section, name, window in (("heldout-views", "views", yardstick.line_window), (judged_by(scores), "slices", yardstick.window)):
            if network is not None and name in images and min(images[name].shape[1:]) >= LEAST_PIXELS:
                pair = ImagePair(images[name], images[f"{name}_reference"], window, network)
                scores[section] |= scores_of(SECTIONS[section], "images and a network", pair)

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
