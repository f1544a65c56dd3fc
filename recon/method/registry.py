"""The registry of methods: one row each. Every other list of methods is read from here: command line, tuning, training, docs, tests.

To add a method, write its file and a row below. Reading the rows imports no method.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from ...base import UnknownNameError
from .contract import Kind, Method, as_method


@dataclass(frozen=True)
class Row:
    """``place`` is "module:function" as text, so that rooms above this one (nerf) need not be imported from here.

    ``shipped`` says that weights come with fewview. The other fields are those of `Method`; ``reference`` is the paper.
    """

    place: str
    kind: Kind
    summary: str
    reference: str
    candidates: tuple[Mapping[str, Any], ...] = ()
    needs: str = ""
    learner: str = ""
    shipped: bool = False

    @property
    def here(self) -> bool:
        """Whether the module is installed."""
        return importlib.util.find_spec(self.place.partition(":")[0]) is not None


def _each(name: str, *values: Any) -> tuple[dict[str, Any], ...]:
    """One candidate for each value of a setting."""
    return tuple({name: value} for value in values)


_ANALYTIC, _ITERATIVE, _NERF = "fewview.recon.analytic", "fewview.recon.iterative", "fewview.nerf"
_WEIGHTS = _each("lambda_", 0.0035, 0.007, 0.014)  # beside the one that is chosen from the data
_CONSISTENCY = _each("consistency", 0, 3, 10, 30)  # SIRT iterations after a network

ROWS: Mapping[str, Row] = {
    "fdk": Row(
        f"{_ANALYTIC}.feldkamp:fdk",
        "analytic",
        "filtered back-projection of any views of a full or short scan",
        "Feldkamp, Davis & Kress, J. Opt. Soc. Am. A 1 (1984) 612; Parker, Med. Phys. 9 (1982) 254",
        (*_each("filter", "ramp", "shepp-logan", "hamming"), {"filter": "hann", "cutoff": 0.7}),
    ),
    "fdk_astra": Row(
        f"{_ANALYTIC}.astra_methods:fdk_astra",
        "analytic",
        "ASTRA's FDK",
        "van Aarle et al., Opt. Express 24 (2016) 25129",
        needs="astra-toolbox and a CUDA device",
    ),
    "fbp_astra": Row(
        f"{_ANALYTIC}.astra_methods:fbp_astra",
        "analytic",
        "ASTRA's filtered back-projection of single slices, on the CPU",
        "van Aarle et al., Opt. Express 24 (2016) 25129",
        needs="astra-toolbox",
    ),
    "sirt": Row(
        f"{_ITERATIVE}.sirt:sirt",
        "iterative",
        "weighted least squares, all views at once",
        "Gregor and Benson, IEEE Trans. Med. Imaging 27 (2008) 918",
        _each("iterations", 25, 50, 100, 200),
    ),
    "os_sart": Row(
        f"{_ITERATIVE}.os_sart:os_sart",
        "iterative",
        "weighted least squares, a few views at a time",
        "Wang and Jiang, J. X-Ray Sci. Technol. 12 (2004) 169",
        _each("iterations", 5, 10, 20, 40),
    ),
    "cgls": Row(
        f"{_ITERATIVE}.cgls:cgls",
        "iterative",
        "least squares by conjugate gradients, stopped by the noise",
        "Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409",
        _each("iterations", 5, 10, 15, 25),
    ),
    "fista_tv": Row(
        f"{_ITERATIVE}.fista_tv:fista_tv",
        "iterative",
        "total variation by accelerated gradients; its weight is chosen from the data",
        "Beck and Teboulle, IEEE Trans. Image Process. 18 (2009) 2419",
        _WEIGHTS,
    ),
    "pdhg_tv": Row(
        f"{_ITERATIVE}.pdhg_tv:pdhg_tv",
        "iterative",
        "total variation by a primal-dual method that converges in tens of steps; its weight is chosen from the data",
        "Chambolle and Pock, J. Math. Imaging Vis. 40 (2011) 120",
        _WEIGHTS,
    ),
    "asd_pocs": Row(
        f"{_ITERATIVE}.asd_pocs:asd_pocs",
        "iterative",
        "the least total variation among the volumes that fit the data",
        "Sidky and Pan, Phys. Med. Biol. 53 (2008) 4777",
        _each("iterations", 20, 80, 160),
    ),
    "wcrr": Row(
        "fewview.recon.ridge.wcrr:wcrr",
        "iterative",
        "a learned weakly convex prior after total variation, with shipped weights; its strength is chosen from the data",
        "after Goujon, Neumayer & Unser, SIAM J. Imaging Sci. 17 (2024) 91 (arXiv:2308.10542), in three dimensions",
        _each("share", 0.25, 0.75, 1.0),
        shipped=True,
    ),
    "naf": Row(
        f"{_NERF}.field.naf:naf",
        "field",
        "a field of attenuation fitted to the one scan",
        "after Zha, Zhang, Li: NAF, MICCAI 2022 (arXiv:2209.14540)",
        _each("tv", 2e-3, 5e-4, 8e-3, 3e-2),
    ),
    "pixelnerf": Row(
        f"{_NERF}.pixelnerf.method:pixelnerf",
        "learned",
        "attenuation from the image features where every view sees a point",
        "after Yu, Ye, Tancik, Kanazawa: pixelNeRF, CVPR 2021 (arXiv:2012.02190)",
        _CONSISTENCY,
        learner=f"{_NERF}.pixelnerf.method:LEARNER",
    ),
    "mednerf": Row(
        f"{_NERF}.mednerf.method:mednerf",
        "learned",
        "a generator of animals, fitted to the views",
        "after Corona-Figueroa et al.: MedNeRF, EMBC 2022 (arXiv:2202.01020)",
        _CONSISTENCY,
        learner=f"{_NERF}.mednerf.method:LEARNER",
    ),
    "tvnet": Row(
        f"{_NERF}.patchwise.method:tvnet",
        "learned",
        "total variation, corrected by a small network as far as held-out views support it; its weights come with fewview",
        "after Jin et al., IEEE Trans. Image Process. 26 (2017) 4509, on a volume of total variation",
        _CONSISTENCY,
        learner=f"{_NERF}.patchwise.learner:LEARNER",
        shipped=True,
    ),
    "unet": Row(
        f"{_NERF}.volumes.unet:unet",
        "learned",
        "a residual 3-D U-Net on volumes of total variation and FDK",
        "after Jin et al., IEEE Trans. Image Process. 26 (2017) 4509, on a volume of total variation",
        _CONSISTENCY,
        learner=f"{_NERF}.volumes.unet:LEARNER",
    ),
    "lpd": Row(
        f"{_NERF}.volumes.lpd:lpd",
        "learned",
        "an unrolled primal-dual network through the projector",
        "after Adler and Oktem, IEEE Trans. Med. Imaging 37 (2018) 1322, with a ramp-filtered dual",
        _CONSISTENCY,
        learner=f"{_NERF}.volumes.lpd:LEARNER",
    ),
}


def names_of_kind(*kinds: Kind) -> list[str]:
    """Names of the built-in methods of these kinds, without importing one.

    >>> names_of_kind("learned")
    ['pixelnerf', 'mednerf', 'tvnet', 'unet', 'lpd']
    """
    return [name for name, row in ROWS.items() if row.kind in kinds and row.here]


class _Registry(Mapping[str, Method]):
    """Name -> Method, loaded when asked for: built-in ones, then entry points in the group ``fewview.methods``."""

    def _places(self) -> dict[str, str]:
        found = {point.name: point.value for point in entry_points(group="fewview.methods")}
        return {**found, **{name: row.place for name, row in ROWS.items() if row.here}}

    def __getitem__(self, name: str) -> Method:
        places = self._places()
        if name not in places:
            raise UnknownNameError("method", name, places)
        module, _, attribute = places[name].partition(":")
        method = as_method(getattr(importlib.import_module(module), attribute), name)
        if name not in ROWS:
            return method
        row = ROWS[name]
        facts = {f.name: getattr(row, f.name) for f in dataclasses.fields(Row) if f.name not in ("place", "shipped")}
        return dataclasses.replace(method, name=name, trained=row.kind == "learned" and not row.shipped, **facts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places())

    def __len__(self) -> int:
        return len(self._places())

    def __contains__(self, name: object) -> bool:
        return name in self._places()


METHODS: Mapping[str, Method] = _Registry()
