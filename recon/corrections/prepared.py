"""The corrections that made the reference of a data set, applied to the views: once, and the same for every method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data import Projections
from ...data.pairs import Pair
from .apply import correct
from .beam_hardening import linearise
from .settings import Account, Corrections

STEPS = ("dead_pixels", "rings", "scatter", "smoothing", "beam_hardening", "bone_hardening")  # that act on views


def prepared(projections: Projections, stated: Mapping[str, Any] | None) -> tuple[Projections, Account]:
    """The whole scan with the corrections of its reference, and the account of them; unchanged where none are ``stated``.

    All views are corrected together, because rings are estimated from the whole scan, as for the reference. Corrections of the volume (a
    median) are not part of it.
    """
    if not stated:
        return projections, []
    return correct(projections, Corrections().changed(**stated))


def prepared_views(pair: Pair, size: int | None = None) -> Projections:
    """All views of a pair, corrected as its Recon-CT was where the data set states how; ``meta["corrections"]`` has the account.

    They are binned as they are read for volumes of ``size`` voxels across (`Pair.binning_for`).
    """
    return prepared(pair.projections(size), pair.corrections)[0]


def prepared_in_words(stated: Mapping[str, Any] | None) -> str:
    """What every method was given, for pages and records.

    >>> prepared_in_words({"rings": 5, "beam_hardening": 30.0, "scatter": 0})
    'The views were corrected as the reference was, once and for all methods alike: rings 5, beam_hardening 30.'
    """
    on = {name: value for name, value in (stated or {}).items() if name in STEPS and value}
    if not on:
        return "The views are as measured: no correction was applied."
    listed = ", ".join(f"{name} {value:g}" for name, value in on.items())
    return f"The views were corrected as the reference was, once and for all methods alike: {listed}."


def straightened(projections: Projections, percent: float) -> Projections:
    """The views linearised by ``percent``, or unchanged where their account says that beam hardening was corrected already.

    The account of the result says so, and the same views are not linearised twice.
    """
    account = projections.meta.get("corrections", ())
    if any(entry["step"] in ("beam_hardening", "bone_hardening") for entry in account):
        return projections
    done = {"step": "beam_hardening", "percent": percent}
    return Projections(linearise(projections.values, percent), projections.scan, {**projections.meta, "corrections": [*account, done]})
