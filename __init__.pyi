"""fewview: sparse-angle cone-beam CT. See README.md and docs/conventions.md."""

from .data import Projections as Projections
from .data import Reconstruction as Reconstruction
from .data import read as read
from .data import write_volume as write_volume
from .geometry import Grid as Grid
from .geometry import Scan as Scan
from .geometry import read_skyscan_log as read_skyscan_log
from .geometry import skyscan_1276 as skyscan_1276
from .geometry import views as views
from .recon import METHODS as METHODS
from .recon import Method as Method
from .recon import Operator as Operator
from .recon import calibrate as calibrate
from .recon import dottest as dottest
from .recon import fdk as fdk
from .recon import reconstruct as reconstruct
from .recon import simulate as simulate

__version__: str
