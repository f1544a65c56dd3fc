"""PSNR and SSIM of images as the published code scores them (ignite's, in MedNeRF and the BoneMet paper's Table 2).

Each measured image is scaled by its own maximum to -1..1, and the rendered one with it; the data range is 2. SSIM has a Gaussian window of
11 pixels and 1.5 pixels' standard deviation, and is averaged over the whole image, whose borders are mirrored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...base import InputError
from ...base.psnr import psnr_db
from ...base.shapes import Float, FloatImage

DATA_RANGE, WIDTH, SIGMA = 2.0, 11, 1.5


def as_published(rendered: FloatImage, measured: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Line integrals of a view as images in -1..1, where 1 is the maximum of the measured one. InputError for a view of nothing."""
    top = float(measured.max())
    if not top > 0:
        raise InputError(f"a measured view with a maximum of {top:g}", expected="an object in the beam")
    return tuple((2 * image / top - 1).astype(np.float32) for image in (rendered, measured))  # type: ignore[return-value]


def published_psnr(image: FloatImage, target: FloatImage) -> float:
    """The peak signal-to-noise ratio in dB with the published data range (`base.psnr`)."""
    return psnr_db(float(np.mean((image.astype(np.float64) - target) ** 2)), DATA_RANGE)


def published_ssim(image: FloatImage, target: FloatImage) -> float:
    """The mean over the image of the structural similarity (Wang et al. 2004, eq. 13, with K = 0.01 and 0.03)."""
    if image.shape != target.shape or min(image.shape) < WIDTH:
        raise InputError(f"images of {image.shape} and {target.shape}", expected=f"two of the same size, at least {WIDTH} pixels each way")
    blur = _window()
    x, y = image.astype(np.float64), target.astype(np.float64)
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def _window() -> Callable[[Float[NDArray[np.float64], "row col"]], Float[NDArray[np.float64], "row col"]]:
    place = np.arange(WIDTH) - WIDTH // 2
    weights = np.exp(-(place**2) / (2 * SIGMA**2))
    weights /= weights.sum()

    def blur(image: Float[NDArray[np.float64], "row col"]) -> Float[NDArray[np.float64], "row col"]:
        for axis in (0, 1):
            image = ndimage.correlate1d(image, weights, axis=axis, mode="mirror")  # torch calls this "reflect"
        return image

    return blur
