"""Rung 6: Winograd's three stages fused. This is the package's own kernel, ``tinyalexnet/ops/conv2d/winograd/cpu/``.

Changed: a task takes a few rows of tiles through all three stages before it begins the next, and uses the same memory
again and again. It is faster, because V and M stay in the cache, and the transforms run on all cores as well. In dw the
tiles of a chunk of the batch go through the stages together, because all of them add to the same sums. A small batch,
which has too few tasks, does this too. Limit of this rung: the remaining products, and the passes of the transforms
over the cache. Larger tiles would leave fewer products, but with more than eight points the rounding error is too
large.
"""

from __future__ import annotations

from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward


def forward(x, w, b, window):
    return conv2d_forward(x, w, b, window, algorithm="winograd")


def backward_input(dout, w, x_shape, window):
    return conv2d_backward_input(dout, w, x_shape, window, algorithm="winograd")


def backward_params(dout, x, window):
    return conv2d_backward_params(dout, x, window, algorithm="winograd")
