"""The manifest: every external data set and weight file that the toolkit can use, with its address, size, hash and licence."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...base import InputError, UnknownNameError

Unknown = Literal["unknown"]
Bytes = Annotated[int, Field(ge=0)] | Unknown
Hash = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")] | Unknown
Doi = Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")] | Unknown
Length = Annotated[float, Field(gt=0)] | Unknown
Count = Annotated[int, Field(ge=1)] | Unknown
Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """The short name of a licence (SPDX where there is one) and, optionally, the address of its text."""

    name: str
    path: Url | None = None


class Geometry(_Strict):
    """How the data were measured, with lengths in mm. Every field is stated, if necessary as ``unknown``."""

    kind: Literal["cone", "fan", "parallel", "none"]
    note: str = ""
    scanner: str | None = None
    views: Count | None = None
    step_deg: Length | None = None
    dso_mm: Length | None = None
    dsd_mm: Length | None = None
    pixel_mm: Length | None = None
    rows: Count | None = None
    cols: Count | None = None

    @model_validator(mode="after")
    def _complete(self) -> Geometry:
        if self.kind != "none":
            absent = [name for name in ("views", "step_deg", "dso_mm", "dsd_mm", "pixel_mm", "rows", "cols") if getattr(self, name) is None]
            if absent:
                raise ValueError(f"{', '.join(absent)} not stated; give a number, or unknown")
        return self


class File(_Strict):
    """One file of a resource: its ``path`` in the folder of the resource, and size and hash (``sha256:...`` or
    ``md5:...``) or ``unknown``.
    """

    path: str
    bytes: Bytes
    hash: Hash
    url: Url | None = None

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if not path or path.startswith(("/", "~")) or "\\" in path or ".." in path.split("/"):
            raise ValueError("must lie inside the resource's folder")
        return path


class HttpSource(_Strict):
    """Files that each have an address of their own."""

    kind: Literal["http"]
    files: Annotated[tuple[File, ...], Field(min_length=1)]

    @field_validator("files")
    @classmethod
    def _addressed(cls, files: tuple[File, ...]) -> tuple[File, ...]:
        for file in files:
            if file.url is None:
                raise ValueError(f"{file.path} has no url")
        return files


class ZenodoSource(_Strict):
    """Zenodo records, whose own listings name the files. ``files`` states sizes and hashes that were verified."""

    kind: Literal["zenodo"]
    records: Annotated[tuple[int, ...], Field(min_length=1)]
    files: tuple[File, ...] = ()


class HubSource(_Strict):
    """A repository of the Hugging Face Hub. With ``layout: bonemet``, ``component``, animal and week select files."""

    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    repo_type: Literal["dataset", "model"]
    revision: str
    layout: Literal["bonemet", "plain"] = "plain"
    component: Literal["Rotation-X-ray", "Recon-CT", "Seg-CT", "Regist-CT", "RoI-CT"] | None = None

    @model_validator(mode="after")
    def _component(self) -> HubSource:
        if (self.layout == "bonemet") != (self.component is not None):
            raise ValueError("layout bonemet and a component go together")
        return self


class Resource(_Strict):
    """One data set or weight file."""

    name: Name
    title: str
    role: str
    homepage: Url
    licence: Licence
    doi: Doi
    citation: str
    bytes: Bytes
    geometry: Geometry
    source: Annotated[HttpSource | ZenodoSource | HubSource, Field(discriminator="kind")]


class Manifest(_Strict):
    """The whole list; ``manifest["fid-inception"]`` is one resource."""

    name: Name
    title: str
    version: str
    resources: tuple[Resource, ...]

    @field_validator("resources")
    @classmethod
    def _unique(cls, resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
        names = [resource.name for resource in resources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} named twice")
        return resources

    def __getitem__(self, name: str) -> Resource:
        for resource in self.resources:
            if resource.name == name:
                return resource
        raise UnknownNameError("data set", name, [resource.name for resource in self.resources])


def load_manifest(path: str | Path | None = None) -> Manifest:
    """The manifest that comes with fewview, or the one in ``path``.

    Raises FileNotFoundError, or InputError naming the entry and the field that is wrong.

    >>> load_manifest()["fid-inception"].source.files[0].hash[:15]
    'sha256:6726825d'
    """
    if path is None:
        text = (importlib.resources.files(__name__.partition(".")[0]) / "data_manifest.yaml").read_text(encoding="utf-8")
    else:
        text = Path(path).read_text(encoding="utf-8")
    where = "data_manifest.yaml" if path is None else str(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{where} holds a {type(content).__name__}", expected="a mapping with name, title, version and resources")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        found = {_place(e["loc"], content): e for e in reversed(error.errors())}  # one a place; a union reports every member it tried
        place, first = list(found.items())[-1]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"{where}, {place}: {first['msg']}, given {_short(first['input'])}{more}") from error


def _place(loc: Sequence[int | str], content: dict[str, Any]) -> str:
    """The place of a pydantic error in words: the name of the entry, then the field."""
    parts = [str(part) for part in loc]
    if len(loc) > 1 and loc[0] == "resources" and isinstance(loc[1], int):
        entry = content["resources"][loc[1]]
        name = entry.get("name", f"number {loc[1] + 1}") if isinstance(entry, dict) else f"number {loc[1] + 1}"
        # pydantic adds the member of a union that it tried: not a field of the file
        field = ".".join(p for p in parts[2:] if p not in ("http", "zenodo", "hub") and not p.startswith(("constrained-", "literal[")))
        return f"entry {name!r}, field {field or '(the entry itself)'}"
    return f"field {'.'.join(parts) or '(the file itself)'}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
