"""What every backend holds to: the functions it offers, what they refuse, and the two conventions they share.

The formulas, shapes and errors of ``Kernels`` stand in ``kernels/reference``. There is one check per function, with the
function's arguments; where the output's shape is needed next, the check returns it. Each message names the argument,
its value and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ..geometry import Window, as_integer

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

Shape = tuple[int, ...]
ImagesShape = tuple[int, int, int, int]
"""(N, H, W, C)"""


class Kernels(Protocol):
    """The functions of a backend, which is a module."""

    def conv2d_forward(
        self, x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
    ) -> np.ndarray: ...

    def conv2d_backward_input(
        self,
        dout: np.ndarray,
        w: np.ndarray,
        x_shape: Shape,
        window: Window,
        groups: int = 1,
        algorithm: str = "auto",
    ) -> np.ndarray: ...

    def conv2d_backward_params(
        self, dout: np.ndarray, x: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def maxpool_forward(self, x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]: ...

    def maxpool_backward(self, dout: np.ndarray, argmax: np.ndarray, x_shape: Shape, window: Window) -> np.ndarray: ...

    def relu_forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...

    def relu_backward(self, dout: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...

    def avgpool_forward(self, x: np.ndarray, window: Window) -> np.ndarray: ...

    def avgpool_backward(self, dout: np.ndarray, x_shape: Shape, window: Window) -> np.ndarray: ...

    def lrn_forward(
        self, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def lrn_backward(
        self, dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float
    ) -> np.ndarray: ...

    def dense_forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray: ...

    def dense_backward_input(self, dout: np.ndarray, w: np.ndarray) -> np.ndarray: ...

    def dense_backward_params(self, dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def dropout(self, x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray: ...

    def dropout_mask(self, shape: Shape, rate: float, seed: int) -> np.ndarray: ...

    def softmax_cross_entropy(self, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]: ...

    def l2_loss(self, y: np.ndarray) -> tuple[float, np.ndarray]: ...

    def momentum_step(
        self, w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
    ) -> None: ...


def check_conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int) -> ImagesShape:
    """Returns the output's shape (N, OH, OW, F)."""
    check_floats("x", x)
    check_floats("w", w)
    out_shape = conv2d_shape(x.shape, w.shape, window, groups)
    check_same_dtype("w", w, "x", x)
    check_floats("b", b)
    check_same_dtype("b", b, "x", x)
    check_shape("b", b, out_shape[3:], "one number per filter")
    return out_shape


def check_conv2d_backward_input(dout: np.ndarray, w: np.ndarray, x_shape: Shape, window: Window, groups: int) -> None:
    check_floats("dout", dout)
    check_floats("w", w)
    check_shape("dout", dout, conv2d_shape(x_shape, w.shape, window, groups), "the output's shape")
    check_same_dtype("dout", dout, "w", w)


def check_conv2d_backward_params(dout: np.ndarray, x: np.ndarray, window: Window, groups: int) -> None:
    check_floats("x", x)
    n, height, width, channels = _images_shape("x", x.shape)
    _check_groups(channels, groups)
    check_floats("dout", dout)
    filters = dout.shape[-1] if dout.ndim == 4 and dout.shape[-1] and dout.shape[-1] % groups == 0 else groups
    check_shape("dout", dout, (n, *window.output_size((height, width)), filters), "the output's shape")
    check_same_dtype("dout", dout, "x", x)


def check_maxpool_forward(x: np.ndarray, window: Window) -> ImagesShape:
    """Returns the output's shape (N, OH, OW, C)."""
    check_floats("x", x)
    return pool_shape(x.shape, window)


def check_maxpool_backward(dout: np.ndarray, argmax: np.ndarray, x_shape: Shape, window: Window) -> None:
    out_shape = pool_shape(x_shape, window)
    check_floats("dout", dout)
    check_shape("dout", dout, out_shape, "the output's shape")
    if not isinstance(argmax, np.ndarray) or argmax.dtype != argmax_dtype(window):
        found = argmax.dtype if isinstance(argmax, np.ndarray) else type(argmax).__name__
        raise TypeError(f"argmax is {found}, but must be the forward's array of {argmax_dtype(window)}")
    check_shape("argmax", argmax, out_shape, "the output's shape")


