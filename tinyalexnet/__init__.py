"""AlexNet from scratch in NumPy and Numba: to be read, checked and timed.

>>> from tinyalexnet import alexnet, l2_loss
>>> net = alexnet("tf2015")
"""

from . import interrupts  # noqa: F401, first: python -m tinyalexnet imports this file before its own code
from .alexnet import alexnet
from .devices import to_device, to_host
from .layers import AvgPool2d, Conv2d, Dense, Dropout, Flatten, Layer, LocalResponseNorm, MaxPool2d, ReLU
from .losses import CrossEntropyLoss, L2Loss, OneOutput, l2_loss, softmax_cross_entropy
from .network import Sequential
from .tracing import explain, trace

__version__ = "0.1.0"

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dense",
    "Dropout",
    "Flatten",
    "L2Loss",
    "Layer",
    "LocalResponseNorm",
    "MaxPool2d",
    "OneOutput",
    "ReLU",
    "Sequential",
    "alexnet",
    "explain",
    "l2_loss",
    "softmax_cross_entropy",
    "to_device",
    "to_host",
    "trace",
]
