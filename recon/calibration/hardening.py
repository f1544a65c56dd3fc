"""How much the beam hardened, estimated from the views themselves for their calibration.

Beam hardening makes right geometries contradictory, and moves the least contradiction elsewhere: by a pixel and more of the optical row
where skulls are seen at 50 kVp. The straight line integrals are sought as ``p + b p^2`` with the b that makes views agree best (epipolar
consistency for beam hardening: S. Abdurahman et al., IEEE Trans. Med. Imaging 37 (2018) 2266; T. Würfl et al., Fully3D (2017) 181). Both
terms' line sums are known, so that b is the smallest eigenvector of a 2 x 2 problem.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from ...base.shapes import Floats, LineIntegrals
from ...geometry import Scan
from .epipolar import Epipolar, whitened


def consistent_percent(values: LineIntegrals, scan: Scan, smooth_px: float = 1.0, most_pairs: int = 2000) -> float:
    """The percentage for `beam_hardening.linearise`, from 0 to 100, that makes views [view, row, col] contradict each other least.

    The contradiction is taken relative to what the views say, so that making all values smaller gains nothing.
    """
    top = float(np.percentile(values[:: max(1, len(values) // 16)], 99.9))
    if not top > 0:
        return 0.0
    terms = [Epipolar(np.asarray(term, dtype=np.float32), scan, smooth_px, most_pairs=most_pairs) for term in (values, values**2 / top)]
    said = [term.sides(scan) for term in terms]
    valid = np.all([np.isfinite(sides).all(axis=2) for sides in said], axis=0)
    apart = [whitened(sides[..., 0] - sides[..., 1], valid).ravel() for sides in said]
    each = [np.stack([whitened(sides[..., k], valid) for k in (0, 1)]).ravel() for sides in said]
    energy = _products(each)
    if not np.linalg.det(energy) > 1e-12 * energy[0, 0] * energy[1, 1]:  # one thickness only, or nothing valid: it cannot be told
        return 0.0
    first, second = eigh(_products(apart), energy)[1][:, 0]
    return float(np.clip(100 * second / (first * top), 0, 100)) if first else 0.0


def _products(vectors: list[Floats]) -> Floats:
    return np.array([[a @ b for b in vectors] for a in vectors])
