"""`read` and `read_raw` recognise how a scan was stored, and read it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from ...base import InputError, UnknownNameError
from ...base.errors import about, reading
from ...base.settings import check_arguments
from ...geometry import Scan
from ..hdf5_access import DATA_EXCHANGE, H5_ENDINGS, h5_format
from ..images.stack import Shown
from ..images.stray_pixels import stray_warnings
from ..projections import Projections
from .bonemet import is_bonemet, open_bonemet
from .exchange import open_exchange
from .preparation import prepare_into, prepare_views
from .projections_file import PROJECTIONS, integral_doubts, read_projections
from .public.cwi_walnut import is_cwi, open_cwi_walnut
from .public.heltomo import is_heltomo, open_heltomo
from .public.pcct_walnut import is_pcct_walnut, open_pcct_walnut
from .public.r2_gaussian import is_r2, open_r2
from .public.rabbitct import is_rabbitct, open_rabbitct
from .raw import RawScan, RawSource
from .skyscan import is_skyscan, open_skyscan

Views = slice | ArrayLike | Callable[[Scan], ArrayLike] | None


@dataclass(frozen=True)
class Format:
    """One way to store a scan: ``accepts(path)`` recognises it, ``open(path, **options)`` reads it, and ``looks_like`` describes it to a
    user (empty for what `read` knows and has to refuse).
    """

    name: str
    looks_like: str
    accepts: Callable[[Path], bool]
    open: Callable[..., RawSource | Projections]


def _is_h5(path: Path, kind: str) -> bool:
    return path.is_file() and path.suffix.lower() in H5_ENDINGS and h5_format(path) == kind


# The first of these that accepts a path reads it.
FORMATS = (
    Format("projections", "an .h5 file of write_projections", lambda path: _is_h5(path, PROJECTIONS), read_projections),
    Format("Data Exchange", "an .h5 file with /exchange/data", lambda path: _is_h5(path, DATA_EXCHANGE), open_exchange),
    Format("SkyScan", "a folder of 16-bit TIFFs with their .log (or the .log)", is_skyscan, open_skyscan),
    Format("R2-Gaussian", "a folder with the meta_data.json of R2-Gaussian", is_r2, open_r2),
    Format("CWI walnut", "a folder of a walnut of CWI (or one tubeV* of it)", is_cwi, open_cwi_walnut),
    Format("PCCT walnut", "a folder of one height of a walnut of Zhou et al. (Total/AcqPara.mat)", is_pcct_walnut, open_pcct_walnut),
    Format("HelTomo", "a .mat file with the struct CtData of HelTomo (HTC 2022)", is_heltomo, open_heltomo),
    Format("RabbitCT", "", is_rabbitct, open_rabbitct),
    Format("BoneMet", "a BoneMet folder of X-ray PNGs (or the data set's root, with animal= and week=)", is_bonemet, open_bonemet),
)


def read(
    path: str | Path,
    *,
    views: Views = None,
    binning: int = 1,
    air: ArrayLike = "auto",
    max_bad: float = 0.05,
    progress: Shown = False,
    **options: Any,
) -> Projections:
    """The line integrals [view, row, col] and the geometry of a scan on disk: a SkyScan folder, a BoneMet folder, or an .h5 file.

    ``views`` selects the views to read: a slice, indices, a mask, or a function of the scan such as ``lambda scan: views.evenly(scan,
    26)``. ``binning`` averages blocks of that many pixels each way before anything else is done. ``air`` and ``max_bad`` are explained at
    `prepare`, which turns counts into line integrals view by view, so that memory holds no more than the line integrals. ``progress`` is
    True for a bar on the terminal, or a function that is called with how many views are done, and of how many. ``options`` are those of the
    reader of the format: `open_skyscan`, `open_bonemet`, `open_exchange`.

    Raises FileNotFoundError, and InputError naming the file for anything that is broken, missing, ambiguous or unknown.
    """
    return line_integrals(open_scan(path, views=views, binning=binning, **options), air=air, max_bad=max_bad, progress=progress)


def line_integrals(
    source: RawSource | Projections, *, air: ArrayLike = "auto", max_bad: float = 0.05, progress: Shown = False
) -> Projections:
    """The line integrals [view, row, col] of a scan that `open_scan` has opened: the second half of `read`."""
    place = str(source.meta.get("source", "the scan"))
    doubts: list[str] = []
    if isinstance(source, Projections):
        found, doubts = source, integral_doubts(source.values, place)
    else:
        with about(place):
            found = prepare_views(
                source.views, source.scan, source.flat, source.dark, source.meta, air=air, max_bad=max_bad, progress=progress
            )
    doubts += stray_warnings(found.values, place)
    for line in doubts:
        warnings.warn(line, stacklevel=3)
    return replace(found, meta={**found.meta, "warnings": [*found.meta.get("warnings", ()), *doubts]}) if doubts else found


def integrals_into(
    values: Any,
    kept: slice,
    sure: slice,
    source: RawSource | Projections,
    *,
    air: ArrayLike = "auto",
    max_bad: float = 0.05,
    progress: Shown = False,
) -> dict[str, Any]:
    """`line_integrals` into ``values`` [view, row, col], dimensionless, of the rows ``kept`` (`prepare_into`); returns their ``meta``."""
    place = str(source.meta.get("source", "the scan"))
    doubts: list[str] = []
    if isinstance(source, Projections):
        doubts, meta = integral_doubts(source.values, place), dict(source.meta)
        for view, image in enumerate(source.values):
            values[view] = image[kept]
    else:
        parts = (source.views, source.scan, source.flat, source.dark, source.meta)
        with about(place):
            meta = prepare_into(values, kept, sure, *parts, air=air, max_bad=max_bad, progress=progress)
    doubts += stray_warnings(values, place)
    for line in doubts:
        warnings.warn(line, stacklevel=2)
    return {**meta, "warnings": [*meta.get("warnings", ()), *doubts]} if doubts else meta


def read_raw(path: str | Path, *, views: Views = None, binning: int = 1, progress: bool = False, **options: Any) -> RawScan:
    """The detector counts of a scan on disk, read into memory in the type that the files have. Formats, options and errors are those of
    `read`.
    """
    source = _open(Path(path), options)
    if isinstance(source, Projections):
        raise InputError(f"{path} holds line integrals", expected="detector counts", remedy="use fewview.data.read")
    return source.part(views, binning).load(progress)


def open_scan(path: str | Path, *, views: Views = None, binning: int = 1, **options: Any) -> RawSource | Projections:
    """A scan on disk with its geometry, whose images are not read yet; line integrals (an .h5 file of `write_projections`) are read at
    once.

    ``views``, ``binning``, ``options`` and errors are those of `read`. `line_integrals` reads what was opened.
    """
    source = _open(Path(path), options)
    return _part(source, views, binning, path) if isinstance(source, Projections) else source.part(views, binning)


def _part(projections: Projections, views: Views, binning: int, path: Path | str) -> Projections:
    if binning != 1:
        raise InputError(f"binning={binning} of {path}, which holds line integrals", expected="detector counts", remedy="leave binning out")
    if views is None:
        return projections
    return projections[views(projections.scan) if callable(views) else views]


def _open(path: Path, options: Mapping[str, Any]) -> RawSource | Projections:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    chosen = next((form for form in FORMATS if form.accepts(path)), None)
    if chosen is None:
        raise InputError(
            f"{path} is not a scan that fewview knows{_hint(path)}",
            expected="; or ".join(form.looks_like for form in FORMATS if form.looks_like),
        )
    readers: list[Callable[..., Any]] = [chosen.open]
    known = [name for name, p in inspect.signature(chosen.open).parameters.items() if p.kind is p.KEYWORD_ONLY]
    takes_more = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(chosen.open).parameters.values())
    if chosen.name == "SkyScan":
        from ...geometry import parse_skyscan_log

        readers.append(parse_skyscan_log)
        known += [name for name in inspect.signature(parse_skyscan_log).parameters if name not in ("path", "images", "image_shape")]
    unknown = [name for name in options if name not in known]
    if unknown and (not takes_more or chosen.name == "SkyScan"):
        raise UnknownNameError(f"option of the {chosen.name} reader", unknown[0], known)
    with reading(path):
        return _opened(path, chosen, readers, options)


def _opened(path: Path, chosen: Format, readers: Iterable[Callable[..., Any]], options: Mapping[str, Any]) -> RawSource | Projections:
    for reader in readers:
        check_arguments(reader, options, lambda name: f"{name} of the {chosen.name} reader")
    return chosen.open(path, **options)


def _hint(path: Path) -> str:
    if path.is_file() and path.suffix.lower() in H5_ENDINGS and (told := h5_format(path)):
        return " (it is a volume: use read_volume)" if told.startswith("fewview volume") else f" (it calls itself {told!r})"
    inside = [p for p in sorted(path.iterdir()) if p.is_dir() and is_skyscan(p)] if path.is_dir() else []
    if inside:
        return f" (but {inside[0]} is one)"
    logs = [p.name for p in sorted(path.iterdir()) if p.suffix.lower() == ".log"] if path.is_dir() else []
    if logs:
        return (
            f" ({logs[0]} is no SkyScan log: no [section] with 'Object to Source (mm)', 'Image Pixel Size (um)' or 'Rotation Step (deg)')"
        )
    if path.is_dir() and any(p.suffix.lower() in (".tif", ".tiff") for p in path.iterdir()):
        return " (it has TIFFs and no log: the geometry is in the log; for a stack of slices use read_volume)"
    return ""
