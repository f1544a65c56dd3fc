"""Corrections of projections and volumes."""

from .apply import correct as correct
from .apply import correct_volume as correct_volume
from .settings import Corrections as Corrections
