"""``python -m fewview.nerf.weights METHOD CHECKPOINT OUT``: a checkpoint as it is shipped, with its hash."""

from __future__ import annotations

import sys

from ...base import InputError
from ..training.checkpoint import read_checkpoint
from . import SHA256, shrink


def main(name: str, given: str, out: str) -> None:
    """Write the small file and say whether it is the one that this version ships."""
    checkpoint = read_checkpoint(given)
    if checkpoint.method != name:
        raise InputError(f"{given} was trained for {checkpoint.method}", expected=f"a checkpoint of {name}")
    found = shrink(checkpoint, out)
    print(f"wrote {out}: SHA-256 {found}, {'the same as' if found == SHA256.get(name) else 'not'} the file that this version ships")


if __name__ == "__main__":
    main(*sys.argv[1:4])
