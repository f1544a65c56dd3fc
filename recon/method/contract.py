"""What a reconstruction method is: a function, its settings and facts about it; how it reports progress, and how it is stopped."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from ...base import InputError
from ...base.settings import checked, is_checked
from ...base.shapes import Volume
from ...data import Projections
from ...data.projections import require_projections
from ...geometry import Grid
from ...geometry.grid import require_grid

P = ParamSpec("P")
S = TypeVar("S")
Kind = Literal["analytic", "iterative", "field", "learned", "control", "own"]


@dataclass(frozen=True)
class Progress:
    """What a method tells its callbacks: ``step`` of ``total``, the current volume, and named values.

    ``values`` are numbers worth plotting (objective, residual, ...). ``resolved`` are settings that the method chose itself;
    they replace the automatic ones in the result, and ``grey`` among them says how many times as bright as the views say the volume is.
    ``volume`` may be the method's own array: copy it to keep it.
    """

    step: int
    total: int
    volume: Volume | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_volume(self) -> bool:
        """Whether there is a volume; asking brings nothing from a GPU, as asking for the volume itself does."""
        return self.volume is not None


Callback = Callable[[Progress], object]


class StopRun(Exception):
    """Raised by a callback to end a run: ``raise StopRun("good enough")``.

    The method returns the volume that it has, as if it had finished; `reconstruct` keeps the reason and the step as ``stopped`` in the
    settings of the result. A method that shows no volume before its end cannot be stopped earlier: there it is an InputError.
    """


@checked()
class NoSettings:
    """A method without settings."""


@dataclass(frozen=True)
class Method:
    """A reconstruction method. ``run(projections, grid, settings, callbacks) -> volume`` [z, y, x], 1/mm.

    ``Settings`` is a class under `fewview.base.settings.checked` whose defaults work (a plain dataclass is made into one); ``trained``
    says whether a checkpoint is needed; ``reference`` is the paper. The rest is what lists and benchmarks ask for: ``kind``; ``summary``,
    one line; ``candidates``, the settings that a comparison tries when it tunes all methods alike (none: the method chooses its own, or has
    nothing to tune); ``needs``, a device or a package; ``learner``, "module:object" of what `fewview train` trains.
    """

    name: str
    run: Callable[[Projections, Grid, Any, Sequence[Callback]], Volume]
    Settings: type = NoSettings
    trained: bool = False
    reference: str = ""
    kind: Kind = "own"
    summary: str = ""
    candidates: tuple[Mapping[str, Any], ...] = ()
    needs: str = ""
    learner: str = ""

    def __post_init__(self) -> None:
        if not is_checked(self.Settings):
            object.__setattr__(self, "Settings", checked(of=self.name)(self.Settings))

    def settings(self, **given: Any) -> Any:
        """The settings object for these keyword arguments; an unknown name raises with the nearest ones, a wrong value by its name."""
        return self.Settings(**given)


class MethodFunction(Protocol[P]):
    """A method as a plain function: ``sirt(projections, grid, iterations=50) -> volume`` [z, y, x], 1/mm.

    ``grid`` is ``Grid.fit(projections.scan)`` by default; the keyword arguments are the settings. ``run`` and ``Settings`` are what a
    `Method` is made of.
    """

    Settings: type
    run: Callable[[Projections, Grid, Any, Sequence[Callback]], Volume]

    def __call__(
        self, projections: Projections, grid: Grid | None = None, callbacks: Sequence[Callback] = (), *args: P.args, **settings: P.kwargs
    ) -> Volume:
        """The volume [z, y, x] in 1/mm."""
        ...


def method_function(
    Settings: Callable[P, S],
) -> Callable[[Callable[[Projections, Grid, S, Sequence[Callback]], Volume]], MethodFunction[P]]:
    """Make ``run(projections, grid, settings, callbacks)`` callable as ``name(projections, grid, callbacks=(), **settings)``."""

    def made(run: Callable[[Projections, Grid, S, Sequence[Callback]], Volume]) -> MethodFunction[P]:
        @functools.wraps(run)
        def call(
            projections: Projections, grid: Grid | None = None, callbacks: Sequence[Callback] = (), *args: P.args, **settings: P.kwargs
        ) -> Volume:
            chosen, data = Settings(*args, **settings), require_projections(projections)
            return run(data, Grid.fit(data.scan) if grid is None else require_grid(grid), chosen, callbacks)

        run.__qualname__ += ".run"  # where pickle finds it: an attribute of the function that replaces it
        made: Any = call
        made.run, made.Settings, made.__signature__ = run, Settings, _signature(Settings)
        return made

    return made


def _signature(Settings: Any) -> inspect.Signature:
    """The function's own arguments, then the settings with their types and defaults: what ``help`` shows."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [
        inspect.Parameter("projections", kind, annotation="Projections"),
        inspect.Parameter("grid", kind, default=None, annotation="Grid | None"),
        inspect.Parameter("callbacks", kind, default=(), annotation="Sequence[Callback]"),
    ]
    given = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in inspect.signature(Settings).parameters.values()]
    return inspect.Signature([*own, *given], return_annotation="Volume")


def as_method(thing: object, name: str) -> Method:
    """A Method as it is; a function under `method_function` with its settings; any other function ``(projections, grid) -> volume``."""
    if isinstance(thing, Method):
        return thing
    if not callable(thing):
        raise InputError(f"method {name!r} is a {type(thing).__name__}", expected="a Method, or a function (projections, grid) -> volume")
    function: Any = thing
    reference = (getattr(function, "__doc__", "") or "").strip().split("\n")[0]
    if hasattr(function, "Settings") and hasattr(function, "run"):
        return Method(name, function.run, function.Settings, reference=reference)
    _require_two_arguments(function, name)

    def run(projections: Projections, grid: Grid, settings: Any, callbacks: Sequence[Callback]) -> Any:
        return function(projections, grid)  # whatever that is: `run_method` looks at it

    return Method(name=name, run=run, reference=reference)


def _require_two_arguments(function: Any, name: str) -> None:
    try:
        taken = inspect.signature(function)
    except ValueError:  # a function in C that does not say what it takes
        return
    try:
        taken.bind(None, None)
    except TypeError:
        raise InputError(f"method {name}{taken}", expected="a function of two arguments, (projections, grid) -> volume") from None
