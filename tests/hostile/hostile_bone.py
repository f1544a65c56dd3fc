"""`fewview bone` with volumes and options that make no sense, and bones that are not there."""

from __future__ import annotations

from hostile_case import Case, refused
from hostile_room import Room


def measure(name: str, words: str, *says: str) -> Case:
    """A case of a sound volume with these words."""
    return refused(f"measure {name}", lambda r: ["bone", "measure", r.nifti(), *words.split()], *says)


def both(name: str, words: str, *says: str) -> Case:
    """A case of two weeks that are one and the same volume."""

    def line(room: Room) -> list[object]:
        volume = room.nifti()
        return ["bone", *words.replace("VOLUME", str(volume)).split()]

    return refused(name, line, *says)


CASES = [
    measure("threshold above all values", "--threshold 1e9", "threshold"),
    measure("threshold nan", "--threshold nan", "threshold"),
    measure("threshold of another unit", "--threshold 75", "grey levels", "1/mm"),
    measure("region unknown", "--region trabecule", "trabecular"),
    measure("density of one number", "--density 1", "pairs"),
    measure("density of equal values", "--density 1 0 1 5", "different|differ"),
    measure("density that falls", "--density 1 5 2 0", "slope"),
    measure("intervals that are not there", "--intervals none.json --method fdk --views 3", "none.json"),
    measure("widen below nothing", "--widen -1", "--widen"),
    both("segment nothing", "segment --out OUT", "VOLUME"),
    both("segment rule unknown", "segment VOLUME --rule magic --out OUT", "75/255"),
    both("roi proximal unknown", "roi VOLUME VOLUME --proximal side --out OUT", "proximal"),
    both("roi slices 0", "roi VOLUME VOLUME --slices 0 --out OUT", "--slices"),
    both("roi length negative", "roi VOLUME VOLUME --length-mm -1 --out OUT", "--length-mm"),
    both("register nothing", "register --out OUT", "VOLUME"),
    both("follow one week", "follow VOLUME", "two weeks"),
    both("follow a week twice", "follow VOLUME VOLUME --weeks 1 1", "--weeks"),
    both("follow a week before birth", "follow VOLUME VOLUME --weeks -1 1", "--weeks"),
]
