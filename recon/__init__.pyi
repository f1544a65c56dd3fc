"""Between projections and volumes: operator, FDK, iterative methods, simulator, corrections, calibration."""

from .analytic.feldkamp import fdk as fdk
from .calibration.estimate import calibrate as calibrate
from .method import METHODS as METHODS
from .method import Method as Method
from .method import Progress as Progress
from .method import StopRun as StopRun
from .method import load_method as load_method
from .physics.effects import Physics as Physics
from .physics.simulator import simulate as simulate
from .physics.simulator import simulate_raw as simulate_raw
from .projector.operator import Operator as Operator
from .projector.operator import dottest as dottest
from .run_method import reconstruct as reconstruct
