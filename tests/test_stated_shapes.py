"""Every public function that takes or returns arrays says of what shape they are and in what unit: with a name of `base.shapes` (which
states both), with a shape of jaxtyping, or in its docstring.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import fewview
import pytest

ROOT = Path(fewview.__file__).resolve().parent
ROOMS = ("base", "geometry", "data", "recon", "nerf", "bone", "pipeline", "benchmarks", "cli")
JAXTYPING = re.compile(r"\b(Float|Int|Bool|UInt8|Num|Real|Shaped)\[")
COUNTED = re.compile(
    r"NDArray\[np\.(bool_|intp|integer|int64|uint8)\]|\b(Bool|Int|UInt8)\[[^\]]*\]?[^\]]*\]"
)  # masks, indices, labels: no unit
BARE = re.compile(r"\b(NDArray|Tensor|ArrayLike|Array|Floats)\b")
SHAPE = re.compile(
    r"\[[^\]]*\b(view|row|col|image|ray|point|voxel|batch|channel|[zyx]|out|k|n)\b[^\]]*\]"  # [view, row, col]
    r"|\((?:n|k|m|count|view|views|row|rows|[xyz]|\d)\b[^()]*\)"  # (n, 3), (x, y, z)
    r"|\([a-z]+,\)|any shape|same shape|one shape|any strides|one number|flat indices|scalar"  # (slice,), (frequency,)
)
UNIT = re.compile(
    r"\bmm\b|_mm\b|/mm|deg\b|_deg|degrees|\bradi|pixel|\bpx\b|_px|count|grey|dimensionless|line integral|attenuation|\bdB\b|\bkeV\b"
    r"|indices|index|mask|share|fraction|weight|score|distance|loss|feature|-1\.\.1|0\.\.1|density|direction|unit\b|matrix|colour|PSNR"
    r"|same|in voxels",
    re.IGNORECASE,
)


@cache
def _names_of_arrays() -> frozenset[str]:
    """Names anywhere in the library that stand for an array with a shape: those of `base.shapes`, and what modules make of them."""
    found: set[str] = set()
    for _ in range(2):  # a name may be made of names
        for path in (p for room in ROOMS for p in (ROOT / room).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and "Annotated" not in ast.unparse(node.value):
                    text = ast.unparse(node.value)
                    names = set(re.findall(r"\w+", text))
                    if JAXTYPING.search(text) or (isinstance(node.value, ast.BinOp | ast.Subscript) and names & found):
                        found.add(node.targets[0].id)
    return frozenset(found - {"Floats"})


def _public(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield inside + node.name, node


def _without_shapes(annotation: str) -> str:
    """The annotation without the parts that state a shape: ``Float[NDArray, "n 3"] | Tensor`` becomes ``| Tensor``."""
    while start := JAXTYPING.search(annotation):
        depth, end = 0, start.end() - 1
        for end in range(start.end() - 1, len(annotation)):
            depth += {"[": 1, "]": -1}.get(annotation[end], 0)
            if depth == 0:
                break
        annotation = annotation[: start.start()] + annotation[end + 1 :]
    return annotation


def _has_arrays(annotation: str) -> bool:
    return bool(BARE.search(annotation) or JAXTYPING.search(annotation))


def faults_of(path: Path) -> tuple[int, list[str]]:
    """How many public functions of a file have arrays, and those that leave open of what shape or unit they are."""
    arrays = re.compile(r"\b(" + "|".join(sorted(_names_of_arrays())) + r")\b")
    count, faults = 0, []
    for name, function in _public(ast.parse(path.read_text(encoding="utf-8")).body):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        annotations = [ast.unparse(a.annotation) for a in arguments if a.annotation]
        annotations += [ast.unparse(function.returns)] if function.returns else []
        text = " ".join(annotations)
        compiled = any("njit" in ast.unparse(decorator) for decorator in function.decorator_list)
        if compiled or not (_has_arrays(text) or arrays.search(text)):
            continue
        count += 1
        doc = " ".join((ast.get_docstring(function) or "").split())
        if BARE.search(_without_shapes(text)) and not SHAPE.search(doc):
            faults.append(f"{path.relative_to(ROOT)}:{function.lineno} {name}: no shape")
        elif (
            not arrays.search(text)
            and _has_arrays(COUNTED.sub("", text))
            and not UNIT.search(f"{doc} {name} {' '.join(a.arg for a in arguments)}")
        ):
            faults.append(f"{path.relative_to(ROOT)}:{function.lineno} {name}: no unit")
    return count, faults


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_say_shape_and_unit(room: str) -> None:
    faults = [fault for path in sorted((ROOT / room).rglob("*.py")) for fault in faults_of(path)[1]]
    assert not faults, "\n".join(faults)
