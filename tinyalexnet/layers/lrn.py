"""LRN (local response normalisation) as a layer, in the conventions of five systems."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..geometry import as_integer
from ..ops.checks import Shape
from ..ops.lrn import as_bias, as_factor, check_options, lrn_backward, lrn_forward
from ..ops.lrn import terms as of_lrn
from ..ops.terms import Index, Terms
from .base import Layer


class LocalResponseNorm(Layer):
    """Local response normalisation across the channels, in TensorFlow's convention.

    Math
        out = x / (bias + alpha Σ x²)^beta, summed over the channels within ``radius``. alpha is not divided by the size
        of the window. ``from_paper``, ``from_caffe``, ``from_pytorch`` and ``from_cuda_convnet`` translate.
    Shapes
        x (N, H, W, C) -> out of the same.
    State
        The last x, by reference, and the bases of the divisors, which are as large.
    Errors
        ValueError if radius or alpha or beta is below 0 or bias not above 0.
    Source
        ``ops/lrn/__init__.py``; docs/lrn.md. The defaults are TensorFlow's.
    """

    kind = "lrn"
    computes_in_ops = True
    keeps_input = True
    by_image = True

    def __init__(
        self, radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, backend: str = "cpu"
    ) -> None:
        super().__init__(backend)
        self.radius, self.bias, self.alpha, self.beta = check_options(radius, bias, alpha, beta)

    @classmethod
    def from_paper(
        cls, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha Σ x²)^beta over ``n`` channels, an odd number: Krizhevsky et al., 2012, section 3.3."""
        return cls(_radius("n", n), as_bias("k", k), as_factor("alpha", alpha), as_factor("beta", beta), backend)

    @classmethod
    def from_caffe(
        cls, local_size: int = 5, alpha: float = 1.0, beta: float = 0.75, k: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha / local_size Σ x²)^beta: Caffe's LRN layer, ACROSS_CHANNELS, and its defaults."""
        radius, per_channel = _radius("local_size", local_size), as_factor("alpha", alpha) / local_size
        return cls(radius, as_bias("k", k), per_channel, beta, backend)

    @classmethod
    def from_pytorch(
        cls, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (k + alpha / size Σ x²)^beta: ``torch.nn.LocalResponseNorm`` and its defaults, and ONNX's LRN."""
        radius, per_channel = _radius("size", size), as_factor("alpha", alpha) / size
        return cls(radius, as_bias("k", k), per_channel, beta, backend)

    @classmethod
    def from_cuda_convnet(
        cls, size: int, scale: float, power: float, min_divisor: float = 1.0, backend: str = "cpu"
    ) -> LocalResponseNorm:
        """x / (minDiv + scale / size Σ x²)^pow: a cmrnorm layer of cuda-convnet2, its size, scale, pow and minDiv."""
        radius, per_channel = _radius("size", size), as_factor("scale", scale) / size
        return cls(radius, as_bias("min_divisor", min_divisor), per_channel, as_factor("power", power), backend)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, H, W, C) of x; errors as ``lrn_forward``."""
        out, scale = lrn_forward(x, self.radius, self.bias, self.alpha, self.beta, self.backend)
        self._save(x, scale)
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout; errors as ``Layer.backward``."""
        x, scale = self._restored()
        return lrn_backward(dout, x, scale, self.radius, self.alpha, self.beta, self.backend)

    def kept(self) -> dict[str, np.ndarray]:
        """The bases of the divisors."""
        return {"scale": self._restored()[1]}

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        radius, alpha, beta = self.radius, self.alpha, self.beta
        return {
            "scale": lambda index: of_lrn.scale_terms(index, arrays, radius, self.bias, alpha),
            "out": lambda index: of_lrn.out_terms(index, arrays, beta),
            "dx": lambda index: of_lrn.dx_terms(index, arrays, radius, alpha, beta),
        }

    def saved_bytes(self, x_shape: Shape) -> int:
        """The bytes of the divisors' bases, in float32."""
        return 4 * math.prod(x_shape)

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """Kind and options."""
        options = {"radius": self.radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {"kind": self.kind} | options

    def brief(self) -> str:
        """The size of the window and the divisor, in a few characters."""
        return f"{2 * self.radius + 1} ch, {self.bias:g} + {self.alpha:.2g} sum, ^{self.beta:g}"

    def _options(self) -> str:
        return f"radius={self.radius}, bias={self.bias:g}, alpha={self.alpha:g}, beta={self.beta:g}"


def _radius(name: str, size: int) -> int:
    if as_integer(name, size, 1) % 2 == 0:
        raise ValueError(f"{name} is {size}, but must be odd: an even window has no middle")
    return size // 2