def check_relu_forward(x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Returns the array to write to: ``out``, or a new one."""
    check_floats("x", x)
    return _out_like("x", x, out)


def check_relu_backward(dout: np.ndarray, y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Returns the array to write to: ``out``, or a new one."""
    check_floats("y", y)
    check_floats("dout", dout)
    check_same_dtype("dout", dout, "y", y)
    check_shape("dout", dout, y.shape, "the output's shape")
    return _out_like("dout", dout, out)


def check_avgpool_forward(x: np.ndarray, window: Window) -> ImagesShape:
    """Returns the output's shape (N, OH, OW, C)."""
    check_floats("x", x)
    return pool_shape(x.shape, window)


def check_avgpool_backward(dout: np.ndarray, x_shape: Shape, window: Window) -> None:
    check_floats("dout", dout)
    check_shape("dout", dout, pool_shape(x_shape, window), "the output's shape")


def check_lrn(radius: int, bias: float, alpha: float, beta: float) -> None:
    as_integer("radius", radius, 0)
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, but must be a number from 0 up")
    if not 0 < bias < math.inf:
        raise ValueError(f"bias is {bias}, but must be a number above 0: it keeps the divisor from 0")


def check_lrn_forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> None:
    check_floats("x", x)
    _images_shape("x", x.shape)
    check_lrn(radius, bias, alpha, beta)


def check_lrn_backward(
    dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float
) -> None:
    check_lrn_forward(x, radius, 1.0, alpha, beta)
    for name, array in (("dout", dout), ("scale", scale)):
        check_floats(name, array)
        check_same_dtype(name, array, "x", x)
        check_shape(name, array, x.shape, "the shape of x")


def check_dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> None:
    check_floats("x", x)
    check_floats("w", w)
    dense_shape(x.shape, w.shape)
    check_same_dtype("w", w, "x", x)
    check_floats("b", b)
    check_same_dtype("b", b, "x", x)
    check_shape("b", b, w.shape[1:], "one number per output")


def check_dense_backward_input(dout: np.ndarray, w: np.ndarray) -> None:
    check_floats("dout", dout)
    check_floats("w", w)
    _matrix_shape("w", w.shape, "(C, F)")
    check_same_dtype("dout", dout, "w", w)
    n, _ = _matrix_shape("dout", dout.shape, "(N, F)")
    check_shape("dout", dout, (n, w.shape[1]), "the output's shape")


def check_dense_backward_params(dout: np.ndarray, x: np.ndarray) -> None:
    check_floats("dout", dout)
    check_floats("x", x)
    check_same_dtype("dout", dout, "x", x)
    n, _ = _matrix_shape("x", x.shape, "(N, C)")
    _, filters = _matrix_shape("dout", dout.shape, "(N, F)")
    check_shape("dout", dout, (n, filters), "the output's shape")


def check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}, but must be at least 0 and below 1")


def check_dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> None:
    check_floats("x", x)
    if not isinstance(kept, np.ndarray) or kept.dtype != np.bool_:
        found = kept.dtype if isinstance(kept, np.ndarray) else type(kept).__name__
        raise TypeError(f"kept is {found}, but must be a NumPy array of bool")
    check_shape("kept", kept, x.shape, "the shape of x")
    check_rate(rate)


def check_dropout_mask(shape: Shape, rate: float, seed: int) -> int:
    """Returns what 24 random bits have to reach for a number to be kept."""
    for size in shape:
        as_integer("shape", size, 0)
    check_rate(rate)
    if as_integer("seed", seed, 0) >> 63:
        raise ValueError(f"seed is {seed}, but must be below 2^63")
    return math.ceil(rate * (1 << 24))


def check_softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> None:
    check_floats("logits", logits)
    n, classes = _matrix_shape("logits", logits.shape, "(N, K)")
    if not isinstance(labels, np.ndarray) or not np.issubdtype(labels.dtype, np.integer):
        found = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise TypeError(f"labels is {found}, but must be a NumPy array of integers")
    check_shape("labels", labels, (n,), "one number per row of logits")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"labels has {wrong[0]}, but must have numbers from 0 to {classes - 1}, one class each")


def check_l2_loss(y: np.ndarray) -> None:
    check_floats("y", y)


def check_momentum_step(w: np.ndarray, v: np.ndarray, dw: np.ndarray) -> None:
    check_floats("w", w)
    for name, array in (("v", v), ("dw", dw)):
        check_floats(name, array)
        check_same_dtype(name, array, "w", w)
        check_shape(name, array, w.shape, "the shape of w")
    for name, array in (("w", w), ("v", v)):
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(f"{name} is strided or read-only, but must be C-contiguous and writeable")


def check_floats(name: str, array: np.ndarray) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}, but must be a NumPy array of float32 or float64")
    if array.dtype not in FLOATS:
        raise TypeError(f"{name} has dtype {array.dtype}, but must have dtype float32 or float64")


