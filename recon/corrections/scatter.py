"""Scatter: a smooth veil over each view, which is estimated by convolution and subtracted."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ...base import InputError
from ...base.shapes import LineIntegrals

_ROUNDS = 3
_LEAST = 0.05  # of the measured signal, that always stays


def subtract_scatter(values: LineIntegrals, fraction: float, width: float = 0.15) -> LineIntegrals:
    """Line integrals [view, row, col] without the veil that scattered photons lay over each view; ``fraction`` 0 is off.

    The veil is ``fraction`` of what the object takes out of the beam, spread by a Gaussian whose standard deviation is ``width`` times
    the panel's width: with T the transmission, the detector sees ``I = T + fraction G(1 - T)``. T is found by repeating
    ``T = I - fraction G(1 - T)``; a pixel keeps at least a twentieth of its signal. Convolution-subtraction: L. A. Love & R. A. Kruger,
    Med. Phys. 14 (1987) 178; B. Ohnesorge, T. Flohr & K. Klingenbeck-Regn, Eur. Radiol. 9 (1999) 563.

    It is the model of `Physics.scatter` too: on simulated scans 0.005 is the truth. For a real scanner the fraction has to be measured
    (the signal behind a lead disc), and may be chosen so that a uniform body comes out flat.

    Raises InputError for a fraction outside 0 to 0.5 or a width that is not positive.
    """
    if not 0 <= fraction <= 0.5:
        raise InputError(f"scatter is {fraction}", expected="0 (off) to 0.5 of what the object takes out of the beam")
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"scatter_width is {width}", expected="a positive share of the panel's width")
    if fraction == 0:
        return values
    out = np.empty_like(values)
    sigma = width * values.shape[2]
    for view, p in enumerate(values):
        signal = np.exp(-p)
        primary = signal
        for _ in range(_ROUNDS):
            veil = np.float32(fraction) * gaussian_filter(1 - primary, sigma, mode="nearest")
            primary = np.maximum(signal - veil, np.float32(_LEAST) * signal)
        out[view] = p - np.log(primary / signal)
    return out
