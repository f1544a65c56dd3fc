"""The plan of a reconstruction: everything that is wanted, in one frozen object that cannot be made with a mistake in it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base import InputError, UnknownNameError
from ..base.read_only import ReadOnly
from ..data.volumes.volume_format import format_to_write
from ..data.volumes.writer import check_output
from ..recon import Method, load_method
from ..recon.corrections import Corrections
from .selection import GridChoice, ViewChoice, parse_grid, parse_views

STD_KINDS = ("views", "rays", "members", "conformal")
COUNT_OPTIONS = ("air", "max_bad")


@dataclass(frozen=True)
class Spread:
    """The standard deviation of each voxel, from ``replicas`` reconstructions (0: none; 8 is usual).

    ``kind`` is what the replicas differ in: views (groups left out in turn), rays (noise) or members (seeds, dropout, checkpoints);
    "conformal" needs a single reconstruction, ``replicas`` 1. ``scale`` is a factor on the deviations, except of members.
    """

    replicas: int = 0
    kind: str = "views"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.replicas and self.kind not in STD_KINDS:
            raise UnknownNameError("kind of std", self.kind, STD_KINDS)
        if self.kind == "conformal" and self.replicas not in (0, 1):
            raise InputError(f"--std {self.replicas} --std-kind conformal", expected="--std 1: it needs one reconstruction alone")
        if self.replicas < 0 or (self.replicas == 1 and self.kind != "conformal"):
            raise InputError(f"--std {self.replicas}", expected="0 (off), or 2 replicas or more")
        if self.scale != 1 and (not self.replicas or self.kind == "members"):
            raise InputError(
                f"--std-scale {self.scale:g}", expected="--std with --std-kind views, rays or conformal, whose deviations it scales"
            )


@dataclass(frozen=True)
class ReconPlan:
    """A reconstruction of a scan, or of some of its views, as `fewview recon` takes it. A mistake is an error here, before an hour of
    reading.

    ``scan`` is a SkyScan folder, a BoneMet folder, or an .h5 file. ``method`` is a name, ``my_file.py:my_function``, a Method or a
    function, and ``settings`` are its settings. ``views`` is "26" (evenly spread), "every:10", "random:26:SEED", "wedge:90" or "all".
    ``voxel_mm``, ``grid`` ("NZ,NY,NX") and ``box`` ("X0:X1,Y0:Y1,Z0:Z1" in mm) state the voxels, by default the natural ones of the whole
    field of view. ``out`` is the volume to write, by default ``<scan>_<method>_<views>.ome.tif`` in the current folder. ``calibrate`` and
    ``drift`` find the geometry from the views first. ``corrections`` are those of projections and volume (here dead pixels are left alone
    unless asked for). ``spread`` adds the standard deviation. ``binning`` is that of the detector. ``read_as`` are options of the reader of
    the scan, and ``air`` and ``max_bad`` of `fewview.data.prepare`. ``prior`` is an earlier volume of the same animal (docs/regions.md).

    >>> ReconPlan("my_scan", method="fdk", views="26").output.name
    'my_scan_fdk_26.ome.tif'
    """

    scan: str | Path
    method: str | Method | Callable[..., Any] = "fdk"
    views: str | int = "all"
    settings: Mapping[str, Any] = field(default_factory=dict)
    voxel_mm: float | None = None
    grid: str = ""
    box: str = ""
    out: str | Path | None = None
    calibrate: bool = False
    drift: bool = False
    corrections: Corrections = field(default_factory=Corrections.off)
    spread: Spread = Spread()
    binning: int = 1
    read_as: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    prior: str | Path | None = None
    _loaded: Method | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scan", Path(self.scan))
        object.__setattr__(self, "out", None if self.out is None else Path(self.out))
        object.__setattr__(self, "prior", None if self.prior is None else Path(self.prior))
        object.__setattr__(self, "_loaded", load_method(self.method))
        for name in ("settings", "read_as"):
            object.__setattr__(self, name, ReadOnly(getattr(self, name)))
        object.__setattr__(self, "views", str(self.views))
        if int(self.binning) != self.binning or self.binning < 1:
            raise InputError(f"binning is {self.binning}", expected="a whole number of 1 or more")
        try:
            self.reconstructor.settings(**self.settings)
        except InputError as error:
            raise error.see(f"see fewview methods {self.reconstructor.name}") from None
        if self.prior is not None and "reference" not in {f.name for f in dataclasses.fields(self.reconstructor.Settings)}:
            raise InputError(
                f"--prior with --method {self.reconstructor.name}", expected="a method that takes an earlier volume: pdhg_tv or fista_tv"
            )
        _ = self.view_choice, self.grid_choice
        format_to_write(self.output)

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds what was asked for; the method is loaded again where it is read."""
        return ReconPlan, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    @property
    def source(self) -> Path:
        """The path of the scan."""
        return Path(self.scan)

    @property
    def count_options(self) -> dict[str, Any]:
        """The options in ``read_as`` that say how counts become line integrals."""
        return {name: value for name, value in self.read_as.items() if name in COUNT_OPTIONS}

    @property
    def open_options(self) -> dict[str, Any]:
        """The options in ``read_as`` that are for the reader of the scan's format."""
        return {name: value for name, value in self.read_as.items() if name not in COUNT_OPTIONS}

    @property
    def reconstructor(self) -> Method:
        """The method itself, loaded once."""
        assert self._loaded is not None
        return self._loaded

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The paths of all that the run reads."""
        return (self.source,) if self.prior is None else (self.source, Path(self.prior))

    @property
    def view_choice(self) -> ViewChoice:
        """The views, as `selection` understands the text."""
        return parse_views(str(self.views))

    @property
    def grid_choice(self) -> GridChoice:
        """The voxels, as `selection` understands the text."""
        return parse_grid(self.voxel_mm, self.grid, self.box)

    @property
    def output(self) -> Path:
        """The path of the volume that the run writes."""
        if self.out is not None:
            return Path(self.out)
        stem = self.source.resolve().name.split(".")[0] or "scan"
        return Path(f"{stem}_{self.reconstructor.name}_{re.sub(r'[^0-9a-z]+', '-', str(self.views).lower())}.ome.tif")

    @property
    def std_output(self) -> Path | None:
        """The path of the standard deviations that it also writes: ``few.ome.tif`` -> ``few_std.ome.tif``."""
        if not self.spread.replicas:
            return None
        stem, dot, ending = self.output.name.partition(".")
        return self.output.with_name(f"{stem}_std{dot}{ending}")

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The paths of all volumes that the run writes."""
        return (self.output,) if self.std_output is None else (self.output, self.std_output)

    def require_free_outputs(self) -> None:
        """Refuse outputs that exist already (without ``force``), before the work and not after it."""
        for path in self.outputs:
            check_output(path, self.force, self.inputs)
