"""Run by test_triton.py in a process of its own: the GPU kernels by Triton's interpreter against plain torch and the CPU's FDK."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fewview.data import Projections
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.recon.analytic.feldkamp import filtered_backprojection
from fewview.recon.analytic.feldkamp_on_card import CardFdk
from fewview.recon.projector import joseph_torch
from fewview.recon.projector.gpu import blocked_pair as blocks
from fewview.recon.projector.gpu import slabs
from fewview.recon.projector.gpu.blocked_pair import BlockedPair
from fewview.recon.projector.joseph_rays import Rays

HERE = torch.device("cpu")
CIRCLE: Any = {"rows": 9, "cols": 10, "pixel_mm": 2.0, "angles_deg": [45.0, 200.0]}  # at 45 deg rays have two main axes
EVEN, ODD = Grid((8, 8, 8), 0.9), Grid((7, 5, 6), 0.9, center_mm=(1.0, -0.4, 0.3))
EXACT = ("plain", "rolled")
ALONG_Z: Any = {"source": [[0.3, 0.2, 90]], "detector": [[0, 0, -50]], "u": [[1.1, 0, 0]], "v": [[0, 1.1, 0]], "angles_deg": [0]}
CASES = {
    "plain": (Scan.circular(dso_mm=100, dsd_mm=200, **CIRCLE), EVEN, True),
    "fine pixels": (Scan.circular(dso_mm=100, dsd_mm=200, **{**CIRCLE, "pixel_mm": 0.8}), ODD, True),
    "whole lines": (Scan.circular(dso_mm=40, dsd_mm=60, rows=33, cols=4, pixel_mm=1.4, angles_deg=[10.0]), Grid((33, 3, 3), 1.0), True),
    "rolled, whole lines": (
        Scan.circular(dso_mm=40, dsd_mm=60, rows=65, cols=2, pixel_mm=0.3, angles_deg=[10.0], roll_deg=2),
        Grid((9, 3, 3), 1.0),
        False,
    ),
    "steep": (Scan.circular(dso_mm=12, dsd_mm=24, **CIRCLE), ODD, True),
    "nearly parallel": (Scan.circular(dso_mm=1e7, dsd_mm=1.0000005e7, **CIRCLE), ODD, True),
    "from inside": (Scan.circular(dso_mm=3, dsd_mm=40, **CIRCLE), ODD, False),
    "rolled": (Scan.circular(dso_mm=100, dsd_mm=200, roll_deg=3, **CIRCLE), ODD, False),
    "along z": (Scan(shape=(9, 10), **ALONG_Z), ODD, False),
}


def pair() -> None:
    """Joseph's projector and its transpose, both types; upright scans gather in the transpose, others spread."""
    torch.manual_seed(0)
    for name, (scan, grid, gathers) in CASES.items():
        rays = Rays.of(scan, grid)
        for kind, bound in ((torch.float32, 3e-6), (torch.float64, 1e-13))[: 2 if name in EXACT else 1]:
            both = BlockedPair(scan, grid, HERE, kind)
            x, y = torch.rand(grid.shape, dtype=kind), torch.rand((len(scan), *scan.shape), dtype=kind)
            for plain, fast, values in ((joseph_torch.project, both.project, x), (joseph_torch.backproject, both.backproject, y)):
                expected, found = plain(values, rays), fast(values)
                assert found.dtype == kind, name
                assert expected.max() > 0, name
                gap = float((expected - found).abs().max() / expected.max())
                assert gap <= bound, (name, kind, plain, gap)
            assert all(one.gathers == gathers for one in both._pairs.values()), name


def parts() -> None:
    """Slabs and blocks of views: the sum of the slabs' projections, the stack of their back-projections."""
    scan, grid, _ = CASES["plain"]
    x, y = torch.rand(grid.shape), torch.rand((len(scan), *scan.shape))
    whole = BlockedPair(scan, grid, HERE, torch.float32)
    expected = whole.project(x), whole.backproject(y)
    for room in (slabs, blocks):
        room.free_bytes = lambda device: 9900  # of 2500 a view and 968 a slice
    small = BlockedPair(scan, grid, HERE, torch.float32)
    found = small.project(x), small.backproject(y)
    assert len({key[:2] for key in small._pairs}) == 2
    assert len({key[2:] for key in small._pairs}) == 2
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * float(one.max()))


def fdk() -> None:
    """FDK and its transpose: a short scan, a wide-panel full turn, a roll, a fan; half precision within what is stated."""
    random = np.random.default_rng(0)
    turn: Any = {"dso_mm": 60, "dsd_mm": 90, "rows": 7, "cols": 9, "pixel_mm": 1.5, "angles_deg": np.arange(4) * 90.0}
    tall: Any = {"dso_mm": 60, "dsd_mm": 90, "rows": 33, "cols": 5, "pixel_mm": 1.5, "angles_deg": [10.0, 200.0]}
    scans = {
        "whole lines": Scan.circular(**tall),
        "short": skyscan_1276(8, 12, 1.0)[::65],
        "wide": Scan.circular(**turn, axis_shift_mm=2.0),
        "rolled": Scan.circular(**turn, roll_deg=4, axis_shift_mm=1.0),
        "fan": Scan.circular(**{**turn, "rows": 1}),
    }
    for name, scan in scans.items():
        nz = 1 if name == "fan" else 33 if name.endswith("lines") else 3
        grid = Grid((nz, 5, 3), 1.1, (0.2, -0.3, 0.0 if name == "fan" else 0.4))
        values = random.random((len(scan), *scan.shape), np.float32)
        expected = filtered_backprojection(Projections(values, scan), grid, backend="numba")
        card = CardFdk(scan, grid, HERE)
        y, x = torch.from_numpy(values).requires_grad_(), torch.rand(grid.shape)
        found = card(y)
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5 * np.abs(expected).max())
        (back,) = torch.autograd.grad((found * x).sum(), y)
        with torch.no_grad():
            gap = abs(float((found.double() * x).sum() - (y.double() * back).sum()))
            assert gap <= 1e-6 * float(found.norm() * x.norm()), name
        if name == "fan":
            np.testing.assert_array_equal(card.volume(values), found.detach().numpy())
            for storage, bound in (("fp16", 1e-3), ("bf16", 8e-3)):
                half = CardFdk(scan, grid, HERE, storage=storage).volume(values)
                assert 0 < np.sqrt(np.mean((half - expected) ** 2)) <= bound * np.sqrt(np.mean(expected**2))


if __name__ == "__main__":
    pair()
    fdk()
    parts()
    print("the same")
