"""What can be set, as a table for a person: the settings of methods, of the simulated physics, of the corrections, and of training."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..base.settings import expected_of
from ..recon import METHODS, load_method

_UNITS = {
    "mm": "mm", "deg": "deg", "px": "pixels", "kv": "kV", "ua": "uA", "ms": "ms", "kev": "keV", "al": "mm of Al", "seconds": "s",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """A setting as it is shown. ``unit`` is "" for a number without one; ``expected`` states type, bounds and choices in words."""

    name: str
    default: str
    unit: str
    expected: str


def settings_of(cls: type) -> list[Setting]:
    """All settings of a settings class, in their order.

    >>> from fewview.recon.corrections import Corrections
    >>> settings_of(Corrections)[1]
    Setting(name='rings', default='0', unit='', expected='0 (off) to 20, a whole number')
    """
    return [Setting(f.name, _default(f), unit_of(f.name), expected_of(cls, f.name)) for f in dataclasses.fields(cls) if f.init]


def _default(field: Any) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "(must be given)"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def unit_of(name: str) -> str:
    """The unit that the end of a name states, or "".

    >>> unit_of("axis_shift_mm"), unit_of("filter_mm_al"), unit_of("photons")
    ('mm', 'mm of Al', '')
    """
    return _UNITS.get(name.rpartition("_")[2], "")


def explanation(cls: type) -> str:
    """The docstring of a settings class, and of the classes from which it inherits settings, as plain text."""
    own = [c for c in cls.__mro__ if dataclasses.is_dataclass(c) and vars(c).get("__doc__")]
    seen = dict.fromkeys(inspect.cleandoc(c.__doc__ or "") for c in own)
    texts = (text for text in seen if not text.startswith(f"{cls.__name__}("))
    return "\n\n".join(text.replace("``", "").replace("**", "").replace("Args:\n", "") for text in texts)


def groups() -> dict[str, tuple[type, str]]:
    """What can be set besides methods: name -> (settings class, how it is given on the command line)."""
    from ..nerf.training.settings import TrainSettings
    from ..recon.corrections import Corrections
    from ..recon.physics.effects import Physics

    return {
        "corrections": (
            Corrections,
            "fewview recon SCAN --NAME VALUE ... or --correct NAME=VALUE ...   (recon: dead_pixels is 0 unless given)",
        ),
        "physics": (Physics, "fewview simulate VOLUME --physics NAME=VALUE ..."),
        "training": (TrainSettings, "fewview train METHOD --set NAME=VALUE ..."),
    }


def overview() -> Iterator[str]:
    """Lines that say what each method does, with its paper below, and what else can be set."""
    for name in METHODS:
        try:
            method = METHODS[name]
        except ImportError as error:
            yield f"{name:<12} cannot be loaded: {error}"
            continue
        yield f"{name:<12} {method.kind:<10} {method.summary}{' (needs a trained checkpoint)' if method.trained else ''}".rstrip()
        if method.reference:
            yield f"{'':<23} {method.reference}"
    yield ""
    for name, (_, how) in groups().items():
        yield f"{name:<12} {how}"


def account(name: str) -> Iterator[str]:
    """Lines about a method (or corrections, physics, training): what it is, its paper, and each setting with default, unit and expected
    values.
    """
    special = groups()
    if name in special:
        cls, how = special[name]
        yield f"{name}: {how}"
    else:
        method = load_method(name)
        cls = method.Settings
        yield f"{method.name}: {'; '.join(part for part in (method.summary, method.reference) if part) or 'no reference is given'}"
        yield f"fewview recon SCAN --method {name} --set NAME=VALUE ..." + ("   (needs checkpoint=FILE)" if method.trained else "")
    yield ""
    yield from _table(settings_of(cls))
    words = explanation(cls)
    if words:
        yield ""
        yield words


def _table(settings: list[Setting]) -> Iterator[str]:
    rows = [("setting", "default", "unit", "expected"), *(typing.cast(tuple[str, ...], dataclasses.astuple(s)) for s in settings)]
    if len(rows) == 1:
        yield "no settings"
        return
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        yield "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
