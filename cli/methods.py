"""`fewview methods`: what there is to reconstruct with, and every setting of it."""

from __future__ import annotations

import tyro


def methods(name: tyro.conf.Positional[str] = "", /) -> None:
    """The methods with their papers; or one of them with its settings, defaults, units and bounds.

    Also what else can be set by NAME=VALUE: `corrections` (recon --correct), `physics` (simulate --physics), `training` (train --set).

    Examples:
      fewview methods
      fewview methods fista_tv
      fewview methods physics
      fewview methods my_file.py:METHOD

    Args:
        name: a method, my_file.py:my_function, corrections, physics, or training; by default all of them in a line each.
    """
    from ..pipeline.explained import account, overview

    for line in account(name) if name else overview():
        print(line)
    if not name:
        print("\nfewview methods NAME lists the settings of one.")
