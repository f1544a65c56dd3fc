"""Run by test_triton.py in a process of its own: the GPU kernels become machine code for real cards, as they are meant to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import triton  # pyright: ignore[reportMissingImports]
from fewview.recon.analytic.filter_on_card import _weigh
from fewview.recon.projector.gpu import gather_kernel, ray_kernels, turning, upright_kernels, voxel_kernels
from triton.backends.compiler import GPUTarget  # pyright: ignore[reportMissingImports]
from triton.compiler import ASTSource  # pyright: ignore[reportMissingImports]

LINES = {"LINE": 128, "COUNT": 128}
POINTERS = ["volume", "held", "lines", "table", "crossing", "matrices", "steps", "voxel_mm", "out", "values", "weight", "source", "target"]


def compiled(kernel: Any, constants: Mapping[str, Any], capability: int, kind: str = "fp32", **types: str) -> Any:
    """The stages of a kernel that all its pointers but ``types`` are of one ``kind`` for."""
    signature = {name: "constexpr" if name in constants else f"*{kind}" if name in POINTERS else "i32" for name in kernel.arg_names}
    source = ASTSource(kernel, signature | types, constexprs=dict(constants))
    code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 1}).asm
    assert len(code["cubin"]) > 1000
    return code


def atomics(ptx: str) -> set[str]:
    """How memory is ordered about the atomics of a kernel."""
    return set(re.findall(r"(?:atom|red)\S*?\.(relaxed|acq_rel|acquire|release)", ptx))


def main() -> None:
    """Cards of Turing, Ampere and Hopper; no two of them need all kernels."""
    gathered = {"reach": "fp32"}
    for capability in (75, 90):
        for kernel, constants, types in (
            (voxel_kernels.add_views, {"UPRIGHT": True, **LINES}, {"held": "*fp16"}),
            (upright_kernels.forward, LINES, {}),
            (gather_kernel.gather, {"ALONG_Y": True, "COLS": 7, "ROWS": 3, **LINES}, gathered),
        ):
            code = compiled(kernel, constants, capability, **types)
            assert not atomics(code["ptx"])
            assert ".f64" not in code["ptx"]
    for transposed in (False, True):
        constants = {"TRANSPOSED": transposed, **LINES}
        code = compiled(ray_kernels.along_rays, constants, 80, packed="*fp64")
        assert atomics(code["ptx"]) == ({"relaxed"} if transposed else set())
    assert atomics(compiled(voxel_kernels.spread_views, {"UPRIGHT": False, **LINES}, 80)["ptx"]) == {"relaxed"}
    compiled(gather_kernel.gather, {"ALONG_Y": False, "COLS": 5, "ROWS": 2, **LINES}, 80, "fp64", **gathered)
    compiled(upright_kernels.lengthened, {"BC": 32, "BR": 32}, 80)
    compiled(turning._copy, {"BLOCK": 32}, 80, target="*bf16")
    compiled(_weigh, {"BY_ROWS": True, "BLOCK": 256}, 80, vectors="*fp64")


if __name__ == "__main__":
    main()
    print("compiled")
