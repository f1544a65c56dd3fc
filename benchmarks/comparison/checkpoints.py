"""The checkpoints of the methods that learn, found in a folder or trained first on the training animals of the data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...data.pairs import Pair
from ...recon import METHODS

Say = Callable[[str], None]


def learned(methods: Sequence[str]) -> list[str]:
    """Those of the named methods (all registered ones where none is named) that need a checkpoint."""
    return [name for name in (methods or METHODS) if name in METHODS and METHODS[name].trained]


def checkpoints_in(folder: Path, methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """Method -> {"checkpoint": path} for every ``METHOD.pt`` in ``folder``."""
    return {name: {"checkpoint": str(folder / f"{name}.pt")} for name in learned(methods) if (folder / f"{name}.pt").is_file()}


def train_missing(
    folder: Path, methods: Sequence[str], parts: Mapping[str, Sequence[Pair]], size: int, *, steps: int | None = None, say: Say = print
) -> None:
    """Train every method that has no ``METHOD.pt`` in ``folder``, as its small preset says (or for ``steps``). Stopped training is resumed.

    Animals of the part "test" are not read.
    """
    from ...nerf.training.examples import load_examples
    from ...nerf.training.learners import find_learner
    from ...nerf.training.settings import TrainSettings
    from ...nerf.training.train_network import train

    missing = [name for name in learned(methods) if not (folder / f"{name}.pt").is_file()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    training, held = (load_examples(parts[part], size) for part in ("train", "validation"))
    for name in missing:
        learner, path = find_learner(name), folder / f"{name}.pt"
        settings = TrainSettings.of(learner, steps=steps)
        unfinished = path.with_name(path.name + ".unfinished")
        say(f"training {name} (small, {settings.steps} steps) on {len(training)} scans")
        train(learner, training, held, settings, unfinished, resume=unfinished.with_name(unfinished.name + ".state").exists(), force=True)
        unfinished.replace(path)
