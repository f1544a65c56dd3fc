"""Some views of a stack, binned while they are read, so that memory is needed only for what was asked for."""

from __future__ import annotations

import numpy as np

from ...base.shapes import Image, ViewIndices
from .binning import bin_counts
from .stack import ImageStack


class Subset:
    """``subset[i]`` is ``views[keep[i]]``, averaged over blocks of ``binning`` x ``binning`` pixels (then in float32)."""

    def __init__(self, views: ImageStack, keep: ViewIndices, binning: int = 1) -> None:
        self.views, self.keep, self.binning = views, keep, binning
        self.shape = (len(keep), views.shape[1] // binning, views.shape[2] // binning)
        self.dtype = views.dtype if binning == 1 else np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, index: int) -> Image:
        return bin_counts(np.asarray(self.views[int(self.keep[index])]), self.binning)

    def name(self, index: int) -> str:
        """Where view ``index`` came from, for error messages."""
        return self.views.name(int(self.keep[index]))
