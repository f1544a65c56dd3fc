"""What comes in and what goes out: projections, reconstructions, readers, writers, phantoms."""

from .images.bonemet_folders import find_bonemet as find_bonemet
from .images.grey import from_grey as from_grey
from .images.grey import to_grey as to_grey
from .phantom.limb import Phantom as Phantom
from .phantom.limb import hind_limb as hind_limb
from .projections import Projections as Projections
from .reconstruction import Reconstruction as Reconstruction
from .scans.bonemet import write_bonemet_xray as write_bonemet_xray
from .scans.preparation import prepare as prepare
from .scans.projections_file import write_projections as write_projections
from .scans.raw import RawScan as RawScan
from .scans.reader import read as read
from .scans.reader import read_raw as read_raw
from .scans.skyscan import write_skyscan as write_skyscan
from .volumes.bonemet import write_bonemet_slices as write_bonemet_slices
from .volumes.reader import open_volume as open_volume
from .volumes.reader import read_volume as read_volume
from .volumes.writer import write_volume as write_volume
