"""What a volume is compared with: the truth of a simulated scan, or the Recon-CT of a data set, each with its own bone threshold.

The two are never mixed: each has its own table, and its own threshold, because Recon-CT has another grey scale than the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ....base import InputError
from ....base.shapes import FloatVolume, VolumeMask

TRUTH, RECON_CT = "truth", "recon-ct"  # in the order in which tables show them
OBJECT_SHARE = 0.1  # of bright bone (99.9th percentile): about half of soft tissue


@dataclass(frozen=True)
class Reference:
    """A reference ``volume`` in 1/mm on the grid of the comparison, and the threshold ``bone`` (1/mm) that separates bone in it.

    ``known`` are the voxels that it covers, where it was cropped (None: all); nothing is compared outside them.
    """

    volume: FloatVolume
    bone: float
    known: VolumeMask | None = None


def judged_by(scores: Mapping[str, object]) -> str:
    """The reference that counts among those of a record: the truth where there is one, otherwise Recon-CT.

    >>> judged_by({"recon-ct": {}, "truth": {}}), judged_by({"recon-ct": {}})
    ('truth', 'recon-ct')
    """
    return TRUTH if TRUTH in scores else RECON_CT


def object_mask(reference: FloatVolume, seen: VolumeMask) -> VolumeMask:
    """The voxels of the object and one voxel around it, inside ``seen``: the largest connected part above a tenth of bright bone.

    The reference is smoothed by one voxel first, so that noise in air does not count, and holes (air inside the body) belong to the object.
    InputError where the reference shows nothing.
    """
    bright = float(np.percentile(reference[seen], 99.9)) if seen.any() else 0.0
    if not bright > 0:
        raise InputError("the reference shows no object inside what every view sees", expected="a reference with an object")
    body, count = ndimage.label(ndimage.gaussian_filter(reference, 1.0) > OBJECT_SHARE * bright)  # type: ignore[misc]
    if not count:
        raise InputError("the reference shows no object after smoothing by one voxel", expected="an object larger than that")
    sizes = np.bincount(body.ravel())
    sizes[0] = 0
    whole = ndimage.binary_fill_holes(body == sizes.argmax())
    return np.asarray(ndimage.binary_dilation(whole), dtype=bool) & seen  # type: ignore[arg-type]


def bone_threshold(references: Sequence[FloatVolume], objects: Sequence[VolumeMask]) -> float:
    """The threshold in 1/mm between soft tissue and bone: the upper of the two that separate three classes (Otsu 1979), over all objects.

    It is found on training animals, once for a data set and a reference, so that it depends on no method and on no test animal.
    """
    from skimage.filters import threshold_multiotsu

    values = np.concatenate([volume[inside] for volume, inside in zip(references, objects, strict=True)])
    if np.unique(values).size < 3:
        raise InputError("the references have fewer than three grey values inside the object", expected="air, soft tissue and bone")
    return float(threshold_multiotsu(values, classes=3)[1])
