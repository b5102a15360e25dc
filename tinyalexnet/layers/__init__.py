"""The layers: parameters, and the arrays that a backward needs of its forward. The arithmetic is in ``ops``."""

from .base import Layer
from .conv2d import Conv2d
from .dense import Dense
from .lrn import LocalResponseNorm
from .pointwise import Dropout, Flatten, ReLU
from .pooling import AvgPool2d, MaxPool2d

__all__ = ["AvgPool2d", "Conv2d", "Dense", "Dropout", "Flatten", "Layer", "LocalResponseNorm", "MaxPool2d", "ReLU"]
