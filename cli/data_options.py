"""How a data set in the layout of BoneMet is read: options of `fewview train`, `bench table2` and `bench views` alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from ..base import InputError
from ..data.pairs import AsRead
from .options import MaybeMm, MaybePath

MaybeWindow = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")]
Binning = Annotated[int, Field(ge=1, le=64, description="a whole number of pixels, from 1 to 64")]
MaybeBinning = Annotated[Binning | None, tyro.conf.arg(metavar="N")]


@dataclass(frozen=True)
class HowRead:
    """What the files of a data set do not say.

    Args:
        window: attenuation in 1/mm of the grey levels 0 and 255 of Recon-CT, where it is known; of a download it is fitted otherwise.
        voxel_mm: voxel of the X-ray images in mm (BoneMet: 0.007 to 0.0106 for 4032 columns); by default 0.0106 for 4032 columns and in
            proportion for fewer.
        recon_voxel_mm: voxel of Recon-CT in mm; by default that of the X-rays.
        binning: average blocks of so many pixels as the images are read; by default as many as leave four pixels to a voxel.
        registration: folder that keeps where each Recon-CT lies in its scan; by default `registration` in the data set.
    """

    window: MaybeWindow = None
    voxel_mm: MaybeMm = None
    recon_voxel_mm: MaybeMm = None
    binning: MaybeBinning = None
    registration: MaybePath = None

    def as_read(self) -> AsRead:
        """The options as the library takes them; InputError for a window whose ends are exchanged."""
        if self.window is not None and not self.window[0] < self.window[1]:
            raise InputError(f"--window {self.window[0]:g} {self.window[1]:g}", expected="LOW HIGH in 1/mm, the first the smaller")
        placements = None if self.registration is None else Path(self.registration)
        return AsRead(self.window, self.voxel_mm, self.recon_voxel_mm, self.binning, placements)


AS_IT_SAYS = HowRead()
DataOptions = Annotated[HowRead, tyro.conf.OmitArgPrefixes]
