"""Training on labelled images: the data, the optimizer, the loop, and checkpoints from which a run goes on."""

from .step import Settings, Training, read_log, train

__all__ = ["Settings", "Training", "read_log", "train"]
