"""What a method is (`contract`), which there are (`registry`), and how one is found by name, file or function (`load`)."""

from .contract import Callback, Kind, Method, MethodFunction, NoSettings, Progress, StopRun, Volume, as_method, method_function
from .load import load_method
from .registry import METHODS, ROWS, Row, names_of_kind

__all__ = [
    "METHODS",
    "ROWS",
    "Callback",
    "Kind",
    "Method",
    "MethodFunction",
    "NoSettings",
    "Progress",
    "Row",
    "StopRun",
    "Volume",
    "as_method",
    "load_method",
    "method_function",
    "names_of_kind",
]
