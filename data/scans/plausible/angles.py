"""The angles of a beamline's file: their unit, and whether a stage can have turned like that."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....base import InputError

Floats = NDArray[np.float64]

MOST_DEG = 1e5  # of a continuous scan of many turns
WIDE_DEG = 90.0  # between neighbours: beamlines step by less than a degree, interlaced scans by tens


def degrees_of(theta: Any, place: str) -> Floats:
    """(n,) degrees of an HDF5 dataset of angles with its unit in an attribute; InputError, by ``place``, for what is no angle."""
    angles = np.asarray(theta[()], dtype=np.float64).ravel()
    if not np.isfinite(angles).all():
        raise InputError(f"{place} holds NaN or Inf", expected="finite angles, one a view")
    given = theta.attrs.get("units", "")
    unit = (given.decode() if isinstance(given, bytes) else str(given)).strip().lower()
    if unit.startswith("rad"):
        return np.rad2deg(angles)
    if unit and not unit.startswith(("deg", "°")):
        raise InputError(f"{place} is in {unit!r}", expected="degrees or radians", remedy="correct the attribute 'units'")
    if not unit:
        _refuse_radians(angles, place)
    return angles


def _refuse_radians(angles: Floats, place: str) -> None:
    """Angles without a unit that cover pi or 2 pi to a hundredth: three degrees are no scan."""
    if angles.size < 20:
        return
    covered = float(np.ptp(angles)) * angles.size / (angles.size - 1)
    if min(abs(covered / np.pi - 1), abs(covered / (2 * np.pi) - 1), abs(np.ptp(angles) / np.pi - 1)) < 0.01:
        raise InputError(
            f"{place} runs from {angles.min():.4g} to {angles.max():.4g} without a unit: radians by their looks",
            expected="degrees, or the attribute units='rad'",
            remedy="write the attribute 'units' into the file",
        )


def angle_doubts(angles_deg: Floats, place: str) -> list[str]:
    """Warnings about the angles of a scan; InputError where no stage can have turned like that."""
    most = float(np.abs(angles_deg).max()) if angles_deg.size else 0.0
    if most > MOST_DEG:
        raise InputError(f"{place} goes up to {most:g} deg", expected=f"at most {MOST_DEG:g} deg", remedy="correct the angles")
    if angles_deg.size > 1 and np.ptp(angles_deg) == 0:
        raise InputError(f"{place}: all {angles_deg.size} angles are {angles_deg[0]:g}", expected="another angle for every view")
    step = float(np.median(np.abs(np.diff(angles_deg)))) if angles_deg.size > 2 else 0.0
    if step > WIDE_DEG:
        return [f"{place} steps by {step:g} deg from view to view, which no stage does: look at the angles and their unit"]
    return []
