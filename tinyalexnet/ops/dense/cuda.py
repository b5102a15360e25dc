"""The dense layer on a GPU: a convolution of images of one pixel."""

from typing import Any

from ...devices.cuda import gemm
from ...devices.cuda.memory import empty
from ...devices.cuda.reduction import column_sums


def dense_forward(x: Any, w: Any, b: Any) -> Any:
    """Schedule: ``gemm.convolve``, with split-K if the batch is small."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    gemm.convolve(_pixels(x), _filters(w), b, (1, 1), (0, 0), 1, _pixels(out))
    return out


def dense_backward_input(dout: Any, w: Any) -> Any:
    """Schedule: ``gemm.convolve`` with the weights transposed."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    gemm.convolve_back(_pixels(dout), _filters(w), (0, 0), 1, _pixels(dx))
    return dx


def dense_backward_params(dout: Any, x: Any) -> tuple[Any, Any]:
    """Schedule: ``gemm.correlate``, and ``column_sums`` for the bias."""
    dw, db = empty((x.shape[1], dout.shape[1]), x.dtype), empty((dout.shape[1],), x.dtype)
    gemm.correlate(_pixels(dout), _pixels(x), (1, 1), (0, 0), 1, _filters(dw))
    column_sums(dout, db)
    return dw, db


def _pixels(vectors: Any) -> Any:
    return vectors.reshape(vectors.shape[0], 1, 1, vectors.shape[1])


def _filters(weights: Any) -> Any:
    return weights.reshape(1, 1, *weights.shape)
