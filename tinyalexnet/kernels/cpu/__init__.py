"""The same functions compiled by Numba: what runs in parallel, what is blocked, and why."""

from .conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from .maxpool import maxpool_backward, maxpool_forward
from .relu import relu_backward, relu_forward

__all__ = [
    "conv2d_backward_input",
    "conv2d_backward_params",
    "conv2d_forward",
    "maxpool_backward",
    "maxpool_forward",
    "relu_backward",
    "relu_forward",
]
