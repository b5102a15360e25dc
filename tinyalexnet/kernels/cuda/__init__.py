"""The same functions on a GPU, compiled by Numba: which thread computes what. Arrays are on the device."""

from .avgpool import avgpool_backward, avgpool_forward
from .conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from .dense import dense_backward_input, dense_backward_params, dense_forward
from .dropout import dropout, dropout_mask
from .l2 import l2_loss
from .lrn import lrn_backward, lrn_forward
from .maxpool import maxpool_backward, maxpool_forward
from .momentum import momentum_step
from .relu import relu_backward, relu_forward
from .softmax import softmax_cross_entropy

__all__ = [
    "avgpool_backward",
    "avgpool_forward",
    "conv2d_backward_input",
    "conv2d_backward_params",
    "conv2d_forward",
    "dense_backward_input",
    "dense_backward_params",
    "dense_forward",
    "dropout",
    "dropout_mask",
    "l2_loss",
    "lrn_backward",
    "lrn_forward",
    "maxpool_backward",
    "maxpool_forward",
    "momentum_step",
    "relu_backward",
    "relu_forward",
    "softmax_cross_entropy",
]
