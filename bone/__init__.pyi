"""What a volume means: quantities of bone, segmentation, registration, composites."""

from .measures.compartments import CompartmentSettings as CompartmentSettings
from .measures.compartments import find_compartments as find_compartments
from .measures.density import DensityCalibration as DensityCalibration
from .measures.measured import Measured as Measured
from .measures.measuring import measure as measure
from .measures.quantities import QUANTITIES as QUANTITIES
