"""The inputs of metrics: a volume and its reference, rendered and measured views, images for a network, or sets of features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...base import InputError
from ...base.psnr import DATA_RANGE_PER_MM
from ...base.shapes import AnyViews, Float, FloatVolume, Images, VolumeMask
from ...geometry import Grid
from .against.alignment import fit_grey
from .bone.errors import measured_pair
from .metrics import ssim_map
from .perceptual import Perceptual
from .volume_metrics import SurfaceDistance, surface_distance

if TYPE_CHECKING:
    from ...bone import Measured


@dataclass(frozen=True)
class Yardstick:
    """What makes scores comparable, the same for every method: bone threshold (1/mm), grey window (1/mm), window of line integrals.

    The grey window is that of the whole project. At most ``heldout`` views are rendered. ``register`` and ``grey_fit`` bring a volume to
    its reference before it is compared with it.
    """

    bone: float
    window: tuple[float, float] = (0.0, DATA_RANGE_PER_MM)
    line_window: tuple[float, float] = (0.0, 3.0)
    heldout: int = 26
    grey_fit: bool = False
    register: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in (("window", self.window), ("line_window", self.line_window)):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise InputError(f"the {name} is {(low, high)}", expected="(low, high) with low < high")

    @property
    def data_range(self) -> float:
        """The data range for PSNR and SSIM of volumes, in 1/mm."""
        return self.window[1] - self.window[0]


@dataclass(frozen=True)
class VolumePair:
    """A volume and its reference on one grid, compared inside ``mask`` and inside ``body``, the object in it (None: the whole mask).

    What several metrics share is computed once.

    Raises InputError for shapes that differ from that of the grid, and for a reference that is constant inside the mask.
    """

    volume: FloatVolume
    reference: FloatVolume
    grid: Grid
    mask: VolumeMask
    yardstick: Yardstick
    body: VolumeMask | None = None

    def __post_init__(self) -> None:
        for name, array in (("volume", self.volume), ("reference", self.reference)):
            if array.shape != self.grid.shape:
                raise InputError(f"the {name} has shape {array.shape}", expected=f"{self.grid.shape}, as the grid says")
        if self.target[self.mask].std() == 0:
            raise InputError("the reference is constant", expected="a reference with structure inside the field of view")

    @property
    def object(self) -> VolumeMask:
        """Where the object is, inside the mask."""
        return self.mask if self.body is None else self.body & self.mask

    @cached_property
    def inside(self) -> FloatVolume:
        """The volume, zero outside the mask."""
        return np.where(self.mask, self.volume, 0).astype(np.float32)

    @cached_property
    def target(self) -> FloatVolume:
        """The reference, zero outside the mask."""
        return np.where(self.mask, self.reference, 0).astype(np.float32)

    @cached_property
    def grey_fitted(self) -> FloatVolume:
        """The volume after the best gain and offset."""
        return fit_grey(self.volume, self.reference, self.mask)(self.volume)

    @cached_property
    def similarity(self) -> Float[NDArray[np.float64], "z y x"]:
        """The structural similarity at each voxel, -1 to 1 (dimensionless)."""
        return ssim_map(self.inside, self.target, data_range=self.yardstick.data_range)

    @cached_property
    def measured(self) -> tuple[Measured, Measured] | None:
        """The quantities of bone of the two; None where one of them has no bone."""
        return measured_pair(self)

    @cached_property
    def surface(self) -> SurfaceDistance:
        """The distance between the bone surfaces of the two volumes."""
        return surface_distance(self.inside, self.target, self.yardstick.bone, self.grid.voxel_mm)


@dataclass(frozen=True)
class ViewPair:
    """Rendered and measured views, both clipped to a fixed window of line integrals that spans ``data_range``."""

    rendered: AnyViews
    measured: AnyViews
    data_range: float


@dataclass(frozen=True)
class ImagePair:
    """Images and their references with the window that maps them to 0..1, and the network that judges them."""

    images: Images
    reference: Images
    window: tuple[float, float]
    network: Perceptual


@dataclass(frozen=True)
class FeatureSets:
    """Features of two sets of images: the references' and the reconstructions'."""

    real: Float[Tensor, "m d"]
    made: Float[Tensor, "n d"]
