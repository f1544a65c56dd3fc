"""Which tasks share a linear map, and a hash of it."""

from __future__ import annotations

import hashlib
import json

from ....base.plain import plain
from ...scores.scoring import Maps
from ..pair_task import PairTask


def map_key(task: PairTask) -> str:
    """What a map is fitted for: the method with its settings, the number of views and how they are chosen, and the dose; not the animal."""
    facts = [task.method, task.method_hash, plain(task.settings), task.views, task.selection, task.size, task.photons]
    return json.dumps(facts, sort_keys=True)


def digest(maps: Maps | None) -> str:
    """A hash of the weights of all maps of a task, which is part of its key; empty where there is none."""
    if not maps:
        return ""
    found = hashlib.sha256()
    for reference in sorted(maps):
        for name, made in sorted(maps[reference].items()):
            found.update(f"{reference} {name} {made.offset!r}".encode() + made.weights.tobytes())
    return found.hexdigest()[:16]
