"""Where everything is: scans, grids, selections of views, and log files. It needs numpy only."""

from ..base import InputError, MissingBackendError, UnknownNameError
from . import transform, views
from .draw import draw_svg
from .field_of_view import FieldOfView
from .grid import Grid
from .recipe import circular_recipe
from .scan import Scan
from .skyscan.format import format_skyscan_log
from .skyscan.log import SkyScanLog, parse_skyscan_log, read_skyscan_log
from .skyscan.scanner import skyscan_1276
from .skyscan.shifts import read_view_shifts

__all__ = [
    "FieldOfView",
    "Grid",
    "InputError",
    "MissingBackendError",
    "Scan",
    "SkyScanLog",
    "UnknownNameError",
    "circular_recipe",
    "draw_svg",
    "format_skyscan_log",
    "parse_skyscan_log",
    "read_skyscan_log",
    "read_view_shifts",
    "skyscan_1276",
    "transform",
    "views",
]