def check_same_dtype(name: str, array: np.ndarray, other_name: str, other: np.ndarray) -> None:
    # A silent conversion would let one float64 array slow a float32 network down by half, unseen.
    if array.dtype != other.dtype:
        raise TypeError(f"{name} has dtype {array.dtype}, but must have the dtype of {other_name}, {other.dtype}")


def check_shape(name: str, array: np.ndarray, expected: Shape, meaning: str) -> None:
    _check_sizes(name, array.shape, expected, meaning)


def _check_sizes(name: str, shape: Shape, expected: Shape, meaning: str) -> None:
    if shape != expected:
        raise ValueError(f"{name} has shape {shape}, but must have {meaning}, {expected}")


def argmax_dtype(window: Window) -> np.dtype:
    """The dtype of a max-pool's argmax: one byte holds any position of a kernel of up to 16x16."""
    return np.dtype(np.uint8 if window.kernel[0] * window.kernel[1] <= 256 else np.int32)


def group_slices(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice]]:
    """Which channels and which filters belong together: runs of equal length, in order, as in Caffe and PyTorch."""
    for g in range(groups):
        yield (
            slice(g * channels // groups, (g + 1) * channels // groups),
            slice(g * filters // groups, (g + 1) * filters // groups),
        )


def group_shapes(x_shape: Shape, filters: int, window: Window, groups: int) -> tuple[ImagesShape, ImagesShape]:
    """The shapes of one group's images (N, H, W, C / groups) and filters (KH, KW, C / groups, F / groups)."""
    n, height, width, channels = x_shape
    return (n, height, width, channels // groups), (*window.kernel, channels // groups, filters // groups)


def by_groups(compute: Callable[[slice, slice], np.ndarray], channels: int, filters: int, groups: int) -> np.ndarray:
    """What ``compute`` makes of each group's channels and filters, side by side along the last axis."""
    parts = [compute(*slices) for slices in group_slices(channels, filters, groups)]
    return parts[0] if groups == 1 else np.concatenate(parts, axis=-1)


def _images_shape(name: str, shape: Shape) -> ImagesShape:
    if len(shape) != 4:
        raise ValueError(f"{name} has shape {shape}, but must have the four dimensions (N, H, W, C)")
    if min(shape) < 1:
        raise ValueError(f"{name} has shape {shape}, but must have no dimension of size 0")
    n, height, width, channels = shape
    return n, height, width, channels


def _matrix_shape(name: str, shape: Shape, dimensions: str) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"{name} has shape {shape}, but must have the two dimensions {dimensions}")
    if min(shape) < 1:
        raise ValueError(f"{name} has shape {shape}, but must have no dimension of size 0")
    return shape[0], shape[1]


def _check_groups(channels: int, groups: int) -> None:
    if groups < 1 or channels % groups:
        raise ValueError(f"groups is {groups}, but must divide the {channels} channels of x")


def conv2d_shape(x_shape: Shape, w_shape: Shape, window: Window, groups: int) -> ImagesShape:
    n, height, width, channels = _images_shape("x", x_shape)
    _check_groups(channels, groups)
    filters = w_shape[3] if len(w_shape) == 4 and w_shape[3] and w_shape[3] % groups == 0 else groups
    _check_sizes("w", w_shape, (*window.kernel, channels // groups, filters), "shape (KH, KW, C / groups, F)")
    return n, *window.output_size((height, width)), filters


def dense_shape(x_shape: Shape, w_shape: Shape) -> tuple[int, int]:
    """(N, F)"""
    n, channels = _matrix_shape("x", x_shape, "(N, C)")
    filters = w_shape[1] if len(w_shape) == 2 and w_shape[1] else 1
    _check_sizes("w", w_shape, (channels, filters), "shape (C, F)")
    return n, filters


def pool_shape(x_shape: Shape, window: Window) -> ImagesShape:
    n, height, width, channels = _images_shape("x", x_shape)
    for pads, kernel in zip(window.pads((height, width)), window.kernel, strict=True):
        if max(pads) >= kernel:
            raise ValueError(
                f"padding is {window.padding}, but a pool's must be smaller than its kernel_size {window.kernel}: "
                "a window of padding alone has no maximum and no mean"
            )
    return n, *window.output_size((height, width)), channels


def _out_like(name: str, array: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    if out is None:
        return np.empty(array.shape, array.dtype)
    check_floats("out", out)
    check_same_dtype("out", out, name, array)
    check_shape("out", out, array.shape, f"the shape of {name}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out is strided or read-only, but must be C-contiguous and writeable")
    return out
