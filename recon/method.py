"""The registry: a method is one object, found by its name, from any room, another package, or a file of your own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import InputError, UnknownNameError
from ..base.settings import checked, is_checked
from ..data import Projections
from ..geometry import Grid

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """What a method tells its callbacks: ``step`` of ``total``, the current volume, and named values.

    ``values`` are numbers worth plotting (objective, residual, ...). ``resolved`` are settings that the method chose itself;
    they replace the automatic ones in the result. ``volume`` may be the method's own array: copy it to keep it.
    """

    step: int
    total: int
    volume: Volume | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)


Callback = Callable[[Progress], None]


@checked()
class NoSettings:
    """A method without settings."""


@dataclass(frozen=True)
class Method:
    """A reconstruction method. ``run(projections, grid, settings, callbacks) -> volume`` [z, y, x], 1/mm.

    ``Settings`` is a class under `fewview.base.settings.checked` whose defaults work (a plain dataclass is made into one); ``trained``
    says whether a checkpoint is needed; ``reference`` is the paper.
    """

    name: str
    run: Callable[[Projections, Grid, Any, Sequence[Callback]], Volume]
    Settings: type = NoSettings
    trained: bool = False
    reference: str = ""

    def __post_init__(self) -> None:
        if not is_checked(self.Settings):
            object.__setattr__(self, "Settings", checked(of=self.name)(self.Settings))

    def settings(self, **given: Any) -> Any:
        """The settings object for these keyword arguments; an unknown name raises with the nearest ones, a wrong value by its name."""
        return self.Settings(**given)


# Where the built-in methods live, by text: rooms above this one (nerf) join without an import from here.
_BUILT_IN = {
    "fdk": "fewview.recon.analytic.feldkamp:METHOD",
    "fdk_astra": "fewview.recon.analytic.astra_methods:FDK_ASTRA",
    "fbp_astra": "fewview.recon.analytic.astra_methods:FBP_ASTRA",
    "sirt": "fewview.recon.iterative.sirt:METHOD",
    "os_sart": "fewview.recon.iterative.os_sart:METHOD",
    "cgls": "fewview.recon.iterative.cgls:METHOD",
    "fista_tv": "fewview.recon.iterative.fista_tv:METHOD",
    "pdhg_tv": "fewview.recon.iterative.pdhg_tv:METHOD",
    "asd_pocs": "fewview.recon.iterative.asd_pocs:METHOD",
    "naf": "fewview.nerf.field.naf:METHOD",
    "pixelnerf": "fewview.nerf.pixelnerf.method:METHOD",
    "mednerf": "fewview.nerf.mednerf.method:METHOD",
    "unet": "fewview.nerf.volumes.unet:METHOD",
    "lpd": "fewview.nerf.volumes.lpd:METHOD",
}


class _Registry(Mapping[str, Method]):
    """Name -> Method, loaded when asked for: built-in ones, then entry points in the group ``fewview.methods``."""

    def _places(self) -> dict[str, str]:
        found = {point.name: point.value for point in entry_points(group="fewview.methods")}
        here = {name: place for name, place in _BUILT_IN.items() if importlib.util.find_spec(place.partition(":")[0])}
        return {**found, **here}

    def __getitem__(self, name: str) -> Method:
        places = self._places()
        if name not in places:
            raise UnknownNameError("method", name, places)
        module, _, attribute = places[name].partition(":")
        return as_method(getattr(importlib.import_module(module), attribute), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places())

    def __len__(self) -> int:
        return len(self._places())

    def __contains__(self, name: object) -> bool:
        return name in self._places()


METHODS: Mapping[str, Method] = _Registry()


def as_method(thing: object, name: str) -> Method:
    """A Method as it is; a plain function ``(projections, grid) -> volume`` wrapped as one."""
    if isinstance(thing, Method):
        return thing
    if not callable(thing):
        raise InputError(f"method {name!r} is a {type(thing).__name__}", expected="a Method, or a function (projections, grid) -> volume")
    function: Callable[..., Any] = thing
    try:
        taken = inspect.signature(function)
    except ValueError:  # a built-in one that does not say
        taken = inspect.signature(as_method)
    try:
        taken.bind(None, None)
    except TypeError:
        raise InputError(f"method {name}{taken}", expected="a function of two arguments, (projections, grid) -> volume") from None

    def run(projections: Projections, grid: Grid, settings: Any, callbacks: Sequence[Callback]) -> Volume:
        return function(projections, grid)

    return Method(name=name, run=run, reference=(function.__doc__ or "").strip().split("\n")[0])


def load_method(spec: str | Method | Callable[..., Any]) -> Method:
    """A method from its registered name, a Method, a function, or ``path/to/file.py:function``."""
    if isinstance(spec, Method):
        return spec
    if not isinstance(spec, str):
        return as_method(spec, getattr(spec, "__name__", "function"))
    path_text, colon, attribute = spec.rpartition(":")
    if not (colon and path_text.endswith(".py")):
        return METHODS[spec]
    path = Path(path_text)
    if not path.is_file():
        raise FileNotFoundError(f"method file {path} is not there; expected a Python file with a function {attribute!r}")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    if module_spec is None or module_spec.loader is None:
        raise InputError(f"method file {path} cannot be loaded", expected="a Python file")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"method file {path}{where}: {error.msg}", expected="Python", remedy="mend the file") from error
    if not hasattr(module, attribute):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(f"function in {path}", attribute, public)
    return as_method(getattr(module, attribute), attribute)
