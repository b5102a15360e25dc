"""Training on labelled images: the data, the optimizer, the loop, and checkpoints from which a run goes on."""

from .log import read_log
from .run import train
from .settings import Settings
from .step import Training

__all__ = ["Settings", "Training", "read_log", "train"]
