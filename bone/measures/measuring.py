"""`measure`: the quantities of bone in a region of a volume, from a surface that is placed between the voxels by the grey values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...geometry import Grid
from ..masks import Mask, grown
from ..stack.cut import Cut, within
from ..stack.joined import box_of_slabs
from ..stack.slab_plan import SlabPlan, plan_slabs
from ..stack.sliced import Sliced, kept
from ..thickness.local_thickness import Body, Thicknesses
from ..thickness.noise import noise_limits
from .asked import PARTS, Region, region_name, require_bone_count, require_region, require_shape, threshold_of, value_range
from .compartments import CompartmentSettings, find_compartments
from .density import DensityCalibration
from .maps import Maps
from .measured import Intervals, Measured
from .subject import Subject, grey_of, sides_of
from .sums.numbers import FEW, of_cortex, of_density, of_network
from .sums.tally import Sum, Tally, grey_sums, tally
from .sums.topology import euler_of_slabs, purified


def measure(
    volume: Sliced,
    grid: Grid,
    *,
    threshold: float | None = None,
    region: Region = None,
    calibration: DensityCalibration | None = None,
    compartments: CompartmentSettings | None = None,
    intervals: Intervals | None = None,
    slab: int | None = None,
) -> Measured:
    """The quantities of bone (`fewview.bone.QUANTITIES`) in ``region`` of ``volume`` [z, y, x], whose z axis runs along the bone.

    ``threshold`` says what is bone, in the unit of the volume (Otsu's unless given). Where the surface lies between the voxels is told by
    the grey values on both sides of it, so that plates and rods of few voxels are measured as thick as they are.

    ``region``: None or "whole" is the whole volume; an array of the volume's shape is the region itself; "trabecular" and "cortical" are
    compartments that are found in it, and "auto" takes the quantities of trabeculae from the one and those of the cortex from the other.
    ``calibration`` maps values to density for BMD and TMD. ``intervals`` are the errors (low, high) to add to a value: see
    `fewview.bone.IntervalTable`.

    A volume that memory does not hold with all that is made of it is measured slab by slab, ``slab`` slices high where that is given; the
    numbers are the same. ``volume`` and a region may be anything that gives slices when it is asked for them: an array, a memory map, a
    data set of an HDF5 or Zarr file, `fewview.data.open_volume`. `Measured.maps` then has every so manieth voxel.

    A quantity that the region is too small for is NaN, and ``notes`` says why; so is the mean thickness of what is too wide for slabs.
    Raises InputError for values that are not finite, a shape that is not the grid's, a threshold that is not between the values or in
    another unit than they are, a region without bone, and memory that is too small for a slab.

    >>> x = np.arange(-20, 20) + 0.5
    >>> plate = np.broadcast_to(np.clip(2.15 - np.abs(x) + 0.5, 0, 1), (20, 30, 40))  # 4.3 voxels thick
    >>> m = measure(plate, Grid(plate.shape, 0.01), threshold=0.5)
    >>> round(m["Tb_Th"], 3), round(m["BV_TV"], 1)
    (0.043, 10.8)
    """
    name = region_name(region)
    require_shape(volume, grid)
    plan = slab_plan(grid, region, slab, compartments)
    if plan.cut.is_whole:
        volume = np.asarray(volume[: grid.shape[0]])
    level, how = threshold_of(
        lambda z: grey_of(volume, z), grid.shape[0], value_range(grey_of(volume, own) for own in plan.cut.slabs), threshold
    )
    bone, space = _bone(volume, level, plan.cut)
    mask = None if region is None or isinstance(region, str) else region
    if mask is not None:
        require_region(mask, plan.cut)
    found = find_compartments(bone, grid.voxel_mm, compartments, plan.cut) if name in PARTS else None
    subject = Subject(volume, bone, name, mask, found, grid.voxel_mm)
    numbers, notes, rows, maps, how_cut = _measured(subject, plan, slab, space, grid, calibration)
    settings = {"threshold": level, "threshold_found": how, "region": name, "compartments": compartments, "calibration": calibration}
    settings |= how_cut | {"map_step": maps.step}
    shifts = {
        k: (numbers[k] + low, numbers[k] + high) for k, (low, high) in (intervals or {}).items() if not math.isnan(numbers.get(k, math.nan))
    }
    return Measured(numbers, grid, maps.named(found), rows, shifts, notes, settings)


def slab_plan(grid: Grid, region: Region = None, slab: int | None = None, compartments: CompartmentSettings | None = None) -> SlabPlan:
    """How `measure` goes about a volume on ``grid``: at once or by slabs, and the memory for it; InputError where it is too small."""
    parted = region_name(region) in PARTS
    return plan_slabs(grid.shape, (compartments or CompartmentSettings()).halo(grid.voxel_mm) if parted else 0, slab)


def _bone(volume: Sliced, level: float, cut: Cut) -> tuple[Sliced, Sum]:
    """(what is bone [z, y, x], the grey values of all else); InputError where that is nothing."""
    spaces: list[Sum] = []

    def above(own: slice) -> Mask:
        grey = grey_of(volume, own)
        bone = grey > level
        spaces.append(Sum.of(grey[~bone]))
        return bone

    bone, size = kept(above, cut), math.prod(cut.shape)
    space = sum(spaces, Sum())
    require_bone_count(size - space.count, size, level)
    return bone, space


def _measured(
    subject: Subject, plan: SlabPlan, slab: int | None, space: Sum, grid: Grid, calibration: DensityCalibration | None
) -> tuple[dict[str, float], dict[str, str], list[Mapping[str, float]], Maps, dict[str, int]]:
    """(quantities, notes, rows of the table of slices, maps, how the volume was cut)."""
    h, depth, name = grid.voxel_mm, grid.shape[0], subject.name
    limits = noise_limits(subject.grey_and_bone, grid.shape)
    used, near = plan, subject
    if subject.found is not None and (box := box_of_slabs(subject.bone, plan.cut, 0)) is not None:
        near = subject.cropped(sides_of(box, grid.shape))
        used = plan_slabs(near.shape, 0, slab)
    greys = _greys(near, used.cut, calibration is not None)
    walled = name != "trabecular" and near.found is not None
    filled = _filled(near, used, greys["cortex"], greys["cortical bone"].mean, space.mean, grid) if walled else None
    holes = _holes(near, used.cut) if name != "cortical" else math.nan
    maps, parts, reach = Maps.blank(grid.shape, plan.cut.is_whole), [], used.reach  # last, as maps take memory
    for found in Thicknesses(_body(near, limits), used.cut, used.reach, used.most):
        parts.append(tally(near, found, depth, grid.z_mm))
        maps.put(found, near.sides, h)
        reach = found.reach
    total, notes, numbers = Tally.joined(parts), dict[str, str](), dict[str, float]()
    if name != "cortical":
        numbers |= of_network(total, h, holes, reach, notes)
    if name != "trabecular":
        numbers |= of_cortex(total, h, filled, reach, notes)
    if calibration is not None:
        numbers |= of_density(greys, calibration, notes)
    how = {"slabs": len(used.cut.slabs), "slab_slices": used.cut.height, "around_slab": 0 if used.cut.is_whole else reach}
    return numbers, notes, list(total.rows), maps, how


def _body(subject: Subject, limits: tuple[float, float]) -> Body:
    """What thickness is measured of: bone, and spaces inside the outer contour where there is one."""

    def wanted(z: slice, phase: bool) -> Mask:
        return subject.inside(z) & (subject.bone(z) == phase)

    def centers(z: slice, phase: bool) -> Mask | None:
        found = None if phase else subject.compartments(z)
        return None if found is None else found.inside

    phases = (True,) if subject.name == "cortical" else (True, False)
    return Body(subject.grey_and_bone, limits, phases, wanted, centers)


def _holes(subject: Subject, cut: Cut) -> float:
    """1 - the Euler number of the bone in the region; what touches the region counts for how it hangs together."""

    def bone(own: slice) -> Mask:
        window = cut.around(own, 1)
        inside = subject.inside(window)
        return subject.bone(own) & (inside if inside.all() else grown(inside))[within(own, window)]

    return 1 - euler_of_slabs(purified(bone, cut), subject.inside, cut)


def _greys(subject: Subject, cut: Cut, calibrated: bool) -> Mapping[str, Sum]:
    """Sums of grey values over all slabs, where any are asked for."""
    if not calibrated and (subject.found is None or subject.name == "trabecular"):
        return {}
    parts = [grey_sums(subject, own, cut.shape[0], calibrated) for own in cut.slabs]
    return {name: sum((part[name] for part in parts), Sum()) for name in parts[0]}


def _filled(subject: Subject, plan: SlabPlan, cortex: Sum, high: float, low: float, grid: Grid) -> tuple[Sum, int]:
    """(diameters in the cortex, voxels of it that are undecided): pores made bone, trabeculae made marrow, the surface placed by the grey
    values that are left.
    """
    if cortex.count < FEW:
        return Sum(), 0

    def slices_of(part: Subject) -> Callable[[slice], tuple[NDArray[np.float32], Mask]]:
        def slices(z: slice) -> tuple[NDArray[np.float32], Mask]:
            grey, bone, found = part.grey(z).copy(), part.bone(z), part.compartments(z)
            walls = bone if found is None else found.cortical
            grey[walls & ~bone], grey[~walls & bone] = high, low
            return grey, walls

        return slices

    def walls_of(z: slice, phase: bool) -> Mask:
        found = subject.compartments(z)
        return subject.bone(z) if found is None else found.cortical

    limits = noise_limits(slices_of(subject.cropped((slice(None), slice(None)))), grid.shape)
    body = Body(slices_of(subject), limits, (True,), walls_of, lambda z, phase: None)
    diameters, undecided = Sum(), 0
    for found in Thicknesses(body, plan.cut, plan.reach, plan.most):
        inside = found.voxels[found.bone]
        diameters += Sum.of(inside, inside > 0)
        undecided += found.undecided[True]
    return diameters, undecided
