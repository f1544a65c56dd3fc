"""The networks on whose features FID, KID and LPIPS are based: the published ones, random ones that are labelled as such, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ....base import MissingBackendError, UnknownNameError
from ....nerf.mednerf.lpips import Perceptual, load_lpips
from ..distribution import Features, inception_features, random_features
from ..perceptual import random_perceptual

ABSENT = "weights not here"
KINDS = ("inception", "random", "none")


@dataclass(frozen=True)
class Judges:
    """``features`` for FID and KID and ``perceptual`` for LPIPS, None where there is none; ``labels`` maps a metric to the head of its
    column.

    ``remarks`` say how to get what is missing.
    """

    features: Features | None
    perceptual: Perceptual | None
    labels: Mapping[str, str]
    remarks: tuple[str, ...] = ()


@lru_cache(maxsize=3)
def judges(kind: str) -> Judges:
    """The networks of a ``kind``: "inception" (the published weights: Inception for FID and KID, AlexNet for LPIPS), "random", or "none".

    Where weights are missing, the columns say so, and nothing takes their place. Raises UnknownNameError for another kind.
    """
    if kind == "none":
        return Judges(None, None, {})
    if kind == "random":
        return Judges(random_features(), random_perceptual(), dict.fromkeys(("fid", "kid", "lpips"), "random"))
    if kind != "inception":
        raise UnknownNameError("kind of feature network", kind, KINDS)
    features, perceptual, remarks = None, None, []
    labels: dict[str, str] = {"fid": ABSENT, "kid": ABSENT, "lpips": ABSENT}
    try:
        features = inception_features()
        labels |= {"fid": features.label, "kid": features.label}
    except MissingBackendError as error:
        remarks.append(f"FID, KID: {error}")
    try:
        perceptual = load_lpips()
        labels["lpips"] = perceptual.label
    except MissingBackendError as error:
        remarks.append(f"LPIPS: {error}")
    return Judges(features, perceptual, labels, tuple(remarks))
