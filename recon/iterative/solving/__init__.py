"""The parts that iterative methods are made of: the data term, scales and step sizes, the loop, and how a function becomes a method."""

from ..arrays import Sinogram, Volume, as_numpy, beside, combined, copied, dot, module_of, zeros
from .data_term import DataTerm
from .protocols import Solver, State, Values
from .run import Run, iterative_method
from .setup import IterativeSettings

__all__ = [
    "DataTerm",
    "IterativeSettings",
    "Run",
    "Sinogram",
    "Solver",
    "State",
    "Values",
    "Volume",
    "as_numpy",
    "beside",
    "combined",
    "copied",
    "dot",
    "iterative_method",
    "module_of",
    "zeros",
]
