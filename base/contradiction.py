"""A line of an account that reports a disagreement, told apart from one that reports a plain assumption."""

from __future__ import annotations


class Contradiction(str):
    """Text saying that two sources disagree and which of them was followed; to be read before mere assumptions.

    >>> line = Contradiction("step and range disagree")
    >>> line, isinstance(line, Contradiction), isinstance(line.upper(), Contradiction)
    ('step and range disagree', True, False)
    """

    __slots__ = ()
