"""Which method, which data, how good, how fast."""

from .datasets.build import build_bonemet as build_bonemet
from .datasets.relatives import split_by_family as split_by_family
from .scores.metric_table import METRICS as METRICS
from .scores.metric_table import Metric as Metric
from .scores.metrics import psnr as psnr
from .scores.metrics import ssim as ssim
from .scores.volume_metrics import dice as dice
from .scores.volume_metrics import fourier_shell_correlation as fourier_shell_correlation
from .scores.volume_metrics import surface_distance as surface_distance
from .studies.study_table import find_study as find_study
from .studies.table2 import compare as compare
from .sweeps.study import Study as Study
from .sweeps.study import run_study as run_study
