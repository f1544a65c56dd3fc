"""Local thickness of bone and of the spaces between, from grey values (Hildebrand and Rüegsegger, J Microsc 185 (1997) 67), by slabs.

The surface of a slab asks for a few slices around it, the largest balls in it for as many as they are wide, and the map that they paint for
all balls that reach into it. Each slab's surface and balls are found once and kept for as long as the slabs after it need them. The whole
volume is one slab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stack.cut import Cut, within
from ..stack.slab_plan import LEAST_REACH
from .inscribed_balls import inscribed_balls
from .layer import Layer
from .nearest_disc import nearest_across_slices, nearest_in_slices
from .noise import NoiseLimits, Slices
from .painted_balls import FILLINGS, Canvas, fill_gaps, paint
from .surface_elements import HALO, find_surface
from .wide_places import MARGIN, wide_edge

_STEP = 2  # slices beside a slab into which a centre may step on its way


@dataclass(frozen=True, eq=False)
class Body:
    """What is measured: ``slices`` gives grey values and mask [z, y, x] of some slices, ``limits`` is its noise, ``phases`` which of bone
    (True) and space (False) are asked for. ``wanted(z, phase)`` are the voxels whose thickness is asked for, and ``centers(z, phase)``
    those at which balls may have their centre.
    """

    slices: Slices
    limits: NoiseLimits
    phases: tuple[bool, ...]
    wanted: Callable[[slice, bool], NDArray[np.bool_]]
    centers: Callable[[slice, bool], NDArray[np.bool_] | None]


@dataclass(frozen=True, eq=False)
class SlabThickness:
    """Of the slices ``own``, all [z, y, x]: which voxels are ``bone``, ``share`` and ``area`` of `Surface`, in ``voxels`` the diameter of
    the largest ball inside a voxel's own phase that holds it, 0 where none was found, and ``plate``: 0 (rod) to 255 (plate).

    ``undecided``: for each phase how many voxels that are wanted may lie in a ball that is wider than the slices that were looked at;
    ``reach``, on both sides.
    """

    own: slice
    bone: NDArray[np.bool_]
    share: NDArray[np.uint8]
    area: NDArray[np.uint8]
    voxels: NDArray[np.float32]
    plate: NDArray[np.uint8]
    undecided: Mapping[bool, int]
    reach: int


@dataclass(frozen=True, eq=False)
class _Balls:
    """Of a slab, for each phase: its balls (n, 5); balls (n, 5) at the edge of what is too wide; how many wanted voxels lie in that."""

    sure: Mapping[bool, NDArray[np.float32]]
    edge: Mapping[bool, NDArray[np.float32]]
    inside: Mapping[bool, int]


class Thicknesses:
    """The thickness of a body slab by slab: iterate once. Where ``reach`` slices around a slab turn out too few for a ball in it, twice as
    many are looked at from there on, up to ``most``.
    """

    def __init__(self, body: Body, cut: Cut, reach: int, most: int) -> None:
        self.body, self.cut, self.reach, self.most = body, cut, max(reach, LEAST_REACH), max(most, LEAST_REACH)
        self.layers: dict[int, Layer] = {}
        self.balls: dict[int, _Balls] = {}

    def __iter__(self) -> Iterator[SlabThickness]:
        for n in range(len(self.cut.slabs)):
            found = self._painted(n)
            while any(found.undecided.values()) and self.reach < self.most:
                self.reach = min(2 * self.reach, self.most)
                self.balls.clear()
                found = self._painted(n)
            self._forget(n + 1)
            yield found
            del found

    def _painted(self, n: int) -> SlabThickness:
        own = self.cut.slabs[n]
        reach = self.cut.around(own, FILLINGS + self.reach + self.reach // 3 + 2)  # those of coarse lattices are told apart by their cells
        balls = [self._balls_of(m) for m in self.cut.touching(reach)]
        window = self.cut.around(own, FILLINGS)
        bone = self._bone(window)
        canvas, here = Canvas.blank(bone, window.start), within(own, window)
        undecided = {}
        for phase in self.body.phases:
            paint(np.concatenate([of.sure[phase] for of in balls]), phase, canvas)
            fill_gaps(phase, canvas, self.body.centers(window, phase))
            edge = np.concatenate([of.edge[phase] for of in balls])
            undecided[phase] = balls[n - self.cut.touching(reach).start].inside[phase]
            if len(edge) and not undecided[phase]:
                near = Canvas.blank(bone, window.start)
                paint(edge, phase, near)
                undecided[phase] = int(np.count_nonzero((near.map[here] > 0) & self.body.wanted(own, phase)))
        layer = self._layer(n)
        return SlabThickness(own, layer.bone, layer.share, layer.area, canvas.map[here], canvas.plate[here], undecided, self.reach)

    def _balls_of(self, n: int) -> _Balls:
        if n not in self.balls:
            self.balls[n] = self._find_balls(n)
        return self.balls[n]

    def _find_balls(self, n: int) -> _Balls:
        own = self.cut.slabs[n]
        near, numbers = self.cut.around(own, _STEP), self.cut.touching(self.cut.around(own, self.reach))
        layers = [self._layer(m) for m in numbers]
        discs, nearest, distance = nearest_across_slices(layers, near)
        bone, here = self._bone(near), within(own, near)
        whole = len(numbers) == len(self.cut.slabs)
        sure, edge, inside = {}, {}, {}
        for phase in self.body.phases:
            centers = self.body.centers(own, phase)
            allowed = np.zeros(bone.shape, np.bool_)
            allowed[here] = True if centers is None else centers
            balls = inscribed_balls(discs, bone, phase, nearest, distance, allowed)
            balls[:, 0] += near.start
            sure[phase] = balls if whole else balls[balls[:, 3] <= self.reach - MARGIN]
            edge[phase], inside[phase] = np.empty((0, 5), np.float32), 0
            if not whole:
                wide = (distance > self.reach - MARGIN - 2) & (bone == phase)
                inside[phase] = int(np.count_nonzero(wide[here] & self.body.wanted(own, phase)))
                allowed[: here.start], allowed[here.stop :] = True, True  # the places beside the slab tell what is an edge
                edge[phase] = wide_edge(wide & allowed, here, own.start, self.reach - MARGIN - 1)
        return _Balls(sure, edge, inside)

    def _layer(self, n: int) -> Layer:
        if n not in self.layers:
            own = self.cut.slabs[n]
            window = self.cut.around(own, HALO)
            grey, bone = self.body.slices(window)
            here = within(own, window)
            surface = find_surface(grey, bone, limits=self.body.limits, own=here, first=window.start)
            nearest, squared = nearest_in_slices(surface.ids)
            self.layers[n] = Layer(own, bone[here], surface.share, surface.area, surface.discs, nearest, squared)
        return self.layers[n]

    def _bone(self, window: slice) -> NDArray[np.bool_]:
        """Which voxels [z, y, x] of some slices are bone."""
        layers = [self._layer(m) for m in self.cut.touching(window)]
        bone = layers[0].bone if len(layers) == 1 else np.concatenate([layer.bone for layer in layers])
        return bone[within(window, slice(layers[0].own.start, layers[-1].own.stop))]

    def _forget(self, n: int) -> None:
        """Let go of what slab ``n`` and those after it do not ask for."""
        if n >= len(self.cut.slabs):
            self.layers, self.balls = {}, {}
            return
        own = self.cut.slabs[n]
        first = self.cut.touching(self.cut.around(own, FILLINGS + self.reach + self.reach // 3 + 2)).start
        self.balls = {m: balls for m, balls in self.balls.items() if m >= first}
        new = max(self.balls, default=first - 1) + 1
        needed = [self.cut.around(own, FILLINGS)]
        if new < len(self.cut.slabs):
            needed.append(self.cut.around(self.cut.slabs[new], self.reach))
        first = min(self.cut.touching(window).start for window in needed)
        self.layers = {m: layer for m, layer in self.layers.items() if m >= first}
