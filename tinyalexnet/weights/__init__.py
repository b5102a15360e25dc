"""Weights from files: torchvision's and this package's own, and the classes that they find on photographs."""

from .pretrained import Weights, from_channels_first, load

__all__ = ["Weights", "from_channels_first", "load"]
