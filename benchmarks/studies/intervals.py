"""What the intervals of `fewview recon --std` are worth, on simulated scans of real volumes whose truth is known.

``fewview bench intervals --data FOLDER``. For each method and kind of resampling: how often ``volume +- z std`` holds the truth, and
the factor on ``std`` that would make it the nominal share. The factor is then taken from half of the volumes and tried on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...geometry import views
from ...recon.uncertainty import coverage, resampled_std
from .classical import VOLUMES, Case, find_volume, make_case

OBJECT = 0.01  # 1/mm: what lies above is object, not air
REGIONS = ("field of view", "object")


@dataclass(frozen=True)
class IntervalPlan:
    """Volumes x methods x kinds of resampling, at one number of views. ``level`` is the nominal share of truths inside."""

    data: Path
    volumes: Sequence[str] = VOLUMES
    methods: Sequence[str] = ("fdk", "pdhg_tv")
    kinds: Sequence[str] = ("views", "rays")
    views: int = 26
    size: int = 64
    replicas: int = 8
    level: float = 0.9


@dataclass(frozen=True)
class Worth:
    """One volume, method, kind and region: the share of truths inside the interval, and with ``std`` times another factor."""

    volume: str
    method: str
    kind: str
    region: str
    share: float
    factor: float
    share_with: Callable[[float], float]


def measure(plan: IntervalPlan, tell: Callable[[str], None] = print) -> list[Worth]:
    """Every cell of the plan."""
    found: list[Worth] = []
    for name in plan.volumes:
        case = make_case(find_volume(plan.data, name), plan.size)
        for worth in _worths(plan, case):
            tell(f"{name} {worth.method} {worth.kind} {worth.region}: {worth.share:.2f}, x {worth.factor:.2f}")
            found.append(worth)
    return found


def _worths(plan: IntervalPlan, case: Case) -> Iterator[Worth]:
    part = case.scan[views.evenly(case.scan.scan, plan.views)]
    masks = dict(zip(REGIONS, (case.inside, case.inside & (case.truth > OBJECT)), strict=True))
    for method in plan.methods:
        for kind in plan.kinds:
            rec = resampled_std(part, method, case.grid, kind=kind, replicas=plan.replicas)
            if rec.std is None:
                raise InputError(f"{method} has no standard deviation")
            for region, mask in masks.items():
                ratio = _ratios(rec.volume, rec.std, case.truth, mask)
                share, factor = coverage(rec.volume, rec.std, case.truth, plan.level, mask)
                yield Worth(case.name, method, kind, region, share, factor, _share_of(ratio, plan.level))


def _ratios(volume: NDArray[np.float32], std: NDArray[np.float32], truth: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray:
    """|error| / std of the voxels of a mask."""
    return (np.abs(volume - truth)[mask] / np.maximum(std[mask], 1e-30)).astype(np.float32)


def _share_of(ratio: NDArray[np.float32], level: float) -> Callable[[float], float]:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    return lambda factor: float((ratio <= z * factor).mean())


def interval_table(found: Sequence[Worth], plan: IntervalPlan) -> str:
    """As Markdown: shares and factors over all volumes, and the share on the second half with the mean factor of the first half."""
    names = list(dict.fromkeys(w.volume for w in found))
    learn, test = names[: len(names) // 2], names[len(names) // 2 :]
    lines = [
        f"{len(names)} volumes, {plan.size}^3 voxels, {plan.views} views, {plan.replicas} replicas; nominal share {plan.level:g}.",
        "",
        f"| method | resampled | where | share inside (least to most) | factor for {plan.level:g} | factor of {len(learn)} volumes "
        f"| share inside on the other {len(test)} with it |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, kind, region in dict.fromkeys((w.method, w.kind, w.region) for w in found):
        part = [w for w in found if (w.method, w.kind, w.region) == (method, kind, region)]
        shares = [w.share for w in part]
        known = [w.factor for w in part if w.volume in learn]
        end = "| | |"
        if known:
            factor = float(np.mean(known))
            after = [w.share_with(factor) for w in part if w.volume in test]
            end = f"| {factor:.2f} | {np.mean(after):.3f} ({min(after):.3f} to {max(after):.3f}) |"
        lines.append(
            f"| {method} | {kind} | {region} | {np.mean(shares):.3f} ({min(shares):.3f} to {max(shares):.3f}) "
            f"| {np.mean([w.factor for w in part]):.2f} {end}"
        )
    return "\n".join(lines)
