"""Sixteen samples of a line at once, for the compiled projector: `lerp16` reads them, `spread16` is its transpose.

Sixteen equidistant samples less than two elements apart fall on 32 consecutive elements. With AVX-512 those sit in two registers, and a
permute (``vpermi2ps``) picks from them in one instruction what would be sixteen scattered loads. Where `PERMUTE` is False these
functions must not be reached (they emit nothing); the callers hold plain loops that do the same.

Arrays are one-dimensional, contiguous float32; indices are not checked, so lines need `MARGIN` elements to spare at either end.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .vector16 import _FLOATS, _I32, _INTS, LANES, _fma, _lerp, _load, _pointer, _rows, _spread, _whole_and_fraction, has_permute, intrinsic

PERMUTE = has_permute()
MARGIN = 64
LERP_STEP_MAX = 1.93  # samples may be this far apart: 1 + 15 * 1.93 + 1 < 31
SPREAD_STEP_TWO = 0.54  # two registers hold the samples about 16 elements: 1 + 15 / 0.54 + 3 < 32
SPREAD_STEP_MIN = 0.27  # four registers hold them: 1 + 15 / 0.27 + 7 < 64


@intrinsic
def blend16(typing: Any, lines: Any, i0: Any, i1: Any, w0: Any, w1: Any, out: Any, at: Any) -> Any:
    """``out[at + i] = w0 lines[i0 + i] + w1 lines[i1 + i]`` for i = 0..15."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if PERMUTE:
            lines, i0, i1, w0, w1, out, at = args
            first, second = (_load(builder, _pointer(context, builder, signature.args[0], lines, i)) for i in (i0, i1))
            value = _fma(builder, _spread(builder, w1), second, builder.fmul(_spread(builder, w0), first))
            _store(builder, value, _pointer(context, builder, signature.args[5], out, at))
        return context.get_dummy_value()

    return types.void(lines, i0, i1, w0, w1, out, at), emit


@intrinsic
def lerp16(typing: Any, line: Any, base: Any, part: Any, step: Any, out: Any, at: Any) -> Any:
    """``out[at + i] += line interpolated at base + part + step * i`` for i = 0..15; 0 <= part < 1, 0 <= step <= LERP_STEP_MAX."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if PERMUTE:
            line, base, part, step, out, at = args
            whole, fraction = _whole_and_fraction(builder, _rows(builder, part, step))
            registers = _registers(builder, _pointer(context, builder, signature.args[0], line, base), 2)
            low, high = _pick(builder, registers, whole), _pick(builder, registers, builder.add(whole, _every_int(1)))
            target = _pointer(context, builder, signature.args[4], out, at)
            _store(builder, _lerp(builder, _load(builder, target), low, high, fraction), target)
        return context.get_dummy_value()

    return types.void(line, base, part, step, out, at), emit


def _make_spread(taps: int, count: int) -> Any:
    """`spread16` where at most ``taps`` samples are less than an element away from any element, held in ``count`` registers."""

    @intrinsic
    def spread16(
        typing: Any, line: Any, base: Any, part: Any, inverse: Any, step: Any, out: Any, i0: Any, i1: Any, w0: Any, w1: Any
    ) -> Any:
        """Add to sixteen elements of two lines what the samples around each have to give: the transpose of blend and lerp.

        Element i lies, less one element, at ``base + part + inverse * i`` in units of samples: the next ``taps`` samples are those
        around it, and each gives its share 1 - |distance|. The sum goes to ``out[i0 + i]`` times w0 and to ``out[i1 + i]`` times w1.
        """

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if PERMUTE:
                line, base, part, inverse, step, out, i0, i1, w0, w1 = args
                index, fraction = _whole_and_fraction(builder, _rows(builder, part, inverse))
                steps = _spread(builder, step)
                distance = _fma(builder, builder.fsub(_every(1), fraction), steps, _every(-1))
                source = _pointer(context, builder, signature.args[0], line, builder.add(base, ir.Constant(base.type, 1)))
                registers, total = _registers(builder, source, count), _every(0)
                for tap in range(taps):
                    total = _fma(builder, _share(builder, distance), _pick(builder, registers, index), total)
                    if tap + 1 < taps:
                        index, distance = builder.add(index, _every_int(1)), builder.fadd(distance, steps)
                for start, weight in ((i0, w0), (i1, w1)):
                    target = _pointer(context, builder, signature.args[5], out, start)
                    _store(builder, _fma(builder, _spread(builder, weight), total, _load(builder, target)), target)
            return context.get_dummy_value()

        return types.void(line, base, part, inverse, step, out, i0, i1, w0, w1), emit

    return spread16


spread16_2 = _make_spread(2, 2)  # step >= 1
spread16_3 = _make_spread(3, 2)  # step >= 2/3
spread16_4 = _make_spread(4, 2)  # step >= SPREAD_STEP_TWO
spread16_5 = _make_spread(5, 4)  # step >= 2/5
spread16_8 = _make_spread(8, 4)  # step >= SPREAD_STEP_MIN


def _every(value: float) -> Any:
    return ir.Constant(_FLOATS, [float(value)] * LANES)


def _every_int(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _registers(builder: Any, pointer: Any, count: int) -> list[Any]:
    return [_load(builder, builder.gep(pointer, [ir.Constant(_I32, LANES * i)])) for i in range(count)]


def _share(builder: Any, distance: Any) -> Any:
    """max(0, 1 - |distance|)."""
    unary, binary = (ir.FunctionType(_FLOATS, [_FLOATS] * n) for n in (1, 2))
    size = builder.call(cgutils.get_or_insert_function(builder.module, unary, "llvm.fabs.v16f32"), [distance])
    share = builder.fsub(_every(1), size)
    return builder.call(cgutils.get_or_insert_function(builder.module, binary, "llvm.maxnum.v16f32"), [share, _every(0)])


def _pick(builder: Any, registers: list[Any], index: Any) -> Any:
    """Element ``index`` of two or four registers side by side."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _INTS, _FLOATS])
    permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")
    near = builder.call(permute, [registers[0], index, registers[1]])
    if len(registers) == 2:
        return near
    far = builder.call(permute, [registers[2], index, registers[3]])  # takes the index modulo 32
    return builder.select(builder.icmp_signed(">=", index, _every_int(2 * LANES)), far, near)
