"""``python -m fewview.nerf.weights METHOD CHECKPOINT OUT``: a checkpoint as it is shipped, with its hash."""

from __future__ import annotations

from typing import Annotated

import tyro

from ...base import InputError
from ...base.settings import run_program
from ..training.checkpoint import read_checkpoint
from . import SHA256, shrink

Word = Annotated[str, tyro.conf.Positional]


def main(name: Word, given: Word, out: Word, force: bool = False) -> None:
    """Write the small file and say whether it is the one that this version ships.

    Args:
        name: the method.
        given: its checkpoint.
        out: the file to write.
        force: replace the output if fewview wrote it.
    """
    checkpoint = read_checkpoint(given)
    if checkpoint.method != name:
        raise InputError(f"{given} was trained for {checkpoint.method}", expected=f"a checkpoint of {name}")
    found = shrink(checkpoint, out, force=force)
    print(f"wrote {out}: SHA-256 {found}, {'the same as' if found == SHA256.get(name) else 'not'} the file that this version ships")


if __name__ == "__main__":
    run_program(main)
