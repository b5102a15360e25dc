"""TensorFlow's AlexNet benchmark of 2015: the same network, the same loop, the same lines."""

from .main import run
from .memory import memory_estimate
from .options import PASSES, Options
from .timing import legacy_statistics, statistics

__all__ = ["PASSES", "Options", "legacy_statistics", "memory_estimate", "run", "statistics"]
