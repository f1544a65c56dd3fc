"""Sixteen interpolations at once: what the compiled inner loops are made of on a CPU with AVX-512.

Sixteen equidistant samples of a line that lie less than two elements apart fall on 32 consecutive elements. Those sit in two registers,
and a permute (``vpermi2ps``) picks from them in one instruction what would be sixteen scattered loads, which LLVM never turns into
gathers by itself. Where `LANES` is False these functions must not be reached; the callers hold plain loops that do the same.

Arrays are one-dimensional, contiguous float32; indices are not checked, so lines need `MARGIN` elements to spare at either end.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

WIDTH = 16
MARGIN = 64
# Where numba compiles for this very CPU, and it has the instructions.
_settings: Any = config
LANES = bool(
    _settings.CPU_NAME is None
    and _settings.CPU_FEATURES is None
    and _settings.ENABLE_AVX
    and llvm.get_host_cpu_features().get("avx512f", False)
)
LERP_STEP_MAX = 1.93  # samples may be this far apart: 15 * 1.93 + 2 < 31
SPREAD_STEP_TWO = 0.54  # two registers hold the samples about 16 elements: 1 + 15 / 0.54 + 3 < 32
SPREAD_STEP_MIN = 0.27  # four registers hold them: 1 + 15 / 0.27 + 7 < 64

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_INT, WIDTH)


def _every(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [float(value)] * WIDTH)


def _every_int(value: int) -> ir.Constant:
    return ir.Constant(_INTS, [value] * WIDTH)


class _Emit:
    """Writes vector instructions for one call; ``args`` are the values of the call."""

    def __init__(self, context: Any, builder: Any, signature: Any) -> None:
        self.context, self.builder, self.signature = context, builder, signature

    def splat(self, scalar: Any) -> Any:
        nothing = ir.Constant(_FLOATS, ir.Undefined)
        one = self.builder.insert_element(nothing, scalar, ir.Constant(_INT, 0))
        return self.builder.shuffle_vector(one, nothing, _every_int(0))

    def pointer(self, which: int, array: Any, index: Any) -> Any:
        data = self.context.make_array(self.signature.args[which])(self.context, self.builder, array).data
        return self.builder.bitcast(self.builder.gep(data, [index]), _FLOATS.as_pointer())

    def load(self, pointer: Any, registers_on: int = 0) -> Any:
        return self.builder.load(self.builder.gep(pointer, [ir.Constant(_INT, registers_on)]), align=4)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, pointer, align=4)

    def call(self, name: str, *args: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [a.type for a in args])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.call("llvm.fma.v16f32", x, y, z)

    def positions(self, part: Any, step: Any) -> tuple[Any, Any, Any]:
        """Whole part, fraction of ``part + step * lane`` for lanes 0 to 15, and the step in every lane."""
        steps = self.splat(step)
        at = self.fma(steps, ir.Constant(_FLOATS, [float(i) for i in range(WIDTH)]), self.splat(part))
        whole = self.builder.fptosi(at, _INTS)
        return whole, self.builder.fsub(at, self.builder.sitofp(whole, _FLOATS)), steps

    def pick(self, registers: list[Any], index: Any) -> Any:
        """Element ``index`` of two or four registers side by side."""
        near = self.call("llvm.x86.avx512.vpermi2var.ps.512", registers[0], index, registers[1])
        if len(registers) == 2:
            return near
        far = self.call("llvm.x86.avx512.vpermi2var.ps.512", registers[2], index, registers[3])  # takes the index modulo 32
        return self.builder.select(self.builder.icmp_signed(">=", index, _every_int(32)), far, near)


def _lerp16(typing, line, base, part, step, out, at):
    """``out[at + i] += line interpolated at base + part + step * i`` for i = 0..15; 0 <= part < 1, 0 <= step <= LERP_STEP_MAX."""

    def emit(context, builder, signature, args):
        line, base, part, step, out, at = args
        if LANES:
            e = _Emit(context, builder, signature)
            whole, fraction, _ = e.positions(part, step)
            source, target = e.pointer(0, line, base), e.pointer(4, out, at)
            registers = [e.load(source, 0), e.load(source, 1)]
            low, high = e.pick(registers, whole), e.pick(registers, builder.add(whole, _every_int(1)))
            e.store(e.fma(fraction, builder.fsub(high, low), builder.fadd(e.load(target), low)), target)
        return context.get_dummy_value()

    return types.void(line, base, part, step, out, at), emit


def _blend16(typing, lines, i0, i1, w0, w1, out, at):
    """``out[at + i] = w0 lines[i0 + i] + w1 lines[i1 + i]`` for i = 0..15."""

    def emit(context, builder, signature, args):
        lines, i0, i1, w0, w1, out, at = args
        if LANES:
            e = _Emit(context, builder, signature)
            first, second = e.load(e.pointer(0, lines, i0)), e.load(e.pointer(0, lines, i1))
            e.store(e.fma(e.splat(w1), second, builder.fmul(e.splat(w0), first)), e.pointer(5, out, at))
        return context.get_dummy_value()

    return types.void(lines, i0, i1, w0, w1, out, at), emit


def _make_spread(taps: int, count: int) -> Any:
    """The transpose of blend and lerp for lines whose samples meet an element ``taps`` times; ``count`` registers of samples."""

    @intrinsic
    def spread16(typing, line, base, part, inverse, step, out, i0, i1, w0, w1):
        """Add to sixteen elements of two lines what the samples around each have to give.

        Element i lies at ``base + part + inverse * i`` in units of samples, less one element: the next ``taps`` samples are those
        around it, and each gives its share 1 - |distance|. The sum goes to ``out[i0 + i]`` times w0 and to ``out[i1 + i]`` times w1.
        """

        def emit(context, builder, signature, args):
            line, base, part, inverse, step, out, i0, i1, w0, w1 = args
            if LANES:
                e = _Emit(context, builder, signature)
                index, fraction, _ = e.positions(part, inverse)
                steps = e.splat(step)
                distance = e.fma(builder.fsub(_every(1), fraction), steps, _every(-1))
                source = e.pointer(0, line, builder.add(base, ir.Constant(base.type, 1)))
                registers, total = [e.load(source, i) for i in range(count)], _every(0)
                for tap in range(taps):
                    share = builder.fsub(_every(1), e.call("llvm.fabs.v16f32", distance))
                    share = e.call("llvm.maxnum.v16f32", share, _every(0))
                    total = e.fma(share, e.pick(registers, index), total)
                    if tap + 1 < taps:
                        index, distance = builder.add(index, _every_int(1)), builder.fadd(distance, steps)
                for start, weight in ((i0, w0), (i1, w1)):
                    target = e.pointer(5, out, start)
                    e.store(e.fma(e.splat(weight), total, e.load(target)), target)
            return context.get_dummy_value()

        return types.void(line, base, part, inverse, step, out, i0, i1, w0, w1), emit

    return spread16


lerp16: Any = intrinsic(_lerp16)
blend16: Any = intrinsic(_blend16)
spread16_2 = _make_spread(2, 2)  # step >= 1
spread16_3 = _make_spread(3, 2)  # step >= 2/3
spread16_4 = _make_spread(4, 2)  # step >= SPREAD_STEP_TWO
spread16_5 = _make_spread(5, 4)  # step >= 2/5
spread16_8 = _make_spread(8, 4)  # step >= SPREAD_STEP_MIN
