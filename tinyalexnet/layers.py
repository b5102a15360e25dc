"""The layers: parameters, and what a backward must remember of its forward. The arithmetic is in ``kernels``.

Every layer has ``forward(x)``, ``backward(dout)``, ``output_shape(x_shape)``, the dicts ``params`` and ``grads``, and
``cache``, the arrays that it keeps for its backward. ``backward`` is for the last ``forward``; it overwrites ``grads``
and returns dx.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import numpy as np

from .geometry import Padding, Pair, Window, as_integer
from .kernels import load, placed
from .kernels.algorithm import check_algorithm
from .kernels.contract import FLOATS, Shape, check_lrn, check_rate, check_shape, conv2d_shape, dense_shape, pool_shape

T = TypeVar("T")

WEIGHT_STD = 0.1
"""Standard deviation of a new layer's weights, before the tails are redrawn; as in TensorFlow's benchmark."""


class Layer(Protocol):
    """What a network, the gradient check and the benchmark need of a layer."""

    @property
    def params(self) -> dict[str, np.ndarray]: ...

    @property
    def grads(self) -> dict[str, np.ndarray]: ...

    @property
    def cache(self) -> tuple[np.ndarray, ...]: ...

    def forward(self, x: np.ndarray) -> np.ndarray: ...

    def backward(self, dout: np.ndarray) -> np.ndarray | None: ...

    def output_shape(self, x_shape: Shape) -> Shape: ...


def truncated_normal(rng: np.random.Generator, shape: Shape, std: float, dtype: np.dtype) -> np.ndarray:
    """Normal numbers of standard deviation ``std`` with everything beyond 2 ``std`` drawn again.

    Shapes
        An array of ``shape`` and ``dtype``; its standard deviation comes to 0.88 ``std``.
    Source
        TensorFlow's ``truncated_normal``.
    """
    values = rng.standard_normal(shape)
    while (tails := np.abs(values) > 2).any():
        values[tails] = rng.standard_normal(np.count_nonzero(tails))
    return (std * values).astype(dtype)


class Conv2d:
    """A 2-D convolution with bias: ``kernels.conv2d_forward`` and its two backwards.

    Shapes
        x (N, H, W, in_channels) -> out (N, OH, OW, out_channels). ``params`` and ``grads`` hold
        "w" (KH, KW, in_channels / groups, out_channels) and "b" (out_channels,). ``kernel_size`` and ``stride`` are
        ints or pairs; ``padding`` is "SAME" (TensorFlow's: the odd row at the bottom, the odd column on the right),
        "VALID", an int, or ((top, bottom), (left, right)). ``algorithm`` is "gemm", "winograd" or "auto", which chooses
        by the geometry (``kernels/algorithm.py``).
    State
        The last x, by reference: do not write to it between forward and backward. With ``needs_dx=False``, backward
        leaves dx out and returns None, as a network's first layer can.
    Errors
        ValueError where a number is out of range or ``groups`` does not divide the channels; TypeError for another
        dtype than float32 and float64.
    Source
        ``kernels/reference/conv2d.py``. ``rng`` (a generator, a seed or None) draws w by ``truncated_normal`` of
        standard deviation ``std``, b is 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Padding = "VALID",
        groups: int = 1,
        backend: str = "cpu",
        dtype: np.typing.DTypeLike = np.float32,
        rng: np.random.Generator | int | None = None,
        needs_dx: bool = True,
        algorithm: str = "auto",
        std: float = WEIGHT_STD,
    ) -> None:
        self.window = Window(kernel_size, stride, padding)
        self.groups = as_integer("groups", groups, 1)
        self.needs_dx = needs_dx
        check_algorithm(algorithm)
        self.algorithm = algorithm
        channels = {
            "in_channels": as_integer("in_channels", in_channels, 1),
            "out_channels": as_integer("out_channels", out_channels, 1),
        }
        for name, value in channels.items():
            if value % self.groups:
                raise ValueError(f"{name} is {value}, but must be a multiple of groups = {self.groups}")
        self.backend = backend
        self.kernels = load(backend)
        shape = (*self.window.kernel, in_channels // self.groups, out_channels)
        self.params = _new_params(shape, dtype, rng, std, backend)
        self.grads: dict[str, np.ndarray] = {}
        self._x: np.ndarray | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, OH, OW, F) of images of ``x_shape``; ValueError as in forward."""
        return conv2d_shape(x_shape, self.params["w"].shape, self.window, self.groups)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, F) of images x (N, H, W, C); errors as ``kernels.conv2d_forward``."""
        out = self.kernels.conv2d_forward(
            x, self.params["w"], self.params["b"], self.window, self.groups, self.algorithm
        )
        self._x = x
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes ``grads["w"]`` and ``grads["b"]``; returns dx, or None where ``needs_dx`` is False.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        self.backward_params(dout)
        return self.backward_input(dout) if self.needs_dx else None

    def backward_params(self, dout: np.ndarray) -> None:
        """The half of backward that writes ``grads``; errors as there."""
        x = _remembered(self._x)
        dw, db = self.kernels.conv2d_backward_params(dout, x, self.window, self.groups, self.algorithm)
        self.grads = {"w": dw, "b": db}

    def backward_input(self, dout: np.ndarray) -> np.ndarray:
        """The half of backward that computes dx; errors as there."""
        x, w = _remembered(self._x), self.params["w"]
        return self.kernels.conv2d_backward_input(dout, w, x.shape, self.window, self.groups, self.algorithm)

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The last x."""
        return () if self._x is None else (self._x,)


class MaxPool2d:
    """Max-pooling: ``kernels.maxpool_forward`` and its backward. Windows may overlap.

    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C); ``kernel_size``, ``stride`` and ``padding`` as in ``Conv2d``.
    State
        Which position won in each window, a byte an output.
    Errors
        ValueError where a number is out of range; in forward where padding is as large as the kernel.
    Source
        ``kernels/reference/maxpool.py``.
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair, padding: Padding = "VALID", backend: str = "cpu"
    ) -> None:
        self.window = Window(kernel_size, stride, padding)
        self.kernels = load(backend)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._argmax_and_shape: tuple[np.ndarray, Shape] | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, OH, OW, C) of images of ``x_shape``; ValueError as in forward."""
        return pool_shape(x_shape, self.window)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, C) of images x (N, H, W, C); errors as ``kernels.maxpool_forward``."""
        out, argmax = self.kernels.maxpool_forward(x, self.window)
        self._argmax_and_shape = argmax, x.shape
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        argmax, x_shape = _remembered(self._argmax_and_shape)
        return self.kernels.maxpool_backward(dout, argmax, x_shape, self.window)

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """Which position won in each window."""
        return () if self._argmax_and_shape is None else (self._argmax_and_shape[0],)


