"""AlexNet from scratch in NumPy and Numba: to be read, checked and timed.

>>> from tinyalexnet import alexnet, l2_loss
>>> net = alexnet("tf2015")
"""

from . import interrupts  # noqa: F401, first: python -m tinyalexnet imports this file before its own code
from .alexnet import alexnet
from .devices import to_device, to_host
from .layers import AvgPool2d, Conv2d, Dense, Dropout, Flatten, Layer, LocalResponseNorm, MaxPool2d, ReLU
from .losses import l2_loss, softmax_cross_entropy
from .network import Sequential

__version__ = "0.1.0"

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LocalResponseNorm",
    "MaxPool2d",
    "ReLU",
    "Sequential",
    "alexnet",
    "l2_loss",
    "softmax_cross_entropy",
    "to_device",
    "to_host",
]
