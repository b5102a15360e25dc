"""The dense layer."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..devices import device
from ..geometry import as_integer
from ..ops.checks import Shape, check_floats, check_shape
from ..ops.dense import dense_backward_input, dense_backward_params, dense_forward, dense_shape
from ..ops.dense import terms as of_dense
from ..ops.dense.choice import has_many
from ..ops.terms import Index, Terms
from .base import WEIGHT_STD, Cost, Layer, WeightedLayer


class Dense(WeightedLayer):
    """A dense layer, each output a weighted sum of all inputs: ``dense_forward`` and its two backwards.

    Shapes
        x (N, in_features) -> out (N, out_features). ``params`` and ``grads`` hold "w" (in_features, out_features) and
        "b" (out_features,). ``precision`` as in ``Conv2d``.
    State
        The last x, by reference. With ``needs_dx=False``, backward leaves dx out and returns None.
    Errors
        ValueError if a number is below 1, or the backend does not have the precision; TypeError for another dtype than
        float32 and float64.
    Source
        ``ops/dense/__init__.py``. ``rng`` draws w by ``truncated_normal`` of standard deviation ``std``, b is 0.
    """

    kind = "dense"
    computes_in_ops = True
    has_columns = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        backend: str = "cpu",
        dtype: np.typing.DTypeLike = np.float32,
        rng: np.random.Generator | int | None = None,
        needs_dx: bool = True,
        std: float = WEIGHT_STD,
        precision: str = "float32",
    ) -> None:
        w_shape = as_integer("in_features", in_features, 1), as_integer("out_features", out_features, 1)
        super().__init__(w_shape, backend, dtype, rng, std, needs_dx, precision)

    def columns(self, chosen: slice, width: int) -> Layer:
        """As ``Layer.columns``."""
        part = copy.copy(self)
        part.params = {key: np.ascontiguousarray(value[..., chosen]) for key, value in self.params.items()}
        part.grads = {}
        return part

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, out_features) of vectors of ``x_shape``; ValueError as in forward."""
        return dense_shape(x_shape, self.params["w"].shape)

    def rounds_alike(self, x_shape: Shape, other: Shape) -> bool:
        """As ``Layer.rounds_alike``: if both batches are of many vectors for dx. out is one sum in any batch."""
        enough = all(has_many("dx", n, self.params["w"].size) for n, *_ in (x_shape, other))
        return enough and device(self.backend).by_image

    def forward(self, x: np.ndarray) -> np.ndarray:
        """out (N, F) of vectors x (N, C); errors as ``dense_forward``."""
        out = dense_forward(x, self.params["w"], self.params["b"], self.backend, precision=self.precision)
        self._save(x)
        return out

    def backward_params(self, dout: np.ndarray) -> None:
        """The half of backward that writes ``grads``; errors as there."""
        dw, db = dense_backward_params(dout, self._input_of(dout), self.backend, precision=self.precision)
        self.grads = {"w": dw, "b": db}

    def backward_input(self, dout: np.ndarray) -> np.ndarray:
        """The half of backward that computes dx; errors as there."""
        self._input_of(dout)
        return dense_backward_input(dout, self.params["w"], self.backend, precision=self.precision)

    def _input_of(self, dout: np.ndarray) -> np.ndarray:
        """The last x; errors as ``Layer.backward``."""
        x: np.ndarray
        (x,) = self._restored()
        check_floats(device(self.backend), x=x, dout=dout)
        check_shape("dout", dout.shape, self.output_shape(x.shape), "the output's shape")
        return x

    def terms(self, array: str, index: Index, arrays: Mapping[str, np.ndarray]) -> Terms:
        """As ``Layer.terms``."""
        terms = super().terms(array, index, arrays)
        if array == "db" or self.precision == "float32":
            return terms
        note = f"precision={self.precision!r} rounds the factors"
        return replace(terms, bounded=False, notes=(*terms.notes, note))

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: of_dense.out_terms(index, arrays),
            "dx": lambda index: of_dense.dx_terms(index, arrays),
            "dw": lambda index: of_dense.dw_terms(index, arrays),
            "db": lambda index: of_dense.db_terms(index, arrays),
        }

    def cost(self, x_shape: Shape) -> Cost:
        """A matrix product."""
        multiply_adds = x_shape[0] * self.params["w"].size
        return Cost(multiply_adds, multiply_adds, "product")

    def _options(self) -> str:
        return ", ".join(map(str, self.params["w"].shape))
