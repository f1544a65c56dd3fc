"""Which scans of a data set can be used for training and for scoring alike, and why the others cannot: each is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...base import InputError
from ...base.record import kept_warnings
from ...data import Projections
from ...data.pairs import AsRead, Pair, find_pairs, lonely, placement_path
from ...data.placement import read_placement, write_placement
from .registration.register import SIZE, register

Say = Callable[[str], object]


@dataclass(frozen=True)
class Usable:
    """``pairs`` to work with; the reason for which each other scan is ``left_out``; and what was found about each pair, in words."""

    pairs: tuple[Pair, ...]
    left_out: Mapping[str, str]
    found: Mapping[str, str]


def usable_pairs(root: str | Path, as_read: AsRead | None = None, say: Say = print) -> Usable:
    """The pairs of a data set whose Recon-CT can be used. Of a download each Recon-CT is registered once, and its place kept in a file.

    What was registered by an earlier call, which may have been interrupted, is not done again while the files and options are the same.
    Raises InputError where nothing is left, and the errors of `find_pairs`.
    """
    root, options = Path(root), as_read or AsRead()
    pairs, found, kept = find_pairs(root, as_read=options), {}, []
    left_out = lonely(root)
    for pair in pairs:
        try:
            placed = _placed(pair, placement_path(root, options, pair.animal, pair.week), say) if pair.foreign else pair
        except (InputError, FileNotFoundError) as error:
            left_out[pair.name] = str(error)
            continue
        placement = placed.placement
        if placement is not None and placement.doubts:
            left_out[pair.name] = f"Recon-CT is not where its X-rays are: {placement.in_words()}"
            continue
        if placement is not None:
            found[pair.name] = placement.in_words()
        kept.append(placed)
    if not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:4])
        raise InputError(f"no scan of {root} can be used ({reasons})", expected="X-rays and a Recon-CT that belong together")
    return Usable(tuple(kept), dict(sorted(left_out.items(), key=lambda item: int(item[0].split()[0]))), found)


def _placed(pair: Pair, path: Path, say: Say) -> Pair:
    """The pair with its placement, registered now unless the file has it."""
    made_from = _made_from(pair)
    there = read_placement(path)
    if there is not None and there.made_from == made_from:
        return replace(pair, placement=there)
    say(f"registering Recon-CT of {pair.name} to its X-rays")
    with kept_warnings() as warned:
        projections = pair.projections(SIZE)
        voxel = pair.as_read.recon_voxel_mm or pair.scan().field_of_view_mm.pixel_mm
        placement = register(projections, pair.recon, voxel)
    facts = (*placement.facts, grey_map(projections), *warned)
    placement = replace(placement, facts=tuple(facts), made_from=made_from)
    try:
        write_placement(placement, path)
    except OSError as error:
        raise InputError(
            f"the place of Recon-CT cannot be written to {path} ({error.strerror})",
            expected="a folder that can be written",
            remedy="give --registration FOLDER",
        ) from error
    return replace(pair, placement=placement)


def grey_map(projections: Projections) -> str:
    """How the grey levels of the X-rays became intensities, in words."""
    report = projections.meta["prepare"]
    bits = projections.meta.get("bits")
    kind = f"{bits}-bit " if bits else ""
    return f"{kind}X-rays: intensity = grey / {report['air_level']:.5g}, the level of air ({report['air']}), and grey 0 is black"


def _made_from(pair: Pair) -> str:
    """A hash of the names, sizes and times of the files, and of the options, on which a registration depends."""
    facts = [f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for folder in (pair.xrays, pair.recon) for p in sorted(folder.iterdir())]
    options = (pair.as_read.voxel_mm, pair.as_read.recon_voxel_mm, pair.as_read.binning)
    return hashlib.sha256("\n".join([*facts, repr(options)]).encode()).hexdigest()


def in_words(usable: Usable) -> list[str]:
    """Lines for a page or a terminal: what was left out, and what was registered."""
    lines = [f"left out: {name}: {why}" for name, why in usable.left_out.items()]
    return [*lines, *(f"registered: {name}: {how}" for name, how in usable.found.items())]
