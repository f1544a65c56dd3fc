"""Peak signal-to-noise ratio: the one formula that all rooms use."""

from __future__ import annotations

import math

DATA_RANGE_PER_MM = 0.2  # of every PSNR and SSIM of a volume in this project: the attenuation of dense cortical bone at 30 keV


def psnr_db(mean_squared_error: float, data_range: float) -> float:
    """``10 log10(data_range^2 / mean_squared_error)`` in dB; infinite where the error is zero.

    >>> psnr_db(0.01, 1.0)
    20.0
    """
    return math.inf if mean_squared_error == 0 else 10 * math.log10(data_range**2 / mean_squared_error)
