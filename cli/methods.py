"""`fewview methods`: the methods there are, and all settings."""

from __future__ import annotations

import tyro


def methods(name: tyro.conf.Positional[str] = "", /) -> None:
    """List the methods with their papers, or show one of them with its settings, defaults, units and bounds.

    What else can be set by NAME=VALUE: `corrections` (recon --correct), `physics` (simulate --physics), `training` (train --set).

    Examples:
      fewview methods
      fewview methods fista_tv
      fewview methods physics
      fewview methods my_file.py:METHOD

    Args:
        name: a method, my_file.py:my_function, corrections, physics, or training; by default a list of all methods.
    """
    from ..pipeline.explained import account, overview

    for line in account(name) if name else overview():
        print(line)
    if not name:
        print("\nfewview methods NAME lists the settings of one.")
