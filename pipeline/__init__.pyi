"""One call from a scan to a volume: what is wanted (a plan), and the run that reads, calibrates, corrects, reconstructs and records."""

from .plan import ReconPlan as ReconPlan
from .plan import Spread as Spread
from .run_plan import Finished as Finished
from .run_plan import run as run
from .slabs.advice import slabs_advised as slabs_advised
from .slabs.estimating.estimate import estimate as estimate
from .slabs.parts import run_joined as run_joined
from .slabs.run_slabs import Streamed as Streamed
from .slabs.run_slabs import run_slabs as run_slabs
