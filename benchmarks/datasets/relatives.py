"""Which animals are related, and a split into training, validation and test that keeps relatives together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...base import InputError

FRACTIONS: Mapping[str, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}

# (pattern of a strain's name in capitals without punctuation, the lines from which it descends). The first match counts. F1 hybrids name
# both parents, and so join their families. This follows the nomenclature of strains and their genealogy (Beck et al., Nat. Genet. 24 (2000)
# 23): LP and 129 come from the same English fancy stock, FVB, SJL and SWR from Swiss mice, and three quarters of MRL from LG.
_LINES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"CB6F1", ("BALB", "C57")),
    (r"CAF1", ("BALB", "A")),
    (r"B6129[PS]?F1", ("C57", "129")),
    (r"B6AF1", ("C57", "A")),
    (r"B6C3F1", ("C57", "C3H")),
    (r"B6CBAF1", ("C57", "CBA")),
    (r"B6D2F1", ("C57", "DBA")),
    (r"B6SJLF1", ("C57", "Swiss")),
    (r"C57", ("C57",)),
    (r"X?129|LP(J|$)", ("129",)),
    (r"BALB", ("BALB",)),
    (r"C3H", ("C3H",)),
    (r"CBA", ("CBA",)),
    (r"DBA", ("DBA",)),
    (r"NZ[BOW]", ("NZ",)),
    (r"SJL|SWR|FVB", ("Swiss",)),
    (r"MRL|LG(?!\w*F1)", ("LG",)),
    (r"AJ?$", ("A",)),
)


# The animals to which the rule for the weight of total variation was fitted (recon/iterative/tuning/prior_weight.py). They and their
# relatives are never test animals where there are enough others.
SEEN_BY_RULES = ("C57BL6_J_", "NU_J_", "A_J_", "BALB_CBYJ_", "BTBR_T_Itpr3tf_j_", "C3H_HEJ_")


def lines_of(name: str) -> tuple[str, ...]:
    """The inbred lines from which a strain descends, by its name or file name; an unknown name is a line of its own.

    >>> lines_of("B6C3F1.J_.nii.gz"), lines_of("C57BL_10J_"), lines_of("A_J_"), lines_of("phantom 3")
    (('C57', 'C3H'), ('C57',), ('A',), ('phantom 3',))
    """
    stem = re.sub(r"\.(nii|gz|ome|tiff?|h5|zarr)(?=\.|$)", "", name, flags=re.IGNORECASE)
    plain = re.sub(r"[^A-Z0-9]", "", stem.upper())
    for pattern, lines in _LINES:
        if re.match(pattern, plain):
            return lines
    return (stem.strip("_ ") or name,)


def families(names: Sequence[str]) -> dict[str, str]:
    """Name -> family. Strains that share a line are one family, also through hybrids: B6C3F1 makes C57 and C3H relatives.

    >>> families(["C57BL6_J_", "C3H_HEJ_", "B6C3F1.J_", "LP.J_"])
    {'C57BL6_J_': 'C3H+C57', 'C3H_HEJ_': 'C3H+C57', 'B6C3F1.J_': 'C3H+C57', 'LP.J_': '129'}
    """
    groups: list[set[str]] = []
    for name in names:
        joined = set(lines_of(name))
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    family = {line: "+".join(sorted(group)) for group in groups for line in group}
    return {name: family[lines_of(name)[0]] for name in names}


def split_by_family(names: Sequence[str], seed: int = 0, fractions: Mapping[str, float] = FRACTIONS) -> dict[str, list[str]]:
    """Part -> names, in the order given. Whole families go to the part that lacks most, the largest family first.

    Families of `SEEN_BY_RULES` go to "train", where other families are left for every other part.

    ``fractions`` are shares of the animals, and are met as closely as whole families allow. Where there are enough families no part stays
    empty. Families of equal size are taken in an order drawn from ``seed``.

    Raises InputError for a repeated name, and for fractions that are negative or do not add up to 1.

    >>> split_by_family(["C57BL6_J_", "C57L_J_", "B6D2F1_J_", "NZO.HlLtJ_", "LP.J_"], fractions={"train": 0.6, "test": 0.4})
    {'train': ['C57BL6_J_', 'C57L_J_', 'B6D2F1_J_'], 'test': ['NZO.HlLtJ_', 'LP.J_']}
    """
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"the animal {twice!r} occurs more than once", expected="one name for each animal")
    if not fractions or min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise InputError(f"fractions are {dict(fractions)}", expected="shares of 0 or more that add up to 1, such as 0.7, 0.15, 0.15")
    members: dict[str, list[str]] = {}
    for name, family in families(names).items():
        members.setdefault(family, []).append(name)
    drawn = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    order = sorted(drawn, key=lambda family: -len(members[family]))
    parts: dict[str, list[str]] = {part: [] for part, share in fractions.items() if share > 0}
    size = dict.fromkeys(parts, 0)
    pinned = _seen(names, members) if "train" in parts else set()
    if len(order) - len(pinned) < len(parts) - 1:
        pinned = set()
    order = [*(f for f in order if f in pinned), *(f for f in order if f not in pinned)]
    for place, family in enumerate(order):
        empty = [part for part in parts if not parts[part]]
        choice = empty if len(empty) >= len(order) - place else list(parts)  # the last families go where there is none yet
        lacking = max(choice, key=lambda part: fractions[part] * len(names) - size[part])
        part = "train" if family in pinned else lacking
        parts[part].append(family)
        size[part] += len(members[family])
    kept = {name: part for part, found in parts.items() for family in found for name in members[family]}
    return {part: [name for name in names if kept.get(name) == part] for part in fractions}


def _seen(names: Sequence[str], members: Mapping[str, Sequence[str]]) -> set[str]:
    """The families that have an animal, or a relative of one, to which a built-in rule was fitted."""
    related = families([*names, *(name for name in SEEN_BY_RULES if name not in names)])
    marked = {related[name] for name in SEEN_BY_RULES}
    return {family for family, own in members.items() if any(related[name] in marked for name in own)}
