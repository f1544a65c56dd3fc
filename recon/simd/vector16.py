"""Sixteen float32 lanes as one numba value, for the one loop that LLVM does not vectorise by itself: interpolation along a line.

Sixteen voxels along z fall on at most 32 consecutive detector rows. With AVX-512 these lie in two registers and interpolation is a
permutation of them (``vpermi2ps``); other processors, and steps of more rows, fetch lane by lane. Both give the same numbers.

Numba's cache on disk looks at the file of the compiled function only: after a change here, touch the files that use it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.core.datamodel import models
from numba.extending import intrinsic as _numba_intrinsic
from numba.extending import register_model

LANES = 16
NEAR_STEP = 1.9  # rows a lane up to which `add_line_near` holds: 15 steps, one row below and one above fit in 32 rows
_I32 = ir.IntType(32)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(_I32, LANES)
_FUSE = ("contract",)
intrinsic: Any = _numba_intrinsic  # what it makes is called without the typing context


class Vector16(types.Type):
    """The numba type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Vector16")


vector16 = Vector16()


@register_model(Vector16)
class _Vector16Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


def has_permute() -> bool:
    """True where the code that numba makes for this machine may use AVX-512."""
    generic = config.CPU_NAME is not None or config.CPU_FEATURES is not None  # pyright: ignore[reportAttributeAccessIssue]
    return not generic and "+avx512f" in get_host_cpu_features().split(",")


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _spread(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FUSE), c, flags=_FUSE)


def _blend(builder: Any, left: Any, one: Any, right: Any, two: Any) -> Any:
    return _fma(builder, right, two, builder.fmul(left, one, flags=_FUSE))


def _lerp(builder: Any, total: Any, low: Any, high: Any, fraction: Any) -> Any:
    return builder.fadd(total, _fma(builder, fraction, builder.fsub(high, low), low))


def _rows(builder: Any, row: Any, step: Any) -> Any:
    lanes = ir.Constant(_FLOATS, [float(i) for i in range(LANES)])
    return _fma(builder, lanes, _spread(builder, step), _spread(builder, row))


def _whole_and_fraction(builder: Any, rows: Any) -> tuple[Any, Any]:
    whole = builder.fptosi(rows, _INTS)
    return whole, builder.fsub(rows, builder.sitofp(whole, _FLOATS))


@intrinsic
def load16(typingctx: Any, array: Any, index: Any) -> Any:
    """``array[index : index + 16]`` of a contiguous 1-D float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], args[0], args[1]))

    return vector16(array, types.intp), generate


@intrinsic
def store16(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index : index + 16] = value``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector16), generate


def _signature(flat: Any, *scalars: Any) -> Any:
    return vector16(vector16, flat, types.intp, types.intp, types.float32, types.float32, types.float32, types.float32, *scalars)


@intrinsic
def add_line_near(typingctx: Any, total: Any, flat: Any, one: Any, two: Any, left: Any, right: Any, row: Any, step: Any) -> Any:
    """Like `add_line`, where 0 <= row < 1 at the lowest lane, |step| <= NEAR_STEP, and 32 values can be read from ``one`` and ``two``.

    Needs `has_permute`: on any other processor the code stays lane by lane.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, flat, one, two, left, right, row, step = args
        rows = _rows(builder, row, step)
        left, right = _spread(builder, left), _spread(builder, right)
        if not has_permute():
            return _lane_by_lane(context, builder, signature.args[1], flat, (one, two), (left, right), rows, total)
        first = _pointer(context, builder, signature.args[1], flat, one)
        second = _pointer(context, builder, signature.args[1], flat, two)
        half = ir.Constant(one.type, LANES)
        lower = _blend(builder, left, _load(builder, first), right, _load(builder, second))
        upper = _blend(builder, left, _load(builder, builder.gep(first, [half])), right, _load(builder, builder.gep(second, [half])))
        whole, fraction = _whole_and_fraction(builder, rows)
        kind = ir.FunctionType(_FLOATS, [_FLOATS, _INTS, _FLOATS])
        permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")
        low = builder.call(permute, [lower, whole, upper])
        high = builder.call(permute, [lower, builder.add(whole, ir.Constant(_INTS, [1] * LANES)), upper])
        return _lerp(builder, total, low, high, fraction)

    return _signature(flat), generate


