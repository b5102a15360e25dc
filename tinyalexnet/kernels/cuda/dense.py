"""The dense layer on a GPU: a convolution of images of one pixel."""

from __future__ import annotations

from typing import Any

from ..contract import check_dense_backward_input, check_dense_backward_params, check_dense_forward
from . import tiles
from .memory import empty
from .reduction import column_sums
from .runtime import stand_in


def dense_forward(x: Any, w: Any, b: Any) -> Any:
    """Weighted sums of a batch of vectors, plus a bias per output; see reference.

    Schedule
        ``tiles.convolve``: where the batch is small, the sums over the inputs are taken in parts.
    """
    check_dense_forward(stand_in("x", x), stand_in("w", w), stand_in("b", b))
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    tiles.convolve(_pixels(x), _filters(w), b, (1, 1), (0, 0), 1, _pixels(out))
    return out


def dense_backward_input(dout: Any, w: Any) -> Any:
    """Gradient with respect to the vectors; see reference.

    Schedule
        ``tiles.convolve`` with the weights transposed.
    """
    check_dense_backward_input(stand_in("dout", dout), stand_in("w", w))
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    tiles.convolve_back(_pixels(dout), _filters(w), (0, 0), 1, _pixels(dx))
    return dx


def dense_backward_params(dout: Any, x: Any) -> tuple[Any, Any]:
    """Gradients with respect to the weights and the bias: both are sums over the batch; see reference.

    Schedule
        ``tiles.correlate``, and ``column_sums`` for the bias.
    """
    check_dense_backward_params(stand_in("dout", dout), stand_in("x", x))
    dw, db = empty((x.shape[1], dout.shape[1]), x.dtype), empty((dout.shape[1],), x.dtype)
    tiles.correlate(_pixels(dout), _pixels(x), (1, 1), (0, 0), 1, _filters(dw))
    column_sums(dout, db)
    return dw, db


def _pixels(vectors: Any) -> Any:
    return vectors.reshape(vectors.shape[0], 1, 1, vectors.shape[1])


def _filters(weights: Any) -> Any:
    return weights.reshape(1, 1, *weights.shape)
