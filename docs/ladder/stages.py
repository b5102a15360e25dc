"""Rung 5: Winograd's algorithm, each of its three stages for the whole batch, in NumPy.

Changed: a tile of outputs takes one multiplication for each of its points, and not one for each kernel position of each
output (docs/winograd.md). For kernels of 3x3 and 5x5 that is a fourth to a sixth of them, and it should be faster by
this factor. Limit of this rung: V and M are larger than the images. Each stage writes all of its result to memory, and
the next one reads it again. The products run on all cores, but NumPy copies and adds on one. Both can cost more than
the multiplications that were saved.

The three functions are those of ``tinyalexnet/ops/conv2d/winograd/reference.py``, one line for each stage.
"""

from __future__ import annotations

from tinyalexnet.ops.conv2d.winograd import reference
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile


def forward(x, w, b, window):
    return reference.conv2d_forward(x, w, b, window, 1, _tile(x.shape, w.shape[3], window, x.dtype))


def backward_input(dout, w, x_shape, window):
    tile = _tile(x_shape, w.shape[3], window, dout.dtype)
    return reference.conv2d_backward_input(dout, w, x_shape, window, 1, tile)


def backward_params(dout, x, window):
    return reference.conv2d_backward_params(dout, x, window, 1, _tile(x.shape, dout.shape[3], window, x.dtype))


def _tile(x_shape, filters, window, dtype):
    """The tile. ValueError if the kernel has more than eight positions in a direction, counted in strides."""
    return choose_tile("winograd", "cpu", x_shape, filters, window, 1, dtype)
