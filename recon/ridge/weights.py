"""The weights of the ridge prior as a file: arrays alone, nothing that could be executed, refused unless they keep their promises."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from ...base import InputError
from ...base.files import atomic_path
from ...base.shapes import Floats
from .filters import spectral_norm

SHIPPED = "wcrr.npz"
SHA256 = "de0cf13354cceebbc00cdec843d93f9576d4a7c95090a4432c41ecf1a29caf0f"
_NAMES = ("first", "second", "noise", "scale", "slope")


@dataclass(frozen=True, eq=False)
class RidgeWeights:
    """What was learned. ``first`` [m, 1, 3, 3, 3] and ``second`` [f, m, 3, 3, 3] are the filters. At each level of ``noise`` (a share of
    the grey scale) ``scale`` [level, f] is that of each filter's responses, and ``slope`` [level, knot] the derivative of the profile at
    evenly spaced knots from 0 to 1, beyond which it is constant.
    """

    first: Floats
    second: Floats
    noise: Floats
    scale: Floats
    slope: Floats

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise InputError(f"the weights of the ridge prior: {problem}", expected="weights written by `make train-shipped`")

    def at(self, sigma: float) -> tuple[Floats, Floats]:
        """The scales (f,) and the slopes at the knots (knot,) at a noise level, interpolated over its logarithm, within those learned."""
        place = float(np.interp(np.log(sigma), np.log(self.noise), np.arange(len(self.noise))))
        low = min(int(place), len(self.noise) - 2)
        share = place - low
        scale = np.exp((1 - share) * np.log(self.scale[low]) + share * np.log(self.scale[low + 1]))
        return scale, (1 - share) * self.slope[low] + share * self.slope[low + 1]


def _problem(w: RidgeWeights) -> str:
    """What is wrong with weights; empty where nothing is."""
    filters, middle = (w.second.shape[0], w.first.shape[0]) if w.first.ndim == w.second.ndim == 5 else (0, 0)
    if w.first.shape != (middle, 1, 3, 3, 3) or w.second.shape != (filters, middle, 3, 3, 3) or not filters:
        return f"filters of shape {w.first.shape} and {w.second.shape}"
    levels = len(w.noise) if w.noise.ndim == 1 else 0
    if levels < 2 or w.scale.shape != (levels, filters) or w.slope.ndim != 2 or len(w.slope) != levels or w.slope.shape[1] < 2:
        return f"{levels} levels of noise, scales of shape {w.scale.shape}, slopes of shape {w.slope.shape}"
    if not all(np.isfinite(getattr(w, name)).all() for name in _NAMES):
        return "NaN or Inf among them"
    if not (w.noise[0] > 0 and (np.diff(w.noise) > 0).all() and (w.scale > 0).all()):
        return "levels of noise that do not rise, or scales that are not positive"
    if np.abs(w.first.sum(axis=(2, 3, 4))).max() > 1e-5:
        return "filters whose mean is not zero"
    if float(spectral_norm(torch.from_numpy(w.first), torch.from_numpy(w.second))) > 1 + 1e-4:
        return "filters of a norm above one"
    if (np.diff(w.slope, axis=1) * (w.slope.shape[1] - 1)).min() < -1 - 1e-4 or np.abs(w.slope[:, 0]).max() > 1e-6:
        return "a profile that is not weakly convex with modulus one"
    if (w.slope < 0).any():
        return "a profile that falls, so that the prior has no least value"
    return ""


def write_weights(weights: RidgeWeights, path: Path, force: bool = False) -> str:
    """Write the weights, and return the SHA-256 of the file. The same weights make the same bytes."""
    with atomic_path(path, force=force) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in _NAMES:
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(getattr(weights, name), np.float64), allow_pickle=False)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path | None = None, sha256: str | None = None) -> RidgeWeights:
    """The weights in a file: by default the shipped ones, whose hash is known.

    Raises InputError where the hash differs, where anything but plain arrays is in the file, and where they break a constraint.
    """
    place = files(__name__.rpartition(".")[0]).joinpath(SHIPPED) if path is None else path
    content, wanted = place.read_bytes(), SHA256 if path is None else sha256
    found = hashlib.sha256(content).hexdigest()
    if wanted is not None and found != wanted:
        raise InputError(
            f"the weights {place.name} have the SHA-256 {found[:12]}...", expected=f"{wanted[:12]}...", remedy="install fewview again"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return RidgeWeights(**{name: arrays[name].astype(np.float64) for name in _NAMES})
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place.name} cannot be read as weights ({error})", expected=f"an .npz file of {', '.join(_NAMES)}") from None
