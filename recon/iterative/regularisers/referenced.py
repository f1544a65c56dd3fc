"""A prior that also knows an earlier volume: ``(1 - alpha) phi(K x) + alpha phi(K (x - reference))``.

Chen, Tang and Leng (Med. Phys. 35 (2008) 660) call it prior image constrained compressed sensing. What did not change costs nothing in the
second term, however fine it is; what did change is a difference with an edge, and costs there what any edge costs in total variation.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Volume, combined
from .priors import Dual, Prior


@dataclass(frozen=True, eq=False)
class Referenced:
    """The ``prior`` of the volume and that of its difference to the ``reference`` [z, y, x] in 1/mm, in shares 1 - ``alpha`` and ``alpha``.

    The dual variable is a pair, one for each term.
    """

    prior: Prior
    reference: Volume
    alpha: float

    @property
    def norm2(self) -> float:
        """An upper bound of |K|^2 for both terms together."""
        return 2 * self.prior.norm2

    def dual(self, x: Volume) -> Dual:
        """Dual variables of zeros for a volume [z, y, x]."""
        return self.prior.dual(x), self.prior.dual(x)

    def value(self, x: Volume) -> float:
        """Both terms for a volume [z, y, x]."""
        return (1 - self.alpha) * self.prior.value(x) + self.alpha * self.prior.value(combined(1, x, -1, self.reference))

    def ascend(self, p: Dual, x: Volume, step: float, weight: float) -> None:
        """A dual step at a volume x [z, y, x], which changes p."""
        self.prior.ascend(p[0], x, step, (1 - self.alpha) * weight)
        self.prior.ascend(p[1], combined(1, x, -1, self.reference), step, self.alpha * weight)

    def descend(self, base: Volume, p: Dual, scale: float, lower: float, upper: float, out: Volume) -> None:
        """A primal step from base [z, y, x] in 1/mm, written to out."""
        self.prior.descend(base, p[0], scale, -float("inf"), float("inf"), out)
        self.prior.descend(out, p[1], scale, lower, upper, out)
