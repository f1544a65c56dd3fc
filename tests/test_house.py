"""The house keeps its shape: few entries a room, no circles, every room installed, nothing registered forgotten."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path

import fewview
import pytest

ROOT = Path(fewview.__file__).resolve().parent
ROOMS = ("base", "geometry", "data", "recon", "nerf", "bone", "pipeline", "benchmarks", "cli")
MOST_ENTRIES = 12


def _folders() -> list[Path]:
    """Every package below the root."""
    return sorted(path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))


def _modules() -> dict[str, Path]:
    """Dotted name -> file of every module that the package ships."""
    files = [path for folder in _folders() for path in folder.glob("*.py")]
    return {".".join(("fewview", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path for path in files}


@pytest.mark.parametrize("folder", [f for f in _folders() if f.name != "cli"], ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_room_fits_one_look(folder: Path) -> None:
    """cli/ is left out: it has one file for each command."""
    entries = [p.name for p in folder.iterdir() if (p.suffix == ".py" and p.stem != "__init__") or (p / "__init__.py").exists()]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_every_room_is_installed() -> None:
    """A package that pyproject.toml does not name works in a checkout and is missing from a wheel."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(("fewview", *folder.relative_to(ROOT).parts)) for folder in _folders()}
    assert set(named) == {"fewview", *there}


def test_typed_doors_are_installed() -> None:
    """So for the .pyi files that hold the public names, and other files that are not Python."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for folder in _folders():
        for file in folder.iterdir():
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                patterns = data.get(".".join(("fewview", *folder.relative_to(ROOT).parts)), [])
                assert any(file.match(pattern) for pattern in patterns), f"{file} is not in package-data"


def _imports(name: str, path: Path, known: set[str]) -> Iterator[str]:
    """The modules of this package that a module imports, at its head or inside functions; not those for type checkers alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.ImportFrom) and node.level):
            continue
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
        for alias in node.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base


def test_no_module_imports_itself_by_a_detour() -> None:
    """Front doors are lazy and count as leaves: what is imported through them is found in its own module."""
    files = _modules()
    known = set(files)
    doors = {name for name, path in files.items() if path.name == "__init__.py"}
    arrows = {name: {to for to in _imports(name, path, known) if to in known - doors} for name, path in files.items() if name not in doors}
    graphlib.TopologicalSorter(arrows).prepare()  # CycleError names the modules of a circle


@pytest.mark.parametrize(("name", "path"), _modules().items(), ids=lambda v: v if isinstance(v, str) else "")
def test_files_are_short(name: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, f"{name}: one idea a file"


def _names(path: Path) -> set[str]:
    """Every name and attribute that a file uses."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}


def _functions(path: Path) -> set[str]:
    """The public functions of a file."""
    return {
        n.name for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")
    }


def test_every_file_of_a_folder_that_is_a_table_is_a_row() -> None:
    """A backend, a volume format: one file. (Methods: tests/recon/test_registry.py.)"""
    from fewview.data.volumes.volume_format import formats
    from fewview.recon.projector.backend import backends

    for folder, rows in (("recon/projector/backends", len(backends())), ("data/volumes/formats", len(formats()))):
        assert len(list((ROOT / folder).glob("[!_]*.py"))) == rows, folder


def test_every_reader_of_scans_is_a_row() -> None:
    """A scanner: its reader, and the row by which `read` finds it."""
    from fewview.data.scans.reader import FORMATS

    readers = {
        name for path in (ROOT / "data/scans").rglob("*.py") for name in _functions(path) if name.startswith(("open_", "read_projections"))
    }
    assert readers - {"open_scan"} == {row.open.__name__ for row in FORMATS}


def test_every_score_is_in_the_table_of_metrics() -> None:
    """A metric: its function, and the row that every page, key and column is made from."""
    scores = ROOT / "benchmarks/scores"
    used = _names(scores / "metric_table.py") | _names(scores / "compared.py")
    assert _functions(scores / "metrics.py") | _functions(scores / "volume_metrics.py") <= used


@pytest.mark.parametrize("door", [f for f in _folders() if (f / "__init__.pyi").exists()], ids=lambda f: f.relative_to(ROOT).as_posix())
def test_every_name_at_a_door_opens(door: Path) -> None:
    """And no module of the room has a public name, or it would hide it."""
    room = importlib.import_module(".".join(("fewview", *door.relative_to(ROOT).parts)))
    assert room.__all__
    for name in room.__all__:
        assert not inspect.ismodule(getattr(room, name)) or name == "views", name
        assert not (door / f"{name}.py").exists() or name == "views", name
