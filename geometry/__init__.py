"""Where everything is: scans, grids, view selections. numpy only."""

from . import views
from .errors import InputError, MissingBackendError, UnknownNameError
from .grid import Grid
from .scan import Scan
from .skyscan import skyscan_1276

__all__ = ["Grid", "InputError", "MissingBackendError", "Scan", "UnknownNameError", "skyscan_1276", "views"]
