"""From projections to filtered views on a GPU: weights and cosines, the ramp by cuFFT, and a turn from rows to columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from ...geometry import Scan
from ...geometry.rotation import Orbit, pixel_directions
from ..projector.gpu.turning import copy_turned, on_device_of
from .ramp import padded_length, ramp_response
from .redundancy import Coverage, full_circle_weight, short_scan_cell_weight


@dataclass(frozen=True)
class CardFilter:
    """Weights, ramp and geometry of the views of a scan, on ``response.device``.

    Rows are zero-padded to ``length`` for the ramp's ``response``. ``vectors`` (view, 9) float64: depth, across, along of a pixel's vector
    from the source, as `pixel_directions` gives them. Filtered views are in units of ``1 / unit_mm``, so that half precision holds them.
    ``kept``: weights of blocks of views that were asked for.
    """

    scan: Scan
    covered: Coverage
    response: Tensor
    vectors: Tensor
    dso_mm: Tensor
    unit_mm: float
    length: int
    kept: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, scan: Scan, orbit: Orbit, covered: Coverage, device: torch.device, filter: str, cutoff: float) -> CardFilter:
        """For the views of ``scan``; ``filter`` and ``cutoff`` as in `ramp_response`."""
        cols = scan.shape[1]
        vectors = np.concatenate(pixel_directions(scan, orbit, slice(None)), axis=1)
        unit_mm = float(np.linalg.norm(scan.u, axis=1).mean() * orbit.dso_mm.mean() / np.abs(vectors[:, 0]).mean())
        response = torch.from_numpy(ramp_response(cols, filter, cutoff)).to(device)
        vectors_there, dso_there = (torch.from_numpy(a).to(device) for a in (vectors, orbit.dso_mm))
        return cls(scan, covered, response, vectors_there, dso_there, unit_mm, padded_length(cols))

    def apply(self, values: Tensor, views: slice, held: Tensor) -> None:
        """Fill ``held`` (`held_shape`; its unused places are zero) with these views of the line integrals ``values`` [view, row, col],
        filtered.
        """
        rows = values.shape[1]
        filtered = self._ramp(self._weighed(values, views, padded=True))[..., : values.shape[2]]
        copy_turned(filtered.permute(0, 2, 1), held[:, :, 2 : rows + 2])
        held[:, :, 1], held[:, :, rows + 2] = held[:, :, 2], held[:, :, rows + 1]

    def transpose(self, held: Tensor, views: slice) -> Tensor:
        """The transpose of `apply`: views [view, row, col], in the unit of line integrals."""
        rows, cols = self.scan.shape
        inner = held[:, :, 2 : rows + 2].clone()
        inner[:, :, 0] += held[:, :, 1]
        inner[:, :, rows - 1] += held[:, :, rows + 2]
        padded = torch.zeros((len(held), rows, self.length), dtype=torch.float32, device=held.device)
        copy_turned(inner.permute(0, 2, 1), padded[..., :cols])
        return self._weighed(self._ramp(padded)[..., :cols].contiguous(), views, padded=False)

    def _ramp(self, padded: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(padded)
        spectrum *= self.response
        return torch.fft.irfft(spectrum, self.length)

    def _weighed(self, values: Tensor, views: slice, *, padded: bool) -> Tensor:
        """Times redundancy weight and cosine; ``padded`` with zeros behind each row."""
        many, rows, cols = values.shape
        length = self.length if padded else cols
        weight = self._weights_of(views)
        out = torch.zeros((many, rows, length), dtype=torch.float32, device=values.device)
        kernel: Any = _weigh[(triton.cdiv(cols, 256), rows, many)]
        with on_device_of(values):
            kernel(out, values.contiguous(), weight, self.vectors[views].contiguous(), rows, cols, length, weight.shape[1] > 1, 256)
        return out

    def _weights_of(self, views: slice) -> Tensor:
        """`weights`, kept where all rows share them."""
        key = (views.start, views.stop)
        found = self.kept[key] if key in self.kept else self.weights(views)
        if found.shape[1] == 1:
            self.kept[key] = found
        return found

    def weights(self, views: slice) -> Tensor:
        """(view, row, col) or (view, 1, col) float32: what `ray_weights` finds on the CPU, times ``unit_mm``."""
        depth, across, _ = self.vectors[views].split(3, dim=1)
        same_in_rows = max(float(c[:, 2].abs().max() / c.abs().max()) for c in (depth, across)) < 1e-9
        rows, cols = self.scan.shape
        row = torch.arange(1 if same_in_rows else rows, device=depth.device, dtype=torch.float64)[:, None]
        col = torch.arange(cols, device=depth.device, dtype=torch.float64)
        d, a = (c[:, 0, None, None] + c[:, 1, None, None] * col + c[:, 2, None, None] * row for c in (depth, across))
        fan = torch.atan2(a, d)
        if self.covered.full:
            weight = full_circle_weight(fan, (float(fan[:, 0].min()), float(fan[:, 0].max())))
        else:
            start, end = (torch.from_numpy(edge[views].copy()).to(fan)[:, None, None] for edge in (self.covered.start, self.covered.end))
            weight = short_scan_cell_weight(start, end, fan, self.covered.range)
        spacing = (d[..., 0] * across[:, 1, None] - a[..., 0] * depth[:, 1, None]).abs() / self.dso_mm[views, None]
        return (weight * (self.unit_mm / spacing[..., None])).float()


@triton.jit(do_not_specialize=["rows", "cols"])
def _weigh(out, values, weight, vectors, rows, cols, length, BY_ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """values [view, row, col] times weight [view, row or 1, col] times the cosine of the ray's angle to the central one, in ``out``."""
    col, row, view = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1), tl.program_id(2).to(tl.int64)
    there = col < cols
    c = vectors + view * 9
    d = (tl.load(c) + row * tl.load(c + 2)).to(tl.float32) + col * tl.load(c + 1).to(tl.float32)
    a = (tl.load(c + 3) + row * tl.load(c + 5)).to(tl.float32) + col * tl.load(c + 4).to(tl.float32)
    h = (tl.load(c + 6) + row * tl.load(c + 8)).to(tl.float32) + col * tl.load(c + 7).to(tl.float32)
    line = view * rows + row
    factor = tl.load(weight + (line if BY_ROWS else view) * cols + col, mask=there, other=0.0)
    value = tl.load(values + line * cols + col, mask=there, other=0.0)
    tl.store(out + line * length + col, value * factor * (d / tl.sqrt(d * d + a * a + h * h)), mask=there)