class ReLU:
    """max(x, 0), with the derivative 0 at 0.

    Shapes
        Any shape, kept.
    State
        The last output, by reference. With ``inplace=True`` the output overwrites x and dx overwrites dout, which saves
        two arrays of the layer's size: right between a convolution and a pool, neither of which looks at them again.
    Errors
        TypeError where x is not float32 or float64.
    Source
        ``kernels/reference/relu.py``.
    """

    def __init__(self, inplace: bool = False, backend: str = "cpu") -> None:
        self.inplace = inplace
        self.kernels = load(backend)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._y: np.ndarray | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """``x_shape``."""
        return x_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y of x; errors as ``kernels.relu_forward``."""
        self._y = self.kernels.relu_forward(x, x if self.inplace else None)
        return self._y

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        return self.kernels.relu_backward(dout, _remembered(self._y), dout if self.inplace else None)

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The last output."""
        return () if self._y is None else (self._y,)


class AvgPool2d:
    """Average-pooling: ``kernels.avgpool_forward`` and its backward. Padding is not counted.

    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C); ``kernel_size``, ``stride`` and ``padding`` as in ``Conv2d``.
    State
        The shape of the last x.
    Errors
        ValueError where a number is out of range; in forward where padding is as large as the kernel.
    Source
        ``kernels/reference/avgpool.py``.
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair, padding: Padding = "VALID", backend: str = "cpu"
    ) -> None:
        self.window = Window(kernel_size, stride, padding)
        self.kernels = load(backend)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.cache: tuple[np.ndarray, ...] = ()
        self._x_shape: Shape | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, OH, OW, C) of images of ``x_shape``; ValueError as in forward."""
        return pool_shape(x_shape, self.window)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, C) of images x (N, H, W, C); errors as ``kernels.avgpool_forward``."""
        out = self.kernels.avgpool_forward(x, self.window)
        self._x_shape = x.shape
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        return self.kernels.avgpool_backward(dout, _remembered(self._x_shape), self.window)


class LocalResponseNorm:
    """Local response normalisation across the channels, in TensorFlow's convention.

    Math
        out = x / (bias + alpha Σ x²)^beta, summed over the channels within ``radius``. alpha is not divided by the size
        of the window. ``from_paper``, ``from_caffe``, ``from_pytorch`` and ``from_cuda_convnet`` translate.
    Shapes
        x (N, H, W, C) -> out of the same.
    State
        The last x, by reference, and the divisors' bases, which are as large.
    Errors
        ValueError where radius or alpha or beta is below 0 or bias not above 0.
    Source
        ``kernels/reference/lrn.py``; docs/normalisation.md. The defaults are TensorFlow's.
    """

    def __init__(
        self, radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, backend: str = "cpu"
    ) -> None:
        check_lrn(radius, bias, alpha, beta)
        self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta
        self.kernels = load(backend)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._x_and_scale: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def from_paper(
        cls, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha Σ x²)^beta over ``n`` channels, an odd number: Krizhevsky et al., 2012, section 3.3."""
        return cls(_radius("n", n), k, alpha, beta, backend)

    @classmethod
    def from_caffe(
        cls, local_size: int = 5, alpha: float = 1.0, beta: float = 0.75, k: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha / local_size Σ x²)^beta: Caffe's LRN layer, ACROSS_CHANNELS, and its defaults."""
        return cls(_radius("local_size", local_size), k, alpha / local_size, beta, backend)

    @classmethod
    def from_pytorch(
        cls, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha / size Σ x²)^beta: ``torch.nn.LocalResponseNorm`` and its defaults, and ONNX's LRN."""
        return cls(_radius("size", size), k, alpha / size, beta, backend)

    @classmethod
    def from_cuda_convnet(
        cls, size: int, scale: float, power: float, min_divisor: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (minDiv + scale / size Σ x²)^pow: a cmrnorm layer of cuda-convnet2, its size, scale, pow and minDiv."""
        return cls(_radius("size", size), min_divisor, scale / size, power, backend)

    def output_shape(self, x_shape: Shape) -> Shape:
        """``x_shape``."""
        return x_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, H, W, C) of x; errors as ``kernels.lrn_forward``."""
        out, scale = self.kernels.lrn_forward(x, self.radius, self.bias, self.alpha, self.beta)
        self._x_and_scale = x, scale
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        x, scale = _remembered(self._x_and_scale)
        return self.kernels.lrn_backward(dout, x, scale, self.radius, self.alpha, self.beta)

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The last x, and bias + alpha Σ x²."""
        return self._x_and_scale or ()


class Flatten:
    """Each image as one vector, its numbers in the order (H, W, C).

    Shapes
        x (N, ...) -> out (N, product of the others), a view where x is contiguous.
    State
        The shape of the last x.
    """

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.cache: tuple[np.ndarray, ...] = ()
        self._x_shape: Shape | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, product of the others)."""
        return x_shape[0], math.prod(x_shape[1:])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x, as N vectors."""
        self._x_shape = x.shape
        return x.reshape(self.output_shape(x.shape))

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dout in the shape of x; ValueError before the first forward or where it does not have the output's shape."""
        x_shape = _remembered(self._x_shape)
        check_shape("dout", dout, self.output_shape(x_shape), "the output's shape")
        return dout.reshape(x_shape)


class Dense:
    """A dense layer, each output a weighted sum of all inputs: ``kernels.dense_forward`` and its two backwards.

    Shapes
        x (N, in_features) -> out (N, out_features). ``params`` and ``grads`` hold "w" (in_features, out_features) and
        "b" (out_features,).
    State
        The last x, by reference. With ``needs_dx=False``, backward leaves dx out and returns None.
    Errors
        ValueError where a number is below 1; TypeError for another dtype than float32 and float64.
    Source
        ``kernels/reference/dense.py``. ``rng`` draws w by ``truncated_normal`` of standard deviation ``std``, b is 0.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        backend: str = "cpu",
        dtype: np.typing.DTypeLike = np.float32,
        rng: np.random.Generator | int | None = None,
        needs_dx: bool = True,
        std: float = WEIGHT_STD,
    ) -> None:
        shape = as_integer("in_features", in_features, 1), as_integer("out_features", out_features, 1)
        self.needs_dx = needs_dx
        self.kernels = load(backend)
        self.params = _new_params(shape, dtype, rng, std, backend)
        self.grads: dict[str, np.ndarray] = {}
        self._x: np.ndarray | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, out_features) of vectors of ``x_shape``; ValueError as in forward."""
        return dense_shape(x_shape, self.params["w"].shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, F) of vectors x (N, C); errors as ``kernels.dense_forward``."""
        out = self.kernels.dense_forward(x, self.params["w"], self.params["b"])
        self._x = x
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes ``grads["w"]`` and ``grads["b"]``; returns dx, or None where ``needs_dx`` is False.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        self.backward_params(dout)
        return self.backward_input(dout) if self.needs_dx else None

    def backward_params(self, dout: np.ndarray) -> None:
        """The half of backward that writes ``grads``; errors as there."""
        check_shape("dout", dout, self.output_shape(_remembered(self._x).shape), "the output's shape")
        dw, db = self.kernels.dense_backward_params(dout, _remembered(self._x))
        self.grads = {"w": dw, "b": db}

    def backward_input(self, dout: np.ndarray) -> np.ndarray:
        """The half of backward that computes dx; errors as there."""
        return self.kernels.dense_backward_input(dout, self.params["w"])

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The last x."""
        return () if self._x is None else (self._x,)


class Dropout:
    """Drops each number with probability ``rate`` and scales up the others, so that the mean stays; in training only.

    Shapes
        Any shape, kept.
    State
        What the last forward kept, a byte a number. ``train`` may be set at any time: where it is False, forward
        returns x itself. ``rng`` is the layer's own generator, from which each forward takes the seed of its mask: so a
        run repeats with the same seed, on every backend.
    Errors
        ValueError where rate is not at least 0 and below 1.
    Source
        ``kernels/reference/dropout.py``.
    """

    def __init__(
        self,
        rate: float = 0.5,
        train: bool = True,
        rng: np.random.Generator | int | None = None,
        backend: str = "cpu",
    ) -> None:
        check_rate(rate)
        self.rate, self.train = rate, train
        self.rng = np.random.default_rng(rng)
        self.kernels = load(backend)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._kept: np.ndarray | None = None
        self._x_shape: Shape | None = None

    def output_shape(self, x_shape: Shape) -> Shape:
        """``x_shape``."""
        return x_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """What is kept of x, scaled up; x itself where ``train`` is False. Errors as ``kernels.dropout``."""
        self._x_shape = x.shape
        self._kept = None
        if self.train:
            self._kept = self.kernels.dropout_mask(x.shape, self.rate, int(self.rng.integers(1 << 63)))
        return x if self._kept is None else self.kernels.dropout(x, self._kept, self.rate)

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout: the same numbers are dropped.

        Errors
            ValueError before the first forward or where dout does not have the output's shape; TypeError for its dtype.
        """
        check_shape("dout", dout, _remembered(self._x_shape), "the output's shape")
        return dout if self._kept is None else self.kernels.dropout(dout, self._kept, self.rate)

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """What the last forward kept."""
        return () if self._kept is None else (self._kept,)


def _radius(name: str, size: int) -> int:
    if as_integer(name, size, 1) % 2 == 0:
        raise ValueError(f"{name} is {size}, but must be odd: an even window has no middle")
    return size // 2


def _new_params(
    shape: Shape, dtype: np.typing.DTypeLike, rng: np.random.Generator | int | None, std: float, backend: str
) -> dict[str, np.ndarray]:
    """Weights of ``shape``, and a bias of 0 for each of its last axis, where the backend wants them."""
    float_type = np.dtype(dtype)
    if float_type not in FLOATS:
        raise TypeError(f"dtype is {float_type}, but must be float32 or float64")
    # Weights that a file will replace need not be drawn, which takes seconds for the 61 million of AlexNet.
    w = truncated_normal(np.random.default_rng(rng), shape, std, float_type) if std else np.zeros(shape, float_type)
    return {"w": placed(w, backend), "b": placed(np.zeros(shape[-1], float_type), backend)}


def _remembered(state: T | None) -> T:
    if state is None:
        raise ValueError("dout was given to backward before any forward; call forward(x) first")
    return state
