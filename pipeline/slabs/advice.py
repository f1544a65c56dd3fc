"""Should a plan be done slab by slab? Where the whole run would take much of the memory, and slabs can do it."""

from __future__ import annotations

import math

from ...base import InputError
from ...base.memory import available_bytes
from ...data.hdf5_access import H5_ENDINGS, h5_format
from ...data.scans.projections_file import PROJECTIONS
from ...data.scans.raw import RawSource
from ...data.scans.reader import open_scan
from ...geometry import Grid, Scan
from ...recon.projector.backend import fdk_backend
from ..plan import ReconPlan
from .division import slab_method
from .work_folder import height_before

_LARGE = 2 << 30  # bytes beyond which slabs are worth their temporary file
_SHARE = 0.8  # of the free memory, beyond which a GPU is given up for slabs
_PROGRAM = 600 << 20  # bytes of the program and its libraries


def whole_bytes(scan: Scan, grid: Grid, corrected: bool) -> int:
    """The memory that `run` needs for FDK: the program, the views (twice where they are corrected), the volume, and half a copy of it."""
    views = 4 * len(scan) * math.prod(scan.shape)
    return _PROGRAM + views * (3 if corrected else 2) + 4 * math.prod(grid.shape) * 3 // 2


def slabs_advised(plan: ReconPlan) -> bool:
    """Whether a plan can go by slabs and the whole run would need more than 2 GiB (with a GPU: more than is free), or was begun so."""
    try:
        slab_method(plan)
        if plan.source.is_file() and plan.source.suffix.lower() in H5_ENDINGS and h5_format(plan.source) == PROJECTIONS:
            return False  # line integrals, which are read at once
        source = open_scan(plan.source, views=plan.view_choice.of, binning=plan.binning, **plan.open_options)
        grid = plan.grid_choice.of(source.scan)
    except (InputError, OSError):
        return False
    if not isinstance(source, RawSource):
        return False
    needed = whole_bytes(source.scan, grid, plan.corrections != type(plan.corrections).off())
    free = available_bytes() or needed
    on_card = fdk_backend("auto").fdk_on_card and plan.reconstructor.settings(**plan.settings).backend == "auto"
    return height_before(plan.output) is not None or needed > (_SHARE * free if on_card else min(_LARGE, _SHARE * free))
