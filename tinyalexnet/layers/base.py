"""The base of all layers: parameters, gradients, and the arrays that a forward saves for its backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ..devices import device
from ..geometry import as_number
from ..ops.checks import FLOATS, Shape
from ..ops.terms import Index, Terms

WEIGHT_STD = 0.1
"""Standard deviation of a new layer's weights, before the tails are redrawn; as in TensorFlow's benchmark."""


@dataclass(frozen=True)
class Cost:
    """The matrix products of one pass over a batch.

    ``multiply_adds`` is the number that the formula needs, ``performed`` the number that the algorithm does.
    """

    multiply_adds: int = 0
    performed: int = 0
    algorithm: str = ""


class Layer:
    """A function with a backward. The arithmetic is in ``ops``; a layer has the state.

    A new layer defines ``forward``, ``backward`` and ``output_shape``, and passes the arrays that its backward needs to
    ``_save``. ``backward`` is for the last ``forward``; it overwrites ``grads`` and returns dx.

    State
        ``params`` and ``grads``, dicts of arrays under the same names; ``rng``, the generator of a random layer. A copy
        and a pickle hold these, and not the saved arrays: a copy starts before its first forward.
    """

    kind = ""
    """The name of the operation in ``description``, for other programs: "conv", "pool", ..."""

    keeps_input = False
    """If the layer saves its input by reference."""

    keeps_output = False
    """If the layer saves its output by reference."""

    in_place = False
    """If the output is in the memory of the input."""

    needs_dx = True
    """If ``backward`` must return dx. The first layer of a network can do without; layers with weights then skip it."""

    by_image = False
    """If each image, or vector, is computed by itself, by one algorithm for batches of all sizes. Such a layer with
    parameters saves its input alone."""

    has_columns = False
    """If ``columns`` makes a layer of some columns of this one, whose inputs and outputs are vectors."""

    computes_in_ops = False
    """If forward and backward compute in the functions of ``ops`` alone, and keep nothing but what they ``_save`` and
    ``grads``. Then a ``Device.recorder`` sees all that they do. It is not inherited: a subclass may compute more."""

    rng: np.random.Generator | None = None

    _is_drawn = False
    """If ``draw`` has drawn for a forward that has not run yet."""

    def __init__(self, backend: str = "cpu") -> None:
        device(backend)  # refuses an unknown backend, and a GPU that is missing
        self.backend = backend
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._saved: tuple[Any, ...] | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output for input x."""
        raise NotImplementedError

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes ``grads`` and returns dx, or None if the layer leaves dx out.

        Errors
            ValueError before the first forward, or if dout does not have the output's shape; TypeError for its dtype.
        """
        raise NotImplementedError

    def output_shape(self, x_shape: Shape) -> Shape:
        """The shape of the output for an input of ``x_shape``; here, and for most layers, the same."""
        return x_shape

    def draw(self) -> None:
        """Draws the random numbers of the next forward. A forward does so by itself; a captured one cannot."""

    def part(self, first: int) -> None:
        """Says that the next forward is of a part of a batch that ``draw`` was for, from image ``first`` of it on.

        What a layer draws at random belongs to the whole batch; here, and for most layers, there is nothing to say.
        """

    def rounds_alike(self, x_shape: Shape, other: Shape) -> bool:
        """If out and dx of an image have the same bits in batches of these two shapes."""
        return self.by_image and device(self.backend).by_image

    def columns(self, chosen: slice, width: int) -> Layer:
        """A new layer with some of the ``width`` columns of this one's output, if it ``has_columns``.

        A dense layer has parameters of its own then, and takes whole vectors; the others take the same columns.
        """
        raise NotImplementedError

    def rows(self, chosen: np.ndarray, batch: int) -> None:
        """Says that the next forward of a layer that ``columns`` has made is of these images of a batch of N."""

    def backward_passes(self) -> list[tuple[str, Callable[[np.ndarray], np.ndarray | None]]]:
        """The halves of ``backward`` by name, in order; the last returns dx."""
        return [("dx", self.backward)]

    def can_be_recorded(self) -> bool:
        """If a ``Device.recorder`` can repeat all that the passes compute."""
        return vars(type(self)).get("computes_in_ops", False) and device(self.backend).can_record

    def leaves(self, name: str) -> Iterator[tuple[str, Layer]]:
        """The layer itself, under ``name``; a network has those of all its layers."""
        yield name, self

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The arrays that the last forward saved."""
        return tuple(value for value in self._saved or () if not isinstance(value, tuple))

    def kept(self) -> dict[str, np.ndarray]:
        """By name, the arrays that the last forward made beside its output, such as a mask. They may be on a GPU."""
        return {}

    def terms(self, array: str, index: Index, arrays: Mapping[str, np.ndarray]) -> Terms:
        """What one element of an array of the last pass was computed from.

        ``array`` is "out", "dx", "dw", "db" or the name of an array of ``kept``. ``arrays`` has the layer's arrays on
        the host, as far as they exist: x, out, dout, dx, each parameter and its gradient, and those of ``kept``.

        Errors
            ValueError if the layer does not compute such an array, or does not say how.
        """
        functions = self._term_functions(arrays)
        if array not in functions:
            known = f"must be one of {', '.join(functions)}" if functions else "this layer does not tell its terms"
            raise ValueError(f"array is {array!r}, but {known}")
        return functions[array](index)

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        """For each array that the layer computes, the function of ``terms``."""
        return {}

    def cost(self, x_shape: Shape) -> Cost:
        """The matrix products of one pass for an input of ``x_shape``."""
        return Cost()

    def saved_bytes(self, x_shape: Shape) -> int:
        """Bytes of the arrays that a forward saves, beside its input and its output."""
        return 0

    def temporary_elements(self, x_shape: Shape) -> int:
        """Elements of the arrays that NumPy's expressions make meanwhile, if the layer computes with NumPy."""
        return _size(x_shape) + _size(self.output_shape(x_shape))

    def scratch_bytes(self, x_shape: Shape) -> tuple[int, ...]:
        """Bytes of each large array that a GPU's kernels make on the way; the first one waits for the backward."""
        return ()

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """The layer as plain data, for an input of ``x_shape``: its kind and its options."""
        return {"kind": self.kind}

    def brief(self) -> str:
        """The options in a few characters, for a table."""
        return self._options()

    def _save(self, *values: Any) -> None:
        """Saves arrays, and shapes, for ``backward``."""
        self._saved = values

    def _restored(self) -> tuple[Any, ...]:
        """The saved values; ValueError before the first forward."""
        if self._saved is None:
            raise ValueError("dout was given to backward before any forward; call forward(x) first")
        return self._saved

    def _options(self) -> str:
        """The arguments of the constructor, for ``repr``."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options()})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<code>{escape(repr(self))}</code>"

    def __getstate__(self) -> dict[str, Any]:
        to_host = device(self.backend).to_host
        arrays = {
            name: {key: to_host(value) for key, value in getattr(self, name).items()} for name in ("params", "grads")
        }
        return self.__dict__ | arrays | {"_saved": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        to_device = device(state["backend"]).to_device
        arrays = {name: {key: to_device(value) for key, value in state[name].items()} for name in ("params", "grads")}
        self.__dict__.update(state | arrays)


class WeightedLayer(Layer):
    """A layer with weights "w" and a bias "b", whose backward has two halves. With ``needs_dx=False`` it leaves dx out.

    Shapes
        ``w_shape``, with one element of the bias for each element of its last axis.
    Errors
        TypeError for another dtype than float32 and float64; ValueError if ``std`` is below 0, ``rng`` is neither a
        generator nor a seed, or the backend does not have ``precision``.
    Source
        ``rng`` (a generator, a seed or None) draws w by ``truncated_normal`` of standard deviation ``std``; b is 0.
    """

    keeps_input = True

    def __init__(
        self,
        w_shape: Shape,
        backend: str,
        dtype: np.typing.DTypeLike,
        rng: np.random.Generator | int | None,
        std: float,
        needs_dx: bool,
        precision: str = "float32",
    ) -> None:
        super().__init__(backend)
        device(backend).check_precision(precision)
        self.precision = precision
        self.needs_dx = needs_dx
        float_type = np.dtype(dtype)
        if float_type not in FLOATS:
            raise TypeError(f"dtype is {float_type}, but must be float32 or float64")
        std = as_number("std", std, "a number from 0 up")
        generator = as_generator(rng)
        # Weights that a file will replace need not be drawn, which takes seconds for the 61 million of AlexNet.
        zeros = np.zeros(w_shape, float_type)
        w = truncated_normal(generator, w_shape, std, float_type) if std else zeros
        arrays = {"w": w, "b": np.zeros(w_shape[-1], float_type)}
        self.params = {name: device(backend).to_device(array) for name, array in arrays.items()}

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes ``grads["w"]`` and ``grads["b"]``; returns dx, or None if ``needs_dx`` is False.

        Errors
            As ``Layer.backward``.
        """
        self.backward_params(dout)
        return self.backward_input(dout) if self.needs_dx else None

    def backward_params(self, dout: np.ndarray) -> None:
        """The half of backward that writes ``grads``; errors as there."""
        raise NotImplementedError

    def backward_input(self, dout: np.ndarray) -> np.ndarray:
        """The half of backward that computes dx; errors as there."""
        raise NotImplementedError

    def backward_passes(self) -> list[tuple[str, Callable[[np.ndarray], np.ndarray | None]]]:
        """dw, and dx if it is needed."""
        dx: list[tuple[str, Callable[[np.ndarray], np.ndarray | None]]] = [("dx", self.backward_input)]
        return [("dw", self.backward_params), *(dx if self.needs_dx else [])]


def as_generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """``rng``, or a new generator with this seed; ValueError if it is neither a generator nor a seed."""
    try:
        if isinstance(rng, bool):
            raise TypeError
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ValueError(f"rng is {rng!r}, but must be a generator, an int >= 0 or None") from None


def truncated_normal(rng: np.random.Generator, shape: Shape, std: float, dtype: np.dtype) -> np.ndarray:
    """Normal values of standard deviation ``std``; each beyond 2 ``std`` is drawn again.

    Shapes
        An array of ``shape`` and ``dtype``; its standard deviation comes to 0.88 ``std``.
    Source
        TensorFlow's ``truncated_normal``.
    """
    values = rng.standard_normal(shape)
    while (tails := np.abs(values) > 2).any():
        values[tails] = rng.standard_normal(np.count_nonzero(tails))
    return (std * values).astype(dtype)


def _size(shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64))
