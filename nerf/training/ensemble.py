"""How far a learned or fitted volume depends on chance: mean and standard deviation of members that differ in seed, dropout or training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base import InputError
from ...data import Projections, Reconstruction
from ...geometry import Grid
from ...recon import Method, load_method, reconstruct
from ...recon.method import Callback
from ...recon.uncertainty import moments


def ensemble_std(
    projections: Projections,
    method: str | Method | Callable[..., Any] = "naf",
    grid: Grid | None = None,
    *,
    members: int = 8,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Reconstruction:
    """The mean of the members, with their standard deviation ``std`` [z, y, x] in 1/mm.

    The members of a method with the setting ``dropout`` (`unet`) leave out different channels (Gal and Ghahramani 2016). Several values of
    ``checkpoint`` of one method in a list are members of their own, without dropout (Lakshminarayanan et al. 2017). Members of other
    methods with a ``seed`` (`naf`) start from different seeds. ``callbacks`` follow the first member. What all members share, such as an
    artefact that they all invent, has no spread; `fewview.recon.uncertainty.coverage` measures what an interval is worth.

    Raises InputError for fewer than 2 members, or for a method without a seed, or on which the seed has no influence.
    """
    chosen = load_method(method)
    names = {f.name for f in dataclasses.fields(chosen.Settings)}
    files = settings.get("checkpoint")
    if isinstance(files, list | tuple):
        varied: list[dict[str, Any]] = [{"checkpoint": file} for file in files]
        kind = "checkpoints"
    elif "seed" in names:
        first = int(settings.get("seed", 0))
        kind = "dropout" if "dropout" in names else "seeds"
        varied = [{"seed": first + k} | ({"dropout": True} if kind == "dropout" else {}) for k in range(int(members))]
    else:
        raise InputError(
            f"method {chosen.name} has no seed: its members would all be the same",
            expected="naf, unet, or another method with the setting seed",
            remedy="see fewview.recon.uncertainty.resampled_std",
        )
    if len(varied) < 2:
        raise InputError(f"an ensemble of {len(varied)} members", expected="2 or more")
    runs: list[Reconstruction] = []

    def volumes() -> Any:
        for k, change in enumerate(varied):
            rec = reconstruct(projections, chosen, grid, callbacks if k == 0 else (), check=k == 0, **{**settings, **change})
            if k == 0:
                runs.append(rec)
            yield rec.volume

    shape = Grid.fit(projections.scan).shape if grid is None else grid.shape
    mean, squares = moments(volumes(), shape)
    std = np.sqrt(squares / (len(varied) - 1)).astype(np.float32)
    if not std.any():
        raise InputError(
            f"the {len(varied)} members of {chosen.name} are all the same: nothing in it is left to chance",
            expected="naf, unet, or several checkpoints",
            remedy="see fewview.recon.uncertainty.resampled_std (--std-kind views)",
        )
    record = {**runs[0].settings, **({"checkpoint": list(files)} if kind == "checkpoints" and files else {})}
    record |= {"std_kind": kind, "std_members": len(varied)}
    return dataclasses.replace(runs[0], volume=mean.astype(np.float32), std=std, settings=record)
