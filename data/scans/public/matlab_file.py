"""MATLAB files as dictionaries: version 5 by scipy, version 7.3, which is HDF5 with transposed arrays, by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ....base import InputError
from ...hdf5_access import open_h5

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # of a file of version 7.3


def read_matlab(path: Path) -> dict[str, Any]:
    """Variable -> array, text, or a dictionary for a struct. InputError for what is no MATLAB file."""
    with path.open("rb") as start:
        head = start.read(_USER_BLOCK + 8)
    if _HDF5 in (head[:8], head[_USER_BLOCK : _USER_BLOCK + 8]):
        with open_h5(path) as file:
            return {name: _value(item) for name, item in file.items() if not name.startswith("#")}
    from scipy.io import loadmat

    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # scipy raises whatever the bytes lead it to
        raise InputError(f"{path} cannot be read ({error})", expected="a whole MATLAB file") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def _value(item: Any) -> Any:
    if hasattr(item, "keys"):
        return {name: _value(inner) for name, inner in item.items()}
    array = np.asarray(item[()]).T
    if item.attrs.get("MATLAB_class") in (b"char", "char"):
        return "".join(chr(int(c)) for c in array.ravel())
    return array
