"""Learned reconstruction: train a network, keep it, use it like any other method."""

from .field.naf import naf as naf
from .patchwise.method import tvnet as tvnet
from .training.checkpoint import Checkpoint as Checkpoint
from .training.checkpoint import load_checkpoint as load_checkpoint
from .training.checkpoint import read_checkpoint as read_checkpoint
from .training.ensemble import ensemble_std as ensemble_std
from .training.examples import load_examples as load_examples
from .training.learner import Example as Example
from .training.learner import Learner as Learner
from .training.learners import find_learner as find_learner
from .training.learners import learners as learners
from .training.settings import TrainSettings as TrainSettings
from .training.train_network import train as train
from .training.trained_method import trained_method as trained_method
from .volumes.lpd import lpd as lpd
from .volumes.unet import unet as unet
