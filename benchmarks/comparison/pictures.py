"""The arrays that belong to a record: orthoslices for the page, and features for distances between sets."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError


def open_pictures(path: Path) -> Any:
    """The arrays of a record by name, to be closed after use; InputError for a file that holds none."""
    try:
        found = np.load(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no arrays ({error})", remedy="delete its record and run the same `fewview bench` again") from error
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise InputError(f"{path} is no .npz file", remedy="delete its record and run the same `fewview bench` again")
    return found
