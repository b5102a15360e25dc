"""The convolution as a layer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..geometry import Padding, Pair, Window, as_integer
from ..ops.checks import Shape
from ..ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward, conv2d_shape
from ..ops.conv2d import terms as of_conv2d
from ..ops.conv2d.winograd.choice import (
    ABILITIES,
    check_algorithm,
    choose_tile,
    has_same_algorithms,
    kept_bytes,
    performed_multiply_adds,
)
from ..ops.conv2d.winograd.matrices import Tile
from ..ops.terms import Index, Terms
from .base import WEIGHT_STD, Cost, WeightedLayer


class Conv2d(WeightedLayer):
    """A 2-D convolution with bias: ``conv2d_forward`` and its two backwards.

    Shapes
        x (N, H, W, in_channels) -> out (N, OH, OW, out_channels). ``params`` and ``grads`` hold
        "w" (KH, KW, in_channels / groups, out_channels) and "b" (out_channels,). ``kernel_size`` and ``stride`` are
        ints or pairs; ``padding`` is "SAME" (TensorFlow's: the odd row at the bottom, the odd column on the right),
        "VALID", an int, or ((top, bottom), (left, right)). ``algorithm`` is "gemm", "winograd" or "auto", which chooses
        by the geometry (``ops/conv2d/winograd/choice.py``). ``precision`` is "float32"; or "tf32" on a GPU, which takes
        a third of the arithmetic and rounds each factor to 11 bits (docs/tensor_cores.md).
    State
        The last x, by reference: do not write to it between forward and backward. With ``needs_dx=False``, backward
        leaves dx out and returns None, as a network's first layer can.
    Errors
        ValueError if a number is out of range, ``groups`` does not divide the channels, or the backend does not have
        the precision; TypeError for another dtype than float32 and float64.
    Source
        ``ops/conv2d/__init__.py``. ``rng`` (a generator, a seed or None) draws w by ``truncated_normal`` of standard
        deviation ``std``, b is 0.
    """

    kind = "conv"
    computes_in_ops = True
    by_image = True

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
        precision: str = "float32",
    ) -> None:
        self.window = Window(kernel_size, stride, padding)
        self.groups = as_integer("groups", groups, 1)
        check_algorithm(algorithm)
        self.algorithm = algorithm
        for name, value in {"in_channels": in_channels, "out_channels": out_channels}.items():
            if as_integer(name, value, 1) % self.groups:
                raise ValueError(f"{name} is {value}, but must be a multiple of groups = {self.groups}")
        w_shape = (*self.window.kernel, in_channels // self.groups, out_channels)
        super().__init__(w_shape, backend, dtype, rng, std, needs_dx, precision)

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, OH, OW, F) of images of ``x_shape``; ValueError as in forward."""
        return conv2d_shape(x_shape, self.params["w"].shape, self.window, self.groups)

    def rounds_alike(self, x_shape: Shape, other: Shape) -> bool:
        """As ``Layer.rounds_alike``: if the same algorithms compute both."""
        w = self.params["w"]
        how = self.algorithm, self.backend, w.shape[3], self.window, self.groups, w.dtype, self.precision
        return super().rounds_alike(x_shape, other) and has_same_algorithms(x_shape, other, *how)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, OH, OW, F) of images x (N, H, W, C); errors as ``conv2d_forward``."""
        w, b = self.params["w"], self.params["b"]
        out = conv2d_forward(x, w, b, self.window, self.groups, self.algorithm, self.backend, precision=self.precision)
        self._save(x)
        return out

    def backward_params(self, dout: np.ndarray) -> None:
        """The half of backward that writes ``grads``; errors as there."""
        (x,) = self._restored()
        how = self.algorithm, self.backend
        dw, db = conv2d_backward_params(dout, x, self.window, self.groups, *how, precision=self.precision)
        self.grads = {"w": dw, "b": db}

    def backward_input(self, dout: np.ndarray) -> np.ndarray:
        """The half of backward that computes dx; errors as there."""
        (x,) = self._restored()
        how = self.algorithm, self.backend
        return conv2d_backward_input(
            dout, self.params["w"], x.shape, self.window, self.groups, *how, precision=self.precision
        )

    def terms(self, array: str, index: Index, arrays: Mapping[str, np.ndarray]) -> Terms:
        """As ``Layer.terms``: those of the formula, also if Winograd's algorithm computes here."""
        terms = super().terms(array, index, arrays)
        if array == "db" or (self._tile(arrays["x"].shape, array) is None and self.precision == "float32"):
            return terms
        how = "Winograd's algorithm" if self.precision == "float32" else f"precision={self.precision!r}"
        note = f"{how} rounds otherwise than this sum; algorithm='gemm' adds its terms"
        return replace(terms, bounded=False, notes=(*terms.notes, note))

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        window, groups = self.window, self.groups
        return {
            "out": lambda index: of_conv2d.out_terms(index, arrays, window, groups),
            "dx": lambda index: of_conv2d.dx_terms(index, arrays, window, groups),
            "dw": lambda index: of_conv2d.dw_terms(index, arrays, window, groups),
            "db": lambda index: of_conv2d.db_terms(index, arrays),
        }

    def cost(self, x_shape: Shape) -> Cost:
        """The multiply-adds of the formula and of the algorithm that runs here."""
        w = self.params["w"]
        multiply_adds = math.prod(self.output_shape(x_shape)) * math.prod(w.shape[:3])
        tile = self._tile(x_shape)
        if tile is None:
            return Cost(multiply_adds, multiply_adds, ABILITIES[self.backend].otherwise)
        performed = performed_multiply_adds(tile, self.backend, x_shape, w.shape[3], self.window, self.groups)
        (m_h, m_w), (r_h, r_w) = tile.m, tile.r
        return Cost(multiply_adds, performed, f"F({m_h}x{m_w}, {r_h}x{r_w})")

    def _tile(self, x_shape: Shape, result: str = "out") -> Tile | None:
        """The Winograd tile that computes "out", "dx" or "dw" here, or None."""
        w = self.params["w"]
        convolution = x_shape, w.shape[3], self.window, self.groups, w.dtype
        return choose_tile(self.algorithm, self.backend, *convolution, self.precision, result)

    def scratch_bytes(self, x_shape: Shape) -> tuple[int, ...]:
        """V, M and U of Winograd's algorithm; for implicit GEMM a copy of the images with their padding.

        V and the copy are kept for dw, but only until then.
        """
        w, tile = self.params["w"], self._tile(x_shape)
        if tile is None:
            return (w.dtype.itemsize * math.prod(x_shape),)
        transformed = kept_bytes(tile, x_shape, self.window)
        return (
            transformed,
            transformed // x_shape[3] * w.shape[3],
            w.dtype.itemsize * tile.points * w.shape[2] * w.shape[3],
        )

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """Kind, window and groups."""
        return {"kind": self.kind, "groups": self.groups} | self.window.description(x_shape[1:3])

    def _options(self) -> str:
        _, _, depth, filters = self.params["w"].shape
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return f"{depth * self.groups}, {filters}, {self.window.options()}{groups}"
