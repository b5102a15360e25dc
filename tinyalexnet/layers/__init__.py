"""The layers: parameters, and the arrays that a backward needs of its forward. The arithmetic is in ``ops``."""

from .base import WEIGHT_STD, Cost, Layer, truncated_normal
from .conv2d import Conv2d
from .dense import Dense
from .lrn import LocalResponseNorm
from .pointwise import Dropout, Flatten, ReLU
from .pooling import AvgPool2d, MaxPool2d

__all__ = [
    "WEIGHT_STD",
    "AvgPool2d",
    "Conv2d",
    "Cost",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LocalResponseNorm",
    "MaxPool2d",
    "ReLU",
    "truncated_normal",
]
