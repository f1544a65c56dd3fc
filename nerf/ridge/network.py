"""The ridge prior of `wcrr` as something to train: filters and profiles as functions of free parameters that keep every constraint.

``R(x) = sum_i sum_voxels psi_i((W x)_i)`` (Goujon, Neumayer, Unser, arXiv 2308.10542), here in three dimensions. W is two small
convolutions after one another, each filter of mean zero, with a largest singular value of one. All profiles are one, stretched:
``psi_i(t) = psi(a_i t) / a_i^2``. Its derivative is a linear spline with slopes from -1 to mu, so that ``1/2 |x - y|^2 + R(x)`` is convex.
The scales a_i and mu depend on the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ...base.settings import Count, Positive, checked
from ...base.shapes import Float
from ...recon.ridge.filters import continued, folded, responses, spectral_norm, transposed
from ...recon.ridge.weights import RidgeWeights


@checked(of="the ridge prior")
class RidgeSize:
    """``middle`` and ``filters`` are the channels of the two convolutions of 3^3, ``knots`` the pieces of the spline of the profile.

    ``noise`` are the levels between which scales and steepness are interpolated, as shares of the grey scale of the volume.
    """

    middle: Count = 4
    filters: Count = 16
    knots: Count = 24
    noise: tuple[float, ...] = (0.01, 0.025, 0.06, 0.15, 0.4)
    steepest: Positive = 12.0


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile at the noise of each sample: scales a [n, filter] and its derivative at the knots from 0 to 1, [n, knots + 1]."""

    scale: Tensor
    slope_at_knots: Tensor


class RidgeNetwork(nn.Module):
    """The parameters, and the prior that they stand for."""

    def __init__(self, size: RidgeSize, generator: Generator) -> None:
        super().__init__()
        self.size, levels = size, len(size.noise)
        self.first = nn.Parameter(torch.randn((size.middle, 1, 3, 3, 3), generator=generator))
        self.second = nn.Parameter(torch.randn((size.filters, size.middle, 3, 3, 3), generator=generator))
        noise = torch.tensor(size.noise)
        spread = torch.randn((1, size.filters), generator=generator) * 0.3
        self.log_scale = nn.Parameter((0.2 / noise).log()[:, None] + spread)
        self.log_steep = nn.Parameter(torch.full((levels,), 4.0).log())
        place = torch.arange(size.knots) / size.knots
        self.rise = nn.Parameter(3.0 - 40 * place)
        self.fall = nn.Parameter(torch.full((size.knots,), -3.0))

    def filters(self) -> tuple[Float[Tensor, "m 1 3 3 3"], Float[Tensor, "f m 3 3 3"]]:
        """The weights of both convolutions: of mean zero, and together of norm one."""
        first = self.first - self.first.mean(dim=(2, 3, 4), keepdim=True)
        first = first / first.square().sum().sqrt()
        return first, self.second / spectral_norm(first, self.second)

    def tables(self) -> tuple[Float[Tensor, "level f"], Float[Tensor, "level knot"]]:
        """Scales, and the derivative of the profile at the knots from 0 to 1, at every level of noise (a share of the grey scale)."""
        steep = self.log_steep.exp().clamp(max=self.size.steepest)[:, None]
        slopes = steep * self.rise.sigmoid() - self.fall.sigmoid()
        at_knots = functional.pad(slopes.cumsum(dim=1) / self.size.knots, (1, 0))
        return self.log_scale.exp(), at_knots

    def profile(self, sigma: Float[Tensor, "n"]) -> Profile:
        """The profile at the noise of each sample (a share of the grey scale), interpolated over its logarithm."""
        levels = torch.tensor(self.size.noise).log()
        place = torch.bucketize(sigma.log().clamp(levels[0] + 1e-6, levels[-1]), levels) - 1
        share = ((sigma.log() - levels[place]) / (levels[place + 1] - levels[place])).clamp(0, 1)[:, None]
        scale, table = self.tables()
        mixed = (1 - share) * scale.log()[place] + share * scale.log()[place + 1]
        return Profile(mixed.exp(), (1 - share) * table[place] + share * table[place + 1])


def weights_of(network: RidgeNetwork) -> RidgeWeights:
    """The numbers that a trained network stands for, which is all that a reconstruction needs. The filters are made of mean zero and of
    norm one once more in double precision, and a profile that falls at its far end is made level there, so that the prior is bounded below.
    """
    with torch.no_grad():
        (first, second), (scale, slope) = network.filters(), network.tables()
        first = first.double() - first.double().mean(dim=(2, 3, 4), keepdim=True)
        second = second.double() / spectral_norm(first, second.double(), 64)
        noise = torch.tensor(network.size.noise, dtype=torch.float64)
        return RidgeWeights(*(a.double().numpy() for a in (first, second, noise, scale, slope.clamp(min=0))))


def bent(r: Float[Tensor, "n f z y x"], profile: Profile) -> Float[Tensor, "n f z y x"]:
    """The derivative of the profiles at the responses, in the same unit; it is odd, and constant beyond the last knot."""
    knots = profile.slope_at_knots.shape[1] - 1
    scale = profile.scale[:, :, None, None, None]
    t = (r * scale).abs().clamp(max=1) * knots
    below = t.detach().long().clamp(max=knots - 1)
    start = torch.arange(len(r))[:, None, None, None, None] * (knots + 1)
    flat = profile.slope_at_knots.reshape(-1)
    low, high = flat[below + start], flat[below + start + 1]
    return r.sign() * (low + (t - below) * (high - low)) / scale


def denoised(y: Float[Tensor, "n z y x"], sigma: Float[Tensor, "n"], network: RidgeNetwork, free: int = 5, kept: int = 1) -> Tensor:
    """The volumes [n, z, y, x] that minimise ``1/2 |x - y|^2 + R(x)``, x >= 0, by ``free`` accelerated steps and ``kept`` plain ones, in
    the unit of y, which is the grey scale.

    Only the last ones keep what a gradient with respect to the parameters needs: they are the first terms of the Neumann series of the
    exact gradient of a fixed point.
    """
    first, second = network.filters()
    profile = network.profile(sigma)
    steep = (profile.slope_at_knots.diff(dim=1).amax(dim=1) * (profile.slope_at_knots.shape[1] - 1)).clamp(min=0)
    step = (1 / (1 + steep.detach()))[:, None, None, None]

    def moved(x: Tensor) -> Tensor:
        bend = bent(responses(continued(x), first, second), profile)
        slope = x - y + folded(transposed(bend, first, second))
        return (x - step * slope).clamp(min=0)

    with torch.no_grad():
        x = before = y.clamp(min=0)
        for k in range(free):
            x, before = moved(x + (x - before) * (k / (k + 3))), x
    for _ in range(kept):
        x = moved(x)
    return x
