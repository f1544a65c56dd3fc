"""Between projections and volumes: operator, FDK, iterative methods, simulator, corrections, calibration."""

from .analytic.astra_methods import fbp_astra as fbp_astra
from .analytic.astra_methods import fdk_astra as fdk_astra
from .analytic.feldkamp import fdk as fdk
from .calibration.estimate import calibrate as calibrate
from .iterative.asd_pocs import asd_pocs as asd_pocs
from .iterative.cgls import cgls as cgls
from .iterative.fista_tv import fista_tv as fista_tv
from .iterative.os_sart import os_sart as os_sart
from .iterative.pdhg_tv import pdhg_tv as pdhg_tv
from .iterative.sirt import sirt as sirt
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
from .ridge.wcrr import wcrr as wcrr
from .run_method import reconstruct as reconstruct
