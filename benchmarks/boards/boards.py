"""The boards by name."""

from __future__ import annotations

from collections.abc import Mapping

from .board import Board
from .cwi_board import CWI
from .htc_board import HTC
from .r2_board import R2
from .rabbitct_board import RABBITCT

BOARDS: Mapping[str, Board] = {board.name: board for board in (R2, CWI, HTC, RABBITCT)}
