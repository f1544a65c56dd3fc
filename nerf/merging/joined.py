"""Join weights of `tvnet` as members of one network: ``python -m fewview.nerf.merging.joined A.pt B.pt --out joined.pt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from ...base import InputError
from ...base.settings import run_program
from ..patchwise.members import MEMBER, Members
from ..training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from .teachers import known_to_any


def joined(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """One checkpoint whose members are those of several of the preset `scales`, or are these themselves. What is known is what any knows.

    Raises `InputError` where their networks differ in size or there are fewer than two.
    """
    if len(checkpoints) < 2:
        raise InputError(f"{len(checkpoints)} checkpoints", expected="two or more to join")
    sizes = [size_of_member(c) for c in checkpoints]
    if sizes[0] is None or any(size != sizes[0] for size in sizes):
        told = ", ".join(f"{c.method} {dict(c.architecture)}" for c in checkpoints)
        raise InputError(
            f"these cannot be members of one network: {told}", expected="tvnet of the presets scales or members, all of one size"
        )
    parts = [part for c in checkpoints for part in parts_of(c)]
    state = {f"{MEMBER}{k}.{name}": value for k, part in enumerate(parts) for name, value in part.items()}
    beside = {name: value for name, value in checkpoints[0].state.items() if not name.startswith("net.")}
    state |= {**beside, "known": known_to_any(checkpoints)}
    architecture = asdict(Members(**sizes[0], members=len(parts)))
    data = {f"{part} of {k}": of for k, c in enumerate(checkpoints) for part, of in c.data.items()}
    return replace(checkpoints[0], preset="members", architecture=architecture, data=data, state=state)


def size_of_member(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The size of a network of the preset `scales`, or of the members of one of the preset `members`; None for any other."""
    size = {key: value for key, value in checkpoint.architecture.items() if key != "members"}
    return size if checkpoint.method == "tvnet" and set(size) == {"fine", "middle", "coarse"} else None


def parts_of(checkpoint: Checkpoint) -> list[Mapping[str, Any]]:
    """The weights of each member of a checkpoint, by their names in a `ScaleNetwork`."""
    count = int(checkpoint.architecture.get("members", 0))
    begins = [f"{MEMBER}{k}." for k in range(count)] or ["net."]
    return [{name[len(b) :]: value for name, value in checkpoint.state.items() if name.startswith(b)} for b in begins]


def main(checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path, force: bool = False) -> None:
    """Write the checkpoint of a network whose members are those of the given ones.

    Args:
        checkpoints: two or more checkpoints of `tvnet` of one size.
        out: the checkpoint to write.
        force: replace the output if fewview wrote it.
    """
    save_checkpoint(out, joined([read_checkpoint(path) for path in checkpoints]), force=force)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_program(main)
