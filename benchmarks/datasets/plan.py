"""The plan of a simulated data set: its animals and settings. It is written first, so that a build can be resumed where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...base import InputError, UnknownNameError
from ...base.files import own_path, remove
from ...base.outputs.leftovers import clean
from ...base.outputs.ownership import foreign, why_sacred
from ...base.plain import to_json
from ...base.record import sha256, versions
from ...data.volumes.attenuation import GreyScale
from ...geometry import Grid, Scan
from ...recon.corrections import Corrections
from ...recon.physics.effects import Physics
from .relatives import families

TREE, RECORDS, TRUTH = "Imagery_Dataset", "records", "truth"
PLAN, SPLIT, READ_ME = "dataset.json", "split.json", "README.md"
FORMAT = "fewview BoneMet-shaped data set, simulated"
OWN = (PLAN, SPLIT, READ_ME, TREE, RECORDS, TRUTH)
Source = str | Path | int


@dataclass(frozen=True)
class BuildSettings:
    """All settings of a data set except its animals.

    ``window`` (low, high) in 1/mm is the grey window of all Recon-CT; 75/255 of it separates bone from tissue. ``corrections`` are those of
    Recon-CT, by default the result of `recon_ct_corrections`. ``grey`` says what the numbers of a volume mean and ``volume_voxel_mm`` how
    large its voxels are, where its file does not; ``read_as`` are other options of `read_volume`. ``lesions`` is the number in a phantom,
    and ``truth`` keeps what was scanned, averaged over the voxels of the scan's own grid (`Grid.fit`), which is what a reconstruction can
    be judged by.
    """

    scan: Scan
    physics: Physics
    corrections: Corrections
    seed: int = 0
    window: tuple[float, float] = (0.0, 0.30)
    grey: GreyScale | None = None
    volume_voxel_mm: float | None = None
    read_as: Mapping[str, Any] | None = None
    lesions: int = 2
    truth: bool = True
    filter: str = "hamming"

    def __post_init__(self) -> None:
        low, high = self.window
        if not low < high:
            raise InputError(f"window is {self.window}", expected="(low, high) in 1/mm")
        if self.physics.bits != 16:
            raise InputError(f"physics has bits={self.physics.bits}", expected="16: the X-rays are 16-bit images")

    @classmethod
    def of(cls, scan: Scan, physics: Physics, given: Mapping[str, Any]) -> BuildSettings:
        """The settings; UnknownNameError, with the nearest names, for one that does not exist."""
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError("setting of the data set", name, known)
        return cls(scan, physics, **{"corrections": recon_ct_corrections(physics), **given})


def recon_ct_corrections(physics: Physics) -> Corrections:
    """Rings 5 and beam hardening 30 %, which are usual levels in NRecon (BoneMet does not state its own); hardening only for a spectrum.

    There is no median. BoneMet's acts on voxels of 0.01 mm; on the 0.2 mm of a small scan it would remove the cortex.
    """
    return Corrections(rings=5, beam_hardening=30.0 if physics.polychromatic else 0.0)


@dataclass(frozen=True)
class Animal:
    """One animal: ``id`` as in the layout, ``name`` (file name, or ``phantom 3``), ``source`` (path, or the seed of the phantom)."""

    id: int
    name: str
    source: str | int
    sha256: str | None
    weeks: tuple[int, ...]

    def facts(self) -> dict[str, Any]:
        """The facts for the records, which do not depend on where the file lies."""
        return {**asdict(self), "source": self.source if isinstance(self.source, int) else Path(self.source).name}


def list_animals(sources: Sequence[Source], weeks: Sequence[int], first_id: int) -> list[Animal]:
    """Number and name the sources. InputError for none, for one that is given twice, and for bad weeks; or FileNotFoundError."""
    if not sources:
        raise InputError("no source", expected="volume files, or seeds of phantoms")
    if not weeks or any(int(week) != week or week < 0 for week in weeks) or len(set(weeks)) < len(weeks):
        raise InputError(f"weeks are {tuple(weeks)}", expected="different whole numbers of 0 or more")
    found = []
    for place, source in enumerate(sources):
        if isinstance(source, int):
            found.append(Animal(first_id + place, f"phantom {source}", source, None, tuple(int(week) for week in weeks)))
        else:
            if not Path(source).exists():
                raise FileNotFoundError(f"volume {source} is not there")
            found.append(Animal(first_id + place, Path(source).name, str(source), sha256(source), (0,)))
    for animal in found:
        if sum(other.name == animal.name for other in found) > 1:
            raise InputError(f"{animal.name} is given more than once", expected="one source per animal", remedy="rename one of the files")
    return found


def plan_of(settings: BuildSettings, animals: Sequence[Animal]) -> dict[str, Any]:
    """Everything on which the files of the data set depend: the same plan makes the same files."""
    made_by = {name: versions()[name] for name in ("fewview", "numpy", "scipy")}
    plan: dict[str, Any] = {"format": FORMAT, **{k: v for k, v in vars(settings).items() if k != "scan"}}
    plan |= {"scan": settings.scan.expression(), "made_by": made_by, "animals": [animal.facts() for animal in animals]}
    return json.loads(to_json(plan))


def begin(out: Path, settings: BuildSettings, animals: Sequence[Animal], force: bool) -> None:
    """Make the folder, or resume an earlier build of the same plan; whatever a killed run left half-written is deleted."""
    plan, path = plan_of(settings, animals), out / PLAN
    before = _plan_there(out, path)
    for folder in [out, *(p for p in out.rglob("*") if p.is_dir())]:
        clean(folder)
    if force and before is not None:
        _clear(out, before, [str(a.source) for a in animals if isinstance(a.source, str)])
    elif before is not None:
        others = _differences(before, plan)
        if others:
            raise FileExistsError(
                f"{out} was built with other {', '.join(others)}; give another folder, the same settings, or --force (force=True)"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, plan)


def require_place(out: Path) -> None:
    """FileExistsError where a data set cannot be written: at a file, or in a folder of something else."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; give the name of a folder")
    _plan_there(out, out / PLAN)


