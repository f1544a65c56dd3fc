"""Three slices through the middle of the volume, as a picture, before the first slab is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...base.files import atomic_path
from ...base.outputs.ownership import SIGNATURE
from ...base.shapes import FloatImage
from ...geometry import Grid
from ...recon.analytic.feldkamp_slabs import SlabFdk
from .slab_job import FilteredRows

MOST = 768  # pixels a side of a slice in the picture


def preview_path(output: Path) -> Path:
    """The picture beside an output: ``limb.ome.zarr`` -> ``limb_preview.png``."""
    stem = output.name.partition(".")[0]
    return output.with_name(f"{stem}_preview.png")


def write_preview(fdk: SlabFdk, rows: FilteredRows, path: Path) -> None:
    """Write the middle slices along z, y and x beside each other, each of coarse voxels if it is large, from 0 to the brightest."""
    import matplotlib.image

    shown = [image[::-1] for image in _planes(fdk, rows)]  # y and z upwards
    high = max(image.shape[0] for image in shown)
    padded = [np.pad(image, ((0, high - image.shape[0]), (0, 4)), constant_values=0) for image in shown]
    picture = np.concatenate(padded, axis=1)
    top = float(np.percentile(picture, 99.9)) or 1.0
    with atomic_path(path, force=True) as temporary:
        matplotlib.image.imsave(temporary, picture, cmap="gray", vmin=0, vmax=top, metadata={"Software": SIGNATURE})


def _planes(fdk: SlabFdk, rows: FilteredRows) -> Iterator[FloatImage]:
    coarse = fdk.grid.coarser(max(1, -(-max(fdk.grid.shape) // MOST)))
    for axis in range(3):
        shape = [n if k != axis else 1 for k, n in enumerate(coarse.shape)]
        grid = Grid((shape[0], shape[1], shape[2]), coarse.voxel_mm, coarse.center_mm)
        volume = SlabFdk(fdk.scan, grid, fdk.filter, fdk.cutoff, fdk.backend).slab(_within(rows, fdk), slice(0, shape[0]))
        yield np.take(volume, 0, axis=axis)


def _within(rows: FilteredRows, fdk: SlabFdk):  # type: ignore[no-untyped-def]
    """Reads rows that are kept, and zeros for those beyond, which a slightly larger coarse grid may ask for."""
    kept = fdk.rows(slice(0, fdk.grid.shape[0]))

    def read(views: slice, wanted: slice) -> np.ndarray:
        first, stop = max(wanted.start, kept.start), min(wanted.stop, kept.stop)
        out = np.zeros((views.stop - views.start, wanted.stop - wanted.start, fdk.scan.shape[1]), np.float32)
        if stop > first:
            out[:, first - wanted.start : stop - wanted.start] = rows(views, slice(first, stop))
        return out

    return read
