"""Weights from files, torchvision's and this package's own, and classification of photographs with them."""

from .pretrained import Weights, from_channels_first, load

__all__ = ["Weights", "from_channels_first", "load"]
