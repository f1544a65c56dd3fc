"""What a volume means: quantities of bone, segmentation, registration, composites."""

from .measures.compartments import CompartmentSettings as CompartmentSettings
from .measures.compartments import find_compartments as find_compartments
from .measures.density import DensityCalibration as DensityCalibration
from .measures.interval_table import IntervalTable as IntervalTable
from .measures.interval_table import KnownError as KnownError
from .measures.interval_table import fit_intervals as fit_intervals
from .measures.interval_table import read_intervals as read_intervals
from .measures.measured import Measured as Measured
from .measures.measuring import measure as measure
from .measures.measuring import slab_plan as slab_plan
from .measures.quantities import QUANTITIES as QUANTITIES
from .segmentation.segmenting import ReconCTSegmentation as ReconCTSegmentation
from .segmentation.segmenting import Segmented as Segmented
from .weeks.composite import RoIComposite as RoIComposite
from .weeks.composite import RoICompositeCropper as RoICompositeCropper
from .weeks.following import Followed as Followed
from .weeks.following import follow as follow
from .weeks.registering import CTRegistration as CTRegistration
from .weeks.registering import Registered as Registered
