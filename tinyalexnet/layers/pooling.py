"""Max-pooling and average-pooling as layers."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..geometry import Padding, Pair, Window
from ..ops.avgpool import avgpool_backward, avgpool_forward
from ..ops.avgpool import terms as of_avgpool
from ..ops.checks import Shape, pool_shape
from ..ops.maxpool import argmax_dtype, maxpool_backward, maxpool_forward
from ..ops.maxpool import terms as of_maxpool
from ..ops.terms import Index, Terms
from .base import Layer


class Pool2d(Layer):
    """A window that slides over images; windows may overlap.

    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C); ``kernel_size``, ``stride`` and ``padding`` as in ``Conv2d``.
    Errors
        ValueError if an argument is out of range; in forward if padding is as large as the kernel.
    """

    by_image = True

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair, padding: Padding = "VALID", backend: str = "cpu"
    ) -> None:
        super().__init__(backend)
        self.window = Window(kernel_size, stride, padding)

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, OH, OW, C) of images of ``x_shape``; ValueError as in forward."""
        return pool_shape(x_shape, self.window)

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """Kind and window."""
        return {"kind": self.kind} | self.window.description(x_shape[1:3])

    def _options(self) -> str:
        return self.window.options()


class MaxPool2d(Pool2d):
    """Max-pooling: ``maxpool_forward`` and its backward. Shapes and errors are those of ``Pool2d``.

    State
        The position that won in each window: one byte per output element, or four if the kernel has more than 256
        positions.
    Source
        ``ops/maxpool/__init__.py``.
    """

    kind = "pool"
    computes_in_ops = True

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, C) of images x (N, H, W, C); errors as ``maxpool_forward``."""
        out, argmax = maxpool_forward(x, self.window, self.backend)
        self._save(argmax, x.shape)
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout; errors as ``Layer.backward``."""
        argmax, x_shape = self._restored()
        return maxpool_backward(dout, argmax, x_shape, self.window, self.backend)

    def kept(self) -> dict[str, np.ndarray]:
        """The kernel positions that won."""
        return {"argmax": self._restored()[0]}

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: of_maxpool.out_terms(index, arrays, self.window),
            "dx": lambda index: of_maxpool.dx_terms(index, arrays, self.window),
        }

    def saved_bytes(self, x_shape: Shape) -> int:
        """The bytes of the positions that won."""
        return argmax_dtype(self.window).itemsize * math.prod(self.output_shape(x_shape))

    def temporary_elements(self, x_shape: Shape) -> int:
        """The padded input, the candidates of each window, and their positions."""
        candidates = math.prod(self.window.kernel) + 8
        return math.prod(x_shape) + candidates * math.prod(self.output_shape(x_shape))


class AvgPool2d(Pool2d):
    """Average-pooling: ``avgpool_forward`` and its backward. Padding is not counted. Shapes and errors as ``Pool2d``.

    State
        The shape of the last x.
    Source
        ``ops/avgpool/__init__.py``.
    """

    kind = "avgpool"
    computes_in_ops = True

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, C) of images x (N, H, W, C); errors as ``avgpool_forward``."""
        out = avgpool_forward(x, self.window, self.backend)
        self._save(x.shape)
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout; errors as ``Layer.backward``."""
        (x_shape,) = self._restored()
        return avgpool_backward(dout, x_shape, self.window, self.backend)

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: of_avgpool.out_terms(index, arrays, self.window),
            "dx": lambda index: of_avgpool.dx_terms(index, arrays, self.window),
        }
