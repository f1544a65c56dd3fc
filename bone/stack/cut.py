"""How a stack is cut into slabs along z, and which slices around a slab are looked at with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """Slabs of ``height`` slices, the last one of what is left, of a volume of ``shape`` (z, y, x); the whole volume is one slab.

    >>> Cut((10, 4, 4), 4).slabs
    (slice(0, 4, None), slice(4, 8, None), slice(8, 10, None))
    """

    shape: tuple[int, int, int]
    height: int

    @property
    def slabs(self) -> tuple[slice, ...]:
        """The slices of each slab."""
        depth = self.shape[0]
        return tuple(slice(z, min(z + self.height, depth)) for z in range(0, depth, self.height))

    @property
    def is_whole(self) -> bool:
        """Whether it is one slab."""
        return self.height >= self.shape[0]

    def around(self, own: slice, halo: int) -> slice:
        """Some slices and ``halo`` more on both sides, as far as the volume goes."""
        return slice(max(own.start - halo, 0), min(own.stop + halo, self.shape[0]))

    def touching(self, window: slice) -> range:
        """The numbers of the slabs that have slices in the window.

        >>> Cut((10, 4, 4), 4).touching(slice(3, 5))
        range(0, 2)
        """
        return range(window.start // self.height, -(-window.stop // self.height))


def within(own: slice, window: slice) -> slice:
    """Where the slices ``own`` are among those of a window.

    >>> within(slice(4, 8), slice(2, 9))
    slice(2, 6, None)
    """
    return slice(own.start - window.start, own.stop - window.start)
