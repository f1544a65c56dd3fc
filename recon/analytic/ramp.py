"""The ramp filter of filtered back-projection, and the windows that soften it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft as scipy_fft
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError

_fft: Any = scipy_fft  # its uarray wrappers hide the return types from the type checker


def _parzen(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x <= 0.5, 1 - 6 * x**2 * (1 - x), 2 * (1 - x) ** 3)


# Window values at x = frequency / cut-off, 0 <= x <= 1.
_WINDOWS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "ramp": np.ones_like,
    "shepp-logan": lambda x: np.sinc(x / 2),
    "cosine": lambda x: np.cos(np.pi / 2 * x),
    "hamming": lambda x: 0.54 + 0.46 * np.cos(np.pi * x),
    "hann": lambda x: 0.5 + 0.5 * np.cos(np.pi * x),
    "parzen": _parzen,
}
_ALIASES = {"ramlak": "ramp", "hanning": "hann"}
FILTERS = tuple(_WINDOWS)


def filter_name(name: str) -> str:
    """The filter's one spelling: ``Shepp_Logan`` is ``shepp-logan``, ``Ram-Lak`` is ``ramp``. Unknown: UnknownNameError.

    >>> filter_name("Shepp_Logan"), filter_name("ram-lak")
    ('shepp-logan', 'ramp')
    """
    plain = "".join(c for c in str(name).lower() if c.isalnum())
    plain = _ALIASES.get(plain, plain)
    for known in FILTERS:
        if plain == known.replace("-", ""):
            return known
    raise UnknownNameError("filter", name, FILTERS)


def ramp_response(cols: int, filter: str = "ramp", cutoff: float = 1.0) -> NDArray[np.float32]:
    """(frequency,): the response of the windowed ramp for rows of ``cols`` samples one unit apart, at the bins of an `rfft`.

    The kernel is built in space, where it is exact for band-limited data, h[0] = 1/4, h[odd n] = -1/(pi n)^2, h[even n] = 0
    (Kak & Slaney 1988, eq. 3.61): a sampled |f| would be zero at f = 0 and darken the volume. The length is the next fast one of at
    least ``2 cols``, so that the convolution does not wrap around. ``cutoff`` is a fraction of the Nyquist frequency, in (0, 1].
    For samples ``a`` mm apart divide by ``a``.
    """
    if not 0 < cutoff <= 1:
        raise InputError(f"cutoff is {cutoff}", expected="a fraction of the Nyquist frequency, above 0 and at most 1")
    length = padded_length(cols)
    n = np.minimum(np.arange(length), length - np.arange(length))
    kernel = np.zeros(length)
    kernel[0] = 0.25
    odd = n % 2 == 1
    kernel[odd] = -1 / (np.pi * n[odd]) ** 2
    x = _fft.rfftfreq(length) / (0.5 * cutoff)
    window = np.where(x <= 1, _WINDOWS[filter_name(filter)](np.minimum(x, 1)), 0)
    return (_fft.rfft(kernel).real * window).astype(np.float32)


def padded_length(cols: int) -> int:
    """Length of the zero-padded rows that `ramp_response` is meant for."""
    return _fft.next_fast_len(2 * cols, real=True)


def convolve_pairs(rows: NDArray[np.complex64], response: NDArray[np.float32]) -> None:
    """Convolve the last axis of ``rows`` [..., col] with the ramp's ``response`` (frequency,) in place, in the unit of the rows.

    Two real rows are convolved at once, one as the real and one as the imaginary part. ``rows`` is zero-padded to `padded_length`. The
    kernel is real and symmetric, so its transform is real and does not mix the two. One thread works on it: callers share out the rows.
    """
    half = rows.shape[-1] - response.size
    both = np.concatenate([response, response[half:0:-1]])
    spectrum = _fft.fft(rows, axis=-1, overwrite_x=True)
    spectrum *= both
    result = _fft.ifft(spectrum, axis=-1, overwrite_x=True)
    if not np.shares_memory(result, rows):
        rows[...] = result