@intrinsic
def add_line(typingctx: Any, total: Any, flat: Any, one: Any, two: Any, left: Any, right: Any, row: Any, step: Any, top: Any) -> Any:
    """``total`` plus the line ``left * flat[one:] + right * flat[two:]``, linearly interpolated at ``row + lane * step``.

    Rows are limited to 0 ... ``top``; the line is read from there to ``top + 1``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, flat, one, two, left, right, row, step, top = args
        rows = _rows(builder, row, step)
        zero, top = ir.Constant(_FLOATS, [0.0] * LANES), _spread(builder, top)
        rows = _limit(builder, rows, zero, top)
        weights = (_spread(builder, left), _spread(builder, right))
        return _lane_by_lane(context, builder, signature.args[1], flat, (one, two), weights, rows, total)

    return _signature(flat, types.float32), generate


@intrinsic
def add_points(typingctx: Any, total: Any, flat: Any, base: Any, pitch: Any, limits: Any, step: Any, first: Any, slope: Any) -> Any:
    """``total`` plus the filtered view at sixteen voxels anywhere on the panel, bilinear, each times ``step / w^2``.

    ``first`` and ``slope`` are three float32 each: (col w, row w, w) at lane 0, and their change a lane; w > 0 in front of the source.
    ``limits`` are the last column and the last row: columns up to half a pixel outside count as the edge, farther ones not at all, and
    rows are limited to 0 ... last. The view starts at ``flat[base]``, a column takes ``pitch``; a column beyond the last and a row
    beyond the last are read, and do not count.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, flat, base, pitch, limits, step, first, slope = args
        starts, steps, (last_col, last_row) = (cgutils.unpack_tuple(builder, t) for t in (first, slope, limits))
        col, row, w = (_rows(builder, a, b) for a, b in zip(starts, steps, strict=True))
        one, half, zero = (ir.Constant(_FLOATS, [value] * LANES) for value in (1.0, 0.5, 0.0))
        inverse = builder.fdiv(one, w)
        col, row = builder.fmul(col, inverse), builder.fmul(row, inverse)
        last_col, last_row = _spread(builder, last_col), _spread(builder, last_row)
        seen = builder.fcmp_ordered(">", w, zero)
        seen = builder.and_(seen, builder.fcmp_ordered(">=", builder.fadd(col, half), zero))
        seen = builder.and_(seen, builder.fcmp_ordered("<=", builder.fsub(col, half), last_col))
        col, row = _limit(builder, col, zero, last_col), _limit(builder, row, zero, last_row)
        weight = builder.fmul(_spread(builder, step), builder.fmul(inverse, inverse))
        weight = builder.select(seen, weight, zero)
        col, right = _whole_and_fraction(builder, col)
        row, fraction = _whole_and_fraction(builder, row)
        start = _pointer(context, builder, signature.args[1], flat, base)
        values = _gather(builder, start, pitch, col, row)
        right = builder.fmul(right, weight)
        return _lerp(
            builder,
            total,
            _blend(builder, builder.fsub(weight, right), values[0], right, values[1]),
            _blend(builder, builder.fsub(weight, right), values[2], right, values[3]),
            fraction,
        )

    real, pair, three = types.float32, types.UniTuple(types.float32, 2), types.UniTuple(types.float32, 3)
    return vector16(vector16, flat, types.intp, types.intp, pair, real, three, three), generate


def _limit(builder: Any, value: Any, least: Any, most: Any) -> Any:
    """Also NaN and infinity end within the limits."""
    value = builder.select(builder.fcmp_ordered(">", value, least), value, least)
    return builder.select(builder.fcmp_ordered("<", value, most), value, most)


def _gather(builder: Any, start: Any, pitch: Any, col: Any, row: Any) -> list[Any]:
    """Sixteen lanes of: the value at (col, row), the next column's, the next row's, and that of both."""
    values = [ir.Constant(_FLOATS, ir.Undefined)] * 4
    one = ir.Constant(pitch.type, 1)
    for lane in range(LANES):
        at = ir.Constant(_I32, lane)
        c, r = (builder.sext(builder.extract_element(v, at), pitch.type) for v in (col, row))
        here = builder.gep(start, [builder.add(builder.mul(c, pitch), r)])
        next_col = builder.gep(here, [pitch])
        places = (here, next_col, builder.gep(here, [one]), builder.gep(next_col, [one]))
        values = [builder.insert_element(vector, builder.load(place), at) for vector, place in zip(values, places, strict=True)]
    return values


def _lane_by_lane(context: Any, builder: Any, flat_type: Any, flat: Any, starts: Any, weights: Any, rows: Any, total: Any) -> Any:
    whole, fraction = _whole_and_fraction(builder, rows)
    values = [ir.Constant(_FLOATS, ir.Undefined)] * 4  # columns one and two at the row, then at the next row
    bases = [_pointer(context, builder, flat_type, flat, start) for start in starts]
    for lane in range(LANES):
        at = ir.Constant(_I32, lane)
        row = builder.sext(builder.extract_element(whole, at), starts[0].type)
        places = [builder.gep(base, [k]) for k in (row, builder.add(row, ir.Constant(row.type, 1))) for base in bases]
        values = [builder.insert_element(vector, builder.load(place), at) for vector, place in zip(values, places, strict=True)]
    low = _blend(builder, weights[0], values[0], weights[1], values[1])
    high = _blend(builder, weights[0], values[2], weights[1], values[3])
    return _lerp(builder, total, low, high, fraction)
