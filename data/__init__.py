"""What comes in and what goes out: projections, reconstructions, readers, writers, phantoms."""

from .projections import Projections
from .raw import RawScan
from .reconstruction import Reconstruction

__all__ = ["Projections", "RawScan", "Reconstruction"]
