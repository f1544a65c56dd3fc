"""A mapping that cannot be changed. Unlike `types.MappingProxyType` it can be pickled and copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class ReadOnly(Mapping[str, Any]):
    """A read-only copy of a mapping. Only the names are fixed; the values are not copied.

    >>> facts = ReadOnly({"photons": 20_000})
    >>> facts["photons"], {**facts, "seed": 1}
    (20000, {'photons': 20000, 'seed': 1})
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)
