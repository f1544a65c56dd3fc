"""The arrays that functions take and return, by name: each name states shape, type and unit, and means the same in every room.

A function that is annotated with both `Volume` and `VolumeMask` takes arrays with the same numbers of ``z``, ``y`` and ``x``. With
``FEWVIEW_CHECK_SHAPES=1`` jaxtyping checks that in every call of the tests (`tests/shape_checks.py`). Otherwise nothing is checked here:
what a user gives is checked by the code that reads it. A shape that only one module has is written in that module, with `Float`, `Bool` and
so on from here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING or os.environ.get("FEWVIEW_CHECK_SHAPES"):
    from jaxtyping import Bool, Float, Int, Num, Real, Shaped, UInt8
else:

    class _Unchecked:
        """``Float[NDArray, "z y x"]`` is plain ``NDArray`` where nobody checks shapes: jaxtyping takes as long to import as numpy."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float = Int = Num = Real = Shaped = UInt8 = _Unchecked

# Volumes: the index increases with +z, +y and +x.
Volume = Float[NDArray[np.float32], "z y x"]  # attenuation in 1/mm
AnyVolume = Shaped[NDArray, "z y x"]  # as a file stores it: attenuation in 1/mm of any precision, grey levels, or labels
FloatVolume = Float[NDArray, "z y x"]  # attenuation in 1/mm, in single or double precision
VolumeMask = Bool[NDArray, "z y x"]  # true for the voxels that count
VoxelValues = Float[NDArray[np.float32], "z y x"]  # one number for each voxel, in the unit that its name or the docstring says
NewVolume = Float[NDArray[np.float32], "z2 y2 x2"]  # attenuation in 1/mm, on another grid than the `Volume` beside it
NewVoxelValues = Float[NDArray[np.float32], "z2 y2 x2"]  # one number for each voxel of another grid than that of the arrays beside it

# Projections: one image for each view.
LineIntegrals = Float[NDArray[np.float32], "view row col"]  # -ln(I / I0), dimensionless
ViewValues = Float[NDArray[np.float32], "view row col"]  # one number for each pixel, in the unit that its name or the docstring says
AnyViews = Real[NDArray, "view row col"]  # line integrals of any precision (dimensionless), or counts of the detector
NewViews = Float[NDArray[np.float32], "view row2 col2"]  # the same views in other pixels
Images = Float[NDArray, "image row col"]  # slices of volumes (1/mm) or views (dimensionless) that are scored as pictures
Image = Real[NDArray, "row col"]  # one view or one slice: counts, grey levels, line integrals (dimensionless) or attenuation in 1/mm
FloatImage = Float[NDArray[np.float32], "row col"]  # the same in single precision
PixelMask = Bool[NDArray, "row col"]  # true for the pixels that are meant

# One entry for each view, or a point of space.
Vectors = Float[NDArray[np.float64], "view 3"]  # (x, y, z) in mm
Vector = Float[NDArray[np.float64], "3"]  # (x, y, z): a point in mm, or a direction without a unit
Angles = Float[NDArray[np.float64], "view"]  # degrees, counter-clockwise about +z
PerView = Float[NDArray[np.float64], "view"]  # one number for each view, in the unit that its name says
ViewIndices = Int[NDArray[np.intp], "kept"]  # which views of a scan, counted from 0
Points = Float[NDArray, "3 point"]  # the x, y and z of points, in mm
Floats = Float[NDArray[np.float64], "..."]  # numbers in an array whose shape the docstring of the function says


@runtime_checkable
class _Stored(Protocol):
    """Values in a file that stand where an array would: of this shape and type, and read when they are asked for."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(views, rows, columns), or (slices, rows, columns)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a value."""
        ...

    def __len__(self) -> int: ...


@runtime_checkable
class StoredViews(_Stored, Protocol):
    """Views [view, row, col] in the file ``path``, which are read when they are indexed: ``views[3]``, ``views[2:5, rows]``."""

    @property
    def ndim(self) -> int:
        """3."""
        ...

    @property
    def size(self) -> int:
        """The number of values."""
        ...

    def __getitem__(self, part: Any, /) -> Any: ...


@runtime_checkable
class StoredSlices(_Stored, Protocol):
    """Slices of a volume [z, y, x] in the file ``path``, which are read one after the other."""

    def __iter__(self) -> Iterator[Any]: ...
