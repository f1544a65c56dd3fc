"""Corrections of projections and volumes."""

from .apply import Corrections as Corrections
from .apply import correct as correct
from .apply import correct_volume as correct_volume
