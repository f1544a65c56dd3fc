"""The checkpoints of the methods that learn, found in a folder or trained first on the training animals of the data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base import InputError
from ...data.pairs import Pair
from ...recon import METHODS

if TYPE_CHECKING:
    from ...nerf.training.learner import Example

Say = Callable[[str], None]


def learned(methods: Sequence[str]) -> list[str]:
    """Those of the named methods (all registered ones where none is named) that need a checkpoint."""
    return [name for name in (methods or METHODS) if name in METHODS and METHODS[name].trained]


def checkpoints_in(folder: Path, methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """Method -> {"checkpoint": path} for every ``METHOD.pt`` in ``folder``."""
    return {name: {"checkpoint": str(folder / f"{name}.pt")} for name in learned(methods) if (folder / f"{name}.pt").is_file()}


def train_missing(
    folder: Path,
    methods: Sequence[str],
    parts: Mapping[str, Sequence[Pair]],
    size: int,
    *,
    steps: int | None = None,
    preset: str = "small",
    device: str = "cpu",
    say: Say = print,
) -> dict[str, str]:
    """Train every method that has no ``METHOD.pt`` in ``folder``, as its ``preset`` says (or for ``steps``), on ``device``.

    Training that was stopped is resumed. Animals of the part "test" are not read. Returns the reason for which a method could not be
    trained, for those for which there is one; the others are trained all the same.
    """
    from ...nerf.training.examples import load_examples

    missing = [name for name in learned(methods) if not (folder / f"{name}.pt").is_file()]
    failed: dict[str, str] = {}
    if not missing:
        return failed
    folder.mkdir(parents=True, exist_ok=True)
    training, held = (load_examples(parts[part], size) for part in ("train", "validation"))
    for name in missing:
        try:
            settings = {"steps": steps, "device": device}
            _train(name, folder / f"{name}.pt", training, held, preset, settings, say)
        except InputError as error:
            failed[name] = str(error)
            say(f"{name} could not be trained: {error}")
    return failed


def _train(
    name: str, path: Path, training: Sequence[Example], held: Sequence[Example], preset: str, given: Mapping[str, Any], say: Say
) -> None:
    """One method; the state of an earlier run that was cut off is taken up."""
    from ...nerf.training.learners import find_learner
    from ...nerf.training.settings import TrainSettings
    from ...nerf.training.train_network import train

    learner = find_learner(name)
    settings = TrainSettings.of(learner, preset, **given)
    unfinished = path.with_name(path.name + ".unfinished")
    say(f"training {name} ({preset}, {settings.steps} steps, {settings.device}) on {len(training)} scans")
    train(learner, training, held, settings, unfinished, resume=unfinished.with_name(unfinished.name + ".state").exists(), force=True)
    unfinished.replace(path)


def preset_for(asked: str | None, device: str) -> str:
    """The preset to train with: what was asked for, or the paper's on a GPU and a small stand-in on a CPU."""
    return asked or ("paper" if device.startswith("cuda") else "small")


FULL_SIZE = ("paper", "published", "xray")  # how the names of presets of full size begin


def stand_ins(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A warning for each checkpoint that was not trained as its paper preset says, so that no page shows it as the paper's network."""
    from ...nerf.training.checkpoint import read_checkpoint
    from ...nerf.training.learners import find_learner
    from ...nerf.training.settings import TrainSettings

    told = []
    for name, settings in found.items():
        if "checkpoint" not in settings:
            continue
        made, paper = read_checkpoint(settings["checkpoint"]), TrainSettings.of(find_learner(name), "paper").steps
        steps = int(made.settings.get("steps", 0))
        if not made.preset.startswith(FULL_SIZE) or steps < paper:
            told.append(
                f"WARNING: {name} is a stand-in: preset {made.preset}, {steps} steps on {made.settings.get('device', '?')}; "
                f"the paper preset has {paper} and needs a GPU (--preset paper --device cuda)."
            )
    return told


def on_device(methods: Sequence[str], device: str) -> dict[str, dict[str, str]]:
    """Method -> {"device": device} for the methods that can work on a GPU, where one is asked for."""
    if device == "cpu":
        return {}
    known = [name for name in (methods or METHODS) if name in METHODS]
    return {name: {"device": device} for name in known if any(f.name == "device" for f in fields(METHODS[name].Settings))}