def _plan_there(out: Path, path: Path) -> dict[str, Any] | None:
    """The plan of the build in ``out``, or None for a new or an empty folder; FileExistsError for a folder of something else."""
    held = sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) if out.is_dir() else []
    if not held:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not (isinstance(found, dict) and found.get("format") == FORMAT and isinstance(found.get("animals"), list)):
        raise FileExistsError(
            f"{out} holds {held[0]}, which is not of such a build ({PLAN} does not say so); give another name, or an empty folder"
        )
    return found


def _clear(out: Path, plan: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Delete an earlier build for ``force``. First, FileExistsError for animals that do not belong to it and for inputs."""
    ids = {str(animal["id"]) for animal in plan["animals"]}
    strange = [p for p in (out / TREE).glob("*/*") if p.name not in ids]
    strange += [p for part in (RECORDS, TRUTH) for p in (out / part).glob("*") if p.name.partition(" week ")[0] not in ids]
    reasons = dict.fromkeys(strange, "fewview did not write it")
    reasons |= {p: foreign(p) for p in (out / TREE).glob("*/*/*")} | {out / name: why_sacred(out / name, inputs) for name in OWN}
    for path, reason in reasons.items():
        if reason:
            raise FileExistsError(f"fewview never replaces {path}: {reason}; give another name")
    for name in reversed(OWN):  # the plan goes last, because it says to whom the rest belongs
        remove(out / name)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys in which two plans disagree. Animals may be added at the end, and versions may change."""
    others = [key for key in now if key not in ("animals", "made_by") and now[key] != before.get(key)]
    listed = before["animals"]
    return others if now["animals"][: len(listed)] == listed else [*others, "animals"]


def write_whole(path: Path, content: Mapping[str, Any] | str) -> None:
    """Write JSON or text, completely or not at all, over what was there."""
    with own_path(path) as temporary:
        temporary.write_text(content if isinstance(content, str) else to_json(content, indent=1) + "\n", encoding="utf-8")


def finish(
    out: Path, settings: BuildSettings, animals: Sequence[Animal], split: Mapping[str, list[str]], fractions: Mapping[str, float]
) -> None:
    """Write the split, and a page that explains this folder."""
    related = families([animal.name for animal in animals])
    listed = {str(animal.id): {"name": animal.name, "family": related[animal.name], "weeks": animal.weeks} for animal in animals}
    by = "animal; animals that share an inbred line stay together"
    write_whole(out / SPLIT, {"by": by, "seed": settings.seed, "fractions": dict(fractions), **split, "animals": listed})
    shares = "\n".join(f"* {part}: {', '.join(ids) or 'none'}" for part, ids in split.items())
    low, high = settings.window
    kept = (
        f"* `{TRUTH}/<id> week N volume.nii.gz`: the truth in 1/mm at 30 keV, averaged over the voxels of Recon-CT's grid.\n"
        if settings.truth
        else ""
    )
    write_whole(
        out / READ_ME,
        f"""# A paired data set in the layout of BoneMet, made in software by fewview

These are simulated scans, not measured ones. {len(animals)} animals; {settings.scan}.

* `{TREE}/1. Rotation-X-ray/<id>/week N/xray_1.PNG` ...: 16-bit counts, air near {settings.physics.air_level:g}.
* `{TREE}/2. Recon-CT/<id>/week N/ct_slice_001.PNG` ...: FDK of all views; 8 bit, 0..255 is {low:g} to {high:g} 1/mm in every scan;
  voxel {Grid.fit(settings.scan).voxel_mm:g} mm. It is a reconstruction of these X-rays, not the truth.
{kept}* `{RECORDS}/`: source, placement, physics and truth of each scan. `{PLAN}`: all settings.
* `{SPLIT}`: by animal, relatives together.

{shares}
""",
    )
