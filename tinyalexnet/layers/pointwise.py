"""The layers that take each element by itself: ReLU, dropout, and the change of shape before a dense layer."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..devices import device
from ..ops.checks import Shape, check_floats, check_shape
from ..ops.dropout import check_rate, dropout, dropout_mask
from ..ops.dropout import terms as of_dropout
from ..ops.relu import relu_backward, relu_forward
from ..ops.relu import terms as of_relu
from ..ops.terms import Index, Terms, moved
from .base import Layer, as_generator


class ReLU(Layer):
    """max(x, 0), with the derivative 0 at 0.

    Shapes
        Any shape, kept.
    State
        The last output, by reference. With ``inplace=True`` the output overwrites x and dx overwrites dout, which saves
        two arrays of the layer's size: right between a convolution and a pool, neither of which looks at them again.
    Errors
        TypeError if x is not float32 or float64.
    Source
        ``ops/relu/__init__.py``.
    """

    kind = "relu"
    computes_in_ops = True
    by_image = True
    keeps_output = True
    has_columns = True

    def __init__(self, inplace: bool = False, backend: str = "cpu") -> None:
        super().__init__(backend)
        self.inplace = self.in_place = inplace

    def columns(self, chosen: slice, width: int) -> Layer:
        """As ``Layer.columns``: any are like the others."""
        return copy.copy(self)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y of x; errors as ``relu_forward``."""
        y = relu_forward(x, x if self.inplace else None, self.backend)
        self._save(y)
        return y

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout; errors as ``Layer.backward``."""
        (y,) = self._restored()
        return relu_backward(dout, y, dout if self.inplace else None, self.backend)

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: of_relu.out_terms(index, arrays),
            "dx": lambda index: of_relu.dx_terms(index, arrays),
        }

    def temporary_elements(self, x_shape: Shape) -> int:
        """The result of ``np.where``."""
        return math.prod(x_shape)

    def _options(self) -> str:
        return "inplace=True" if self.inplace else ""


class Flatten(Layer):
    """Each image as one vector, its elements in the order (H, W, C).

    Shapes
        x (N, ...) -> out (N, product of the others), a view if x is contiguous.
    State
        The shape of the last x.
    """

    kind = "flatten"
    in_place = True

    def __init__(self) -> None:
        super().__init__("reference")

    def can_be_recorded(self) -> bool:
        """As ``Layer.can_be_recorded``: nothing is computed."""
        return type(self) is Flatten

    def rounds_alike(self, x_shape: Shape, other: Shape) -> bool:
        """As ``Layer.rounds_alike``: nothing is computed."""
        return True

    def output_shape(self, x_shape: Shape) -> Shape:
        """(N, product of the others)."""
        return x_shape[0], math.prod(x_shape[1:])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x, as N vectors; TypeError if it is no array."""
        _check_array("x", x)
        self._save(x.shape)
        return x.reshape(self.output_shape(x.shape))

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dout in the shape of x; errors as ``Layer.backward``."""
        (x_shape,) = self._restored()
        _check_array("dout", dout)
        check_shape("dout", dout.shape, self.output_shape(x_shape), "the output's shape")
        return dout.reshape(x_shape)

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: moved("out", index, "x", arrays["x"], arrays["out"].shape),
            "dx": lambda index: moved("dx", index, "dout", arrays["dout"], arrays["dx"].shape),
        }

    def temporary_elements(self, x_shape: Shape) -> int:
        """At most a copy."""
        return math.prod(x_shape)


class Dropout(Layer):
    """In training, drops each element with probability ``rate`` and divides the others by 1 - ``rate``: the mean stays.

    Shapes
        Any shape, kept.
    State
        The mask of the last forward, one byte per element. ``train`` may be set at any time: if it is False, forward
        returns x itself. ``rng`` is the layer's own generator, from which each forward takes the seed of its mask: so a
        run repeats with the same seed, on every backend.
    Errors
        ValueError if rate is not at least 0 and below 1, or rng is neither a generator nor a seed.
    Source
        ``ops/dropout/__init__.py``.
    """

    kind = "dropout"
    computes_in_ops = True
    by_image = True
    has_columns = True

    def __init__(
        self, rate: float = 0.5, train: bool = True, rng: np.random.Generator | int | None = None, backend: str = "cpu"
    ) -> None:
        super().__init__(backend)
        self.rate, self.train = check_rate(rate), train
        self.rng: np.random.Generator = as_generator(rng)
        self._drawn = 0
        self._numbers: Any = None
        """What the mask is made from: an array of ``_drawn`` and the first image, the same one each time."""
        self._mask: np.ndarray | None = None

    def draw(self) -> None:
        """Takes the seed of the next forward's mask from ``rng``."""
        if self.train:
            self._drawn, self._mask = int(self.rng.integers(1 << 63)), None
            self.part(0)

    def part(self, first: int) -> None:
        """As ``Layer.part``: the mask is that of the whole batch, from image ``first`` on."""
        if self.train:
            hardware, numbers = device(self.backend), (self._drawn, first)
            self._numbers = hardware.number(numbers, np.dtype(np.int64), self._numbers)
            self._is_drawn = True

    def columns(self, chosen: slice, width: int) -> Layer:
        """As ``Layer.columns``: the mask is that of this layer, as it has drawn it."""
        return _DropoutColumns(self, chosen, width)

    def mask(self, shape: Shape) -> np.ndarray:
        """The mask of a whole forward of ``shape``, with what ``draw`` has drawn."""
        if self._mask is None:
            self._mask = dropout_mask(shape, self.rate, self._numbers, self.backend)
        return self._mask

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The kept elements of x, divided by 1 - ``rate``; x itself if ``train`` is False. Errors as ``dropout``."""
        check_floats(device(self.backend), x=x)
        if not self.train:
            self._save(x.shape)
            return x
        if not self._is_drawn:
            self.draw()
        self._is_drawn = False
        kept = dropout_mask(x.shape, self.rate, self._numbers, self.backend)
        self._save(x.shape, kept)
        return dropout(x, kept, self.rate, self.backend)

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """dx of dout: the same elements are dropped; errors as ``Layer.backward``."""
        x_shape, *mask = self._restored()
        check_floats(device(self.backend), dout=dout)
        check_shape("dout", dout.shape, x_shape, "the output's shape")
        return dropout(dout, mask[0], self.rate, self.backend) if mask else dout

    def kept(self) -> dict[str, np.ndarray]:
        """The mask; nothing if the last forward did not drop."""
        _, *mask = self._restored()
        return {"kept": mask[0]} if mask else {}

    def _term_functions(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Callable[[Index], Terms]]:
        return {
            "out": lambda index: of_dropout.terms("out", "x", index, arrays, self.rate),
            "dx": lambda index: of_dropout.terms("dx", "dout", index, arrays, self.rate),
        }

    def saved_bytes(self, x_shape: Shape) -> int:
        """The bytes of the mask."""
        return math.prod(x_shape)

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """Kind and rate."""
        return {"kind": self.kind, "rate": self.rate}

    def _options(self) -> str:
        return f"rate={self.rate:g}"

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_drawn": 0, "_numbers": None, "_mask": None, "_is_drawn": False}


class _DropoutColumns(Dropout):
    """Some columns of a dropout, whose mask they take."""

    def __init__(self, whole: Dropout, chosen: slice, width: int) -> None:
        super().__init__(whole.rate, rng=whole.rng, backend=whole.backend)
        self._whole, self._chosen, self._width = whole, chosen, width
        self._rows, self._batch = np.arange(0), 0

    def rows(self, chosen: np.ndarray, batch: int) -> None:
        """As ``Layer.rows``."""
        self._rows, self._batch = chosen, batch

    def forward(self, x: np.ndarray) -> np.ndarray:
        """As the whole dropout, for its rows and columns."""
        if not self._whole.train:
            self._save(x.shape)
            return x
        kept = np.ascontiguousarray(self._whole.mask((self._batch, self._width))[self._rows, self._chosen])
        self._save(x.shape, kept)
        return dropout(x, kept, self.rate, self.backend)


def _check_array(name: str, array: object) -> None:
    """TypeError if it is not an array. Those of all devices can be reshaped."""
    if not hasattr(array, "reshape"):
        raise TypeError(f"{name} is a {type(array).__name__}, but must be an array")
