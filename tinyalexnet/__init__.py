"""AlexNet from scratch in NumPy and Numba: to be read, checked and timed.

>>> from tinyalexnet import alexnet, l2_loss
>>> net = alexnet("tf2015")
"""

from .alexnet import alexnet
from .layers import Conv2d, MaxPool2d, ReLU
from .losses import l2_loss
from .network import Sequential

__version__ = "0.1.0"

__all__ = ["Conv2d", "MaxPool2d", "ReLU", "Sequential", "alexnet", "l2_loss"]
