"""The text of a SkyScan log: its sections, keys and values, as real files have them. There is no geometry here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ...base import InputError

SEARCH_ORDER = ("acquisition", "system", "reconstruction", "user", "filenameconvention")
"""Where a key is looked for first when the caller names no section (normalised section names)."""

_SPELLINGS = {
    "mininumforcstoimageconversion": "minimumforcstoimageconversion",
    "numberoffile": "numberoffiles",
    "numberofrow": "numberofrows",
    "numberofcolumn": "numberofcolumns",
    "postaligment": "postalignment",
}
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")
_EITHER_WAY = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")  # 1,024: a thousand and more, or one and a little
_UNITS = {
    "um": ("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"),
    "mm": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "deg": ("deg", "degree", "degrees", "°"),
}
"""Unit in a key's brackets -> what may follow the number; other brackets stand for themselves."""
_MOST = {"deg": 999.0, "mm": 2000.0, "um": 5000.0}
"""Unit -> more than any number of a log, so that a comma before three digits is a decimal comma."""
_DURATION = re.compile(r"(\d+)\s*h?\s*:\s*(\d+)\s*m?\s*:\s*(\d+(?:\.\d+)?)\s*s?\s*")


def normalise(key: str) -> str:
    """A key without case, blanks, punctuation and known misspellings. Keys are compared as a whole, never by a part.

    >>> normalise("Camera X/Y Ratio") == normalise("CameraXYRatio")
    True
    >>> normalise("Pixel Size (um)") == normalise("Image Pixel Size (um)")
    False
    """
    plain = re.sub(r"[^a-z0-9]", "", key.lower().replace("µ", "u").replace("μ", "u"))
    return _SPELLINGS.get(plain, plain)


@dataclass(frozen=True)
class LogText:
    """``sections`` maps section name -> key -> value, as written, with every key kept. Look-ups ignore case, blanks and punctuation.

    ``repeated`` lists (section, key, earlier value, later value) for each key that occurs again in its section; the later value is kept.
    """

    path: Path
    sections: Mapping[str, Mapping[str, str]]
    repeated: tuple[tuple[str, str, str, str], ...] = ()

    def places(self, key: str) -> list[tuple[str, str]]:
        """Every (section, value) in which this key occurs with a value, in the order of `SEARCH_ORDER` and then of the file."""
        wanted = normalise(key)
        found = [(s, value) for s, block in self.sections.items() for k, value in block.items() if normalise(k) == wanted and value]
        rank = {name: i for i, name in enumerate(SEARCH_ORDER)}
        return sorted(found, key=lambda place: rank.get(normalise(place[0]), len(rank)))

    def get(self, key: str, section: str | None = None) -> str | None:
        """The value of a key (in one section, or in the first of `SEARCH_ORDER` that has it), or None."""
        for place, value in self.places(key):
            if section is None or normalise(place) == normalise(section):
                return value
        return None

    def number(self, key: str, section: str | None = None) -> float | None:
        """The number with which a value begins, ignoring blanks and the unit of the key; None where the key is absent.

        Raises InputError naming file and key where the value does not start with a finite number, has another unit than the key (``10.6
        mm`` for a key in um), or can be read in two ways (``1,024`` and other separators of thousands).
        """
        value = self.get(key, section)
        if value is None:
            return None
        match = _NUMBER.match(value)
        number = float(match[0].replace(",", ".")) if match else math.nan
        if match is None or not math.isfinite(number):
            raise InputError(f"{self.path}: '{key}' is {value!r}", expected="a number", remedy="correct the log")
        rest = value[match.end() :].strip()
        if _may_be_thousands(key, match[0]) or rest[:1].isdigit() or rest[:1] in (",", ".", "'", "’"):
            raise InputError(
                f"{self.path}: '{key}' is {value!r}",
                expected="a number with a decimal point and without separators of thousands",
                remedy="correct the log: it is unclear which of two numbers is meant",
            )
        self._check_unit(key, value, rest)
        return number

    def _check_unit(self, key: str, value: str, rest: str) -> None:
        bracket = re.search(r"\(([^)]*)\)\s*$", key)
        written = re.match(r"[^\W\d_]+|°|%", rest.lower().replace("µ", "u").replace("μ", "u"))
        if bracket is None or bracket[1] == "line" or written is None:
            return
        unit = bracket[1].lower()
        if written[0] not in _UNITS.get(unit, (unit,)):
            raise InputError(f"{self.path}: '{key}' is {value!r}", expected=f"a number in {bracket[1]}", remedy="convert it in the log")

    def needed(self, key: str, *, remedy: str, whole: bool = False) -> float:
        """A positive number that the geometry cannot do without; InputError naming file, key and remedy otherwise."""
        value = self.number(key)
        if value is None:
            raise InputError(f"{self.path}: the log has no key '{key}'", expected=f"a line '{key}=...'", remedy=remedy)
        if not (0 < value < float("inf")) or (whole and value != int(value)):
            raise InputError(f"{self.path}: '{key}' is {value:g}", expected=f"a positive {'whole ' * whole}number", remedy=remedy)
        return value


def _may_be_thousands(key: str, number: str) -> bool:
    """Whether ``1,024`` may mean a thousand and more for this key; thousands of degrees, metres or centimetres cannot be meant."""
    bracket = re.search(r"\((\w+)\)\s*$", key)
    most = _MOST.get(bracket[1].lower(), math.inf) if bracket else math.inf
    return _EITHER_WAY.fullmatch(number) is not None and abs(float(number.replace(",", ""))) <= most


def parse_text(path: str | Path) -> LogText:
    """Read a log as UTF-8 where it is valid, and as the Windows code page otherwise. Nothing is interpolated, and unknown keys are kept.

    A key that occurs twice in a section keeps its last value. Comment lines (``;``, ``#``) are left out.

    Raises FileNotFoundError, and InputError for a file without a single ``[section]`` and ``key=value``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"SkyScan log {path} is not there")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    sections: dict[str, dict[str, str]] = {}
    block: dict[str, str] | None = None
    name = ""
    repeated: list[tuple[str, str, str, str]] = []
    for line in re.split(r"[\r\n]+", text.replace("\0", "")):
        line = line.strip()
        if not line or line[0] in ";#":
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip()
            block = sections.setdefault(name, {})
        elif "=" in line:
            key, _, value = line.partition("=")
            if block is None:
                block = sections.setdefault("", {})
            key, value = key.strip(), value.strip()
            if block.get(key):
                repeated.append((name, key, block[key], value))
            block[key] = value
    if not any(section and keys for section, keys in sections.items()):
        raise InputError(f"{path}: no [section] with key=value lines", expected="a SkyScan log", remedy="give the .log beside the TIFFs")
    return LogText(path, MappingProxyType({section: MappingProxyType(keys) for section, keys in sections.items()}), tuple(repeated))


def switch(value: str) -> tuple[bool, int | None]:
    """The on/off value of a text, and the number in its brackets.

    >>> switch("ON (4)"), switch(" off (1)"), switch("YES"), switch("56%")
    ((True, 4), (False, 1), (True, None), (True, None))
    """
    count = re.search(r"\((\d+)\)", value)
    word = value.strip().split("(")[0].strip().lower()
    return word not in ("off", "no", "false", "none", "0", ""), int(count[1]) if count else None


def duration_s(value: str) -> float:
    """The seconds of a duration, which logs spell in two ways.

    >>> duration_s("0h:40m:34s"), duration_s("08:55:50")
    (2434.0, 32150.0)
    """
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise InputError(f"{value!r} is not a duration", expected="0h:40m:34s or 00:40:34")
    hours, minutes, seconds = (float(part) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds
