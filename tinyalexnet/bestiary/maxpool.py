"""Max-pooling: docs/maxpool.md."""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import maxpool
from .pools import REFERENCE, draw_window, drawn, image, integers, out_size
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return maxpool.maxpool_forward(x, Window(kernel, stride, pads), REFERENCE)[0]


def _backward(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    window = Window(kernel, stride, pads)
    argmax = maxpool.maxpool_forward(x, window, REFERENCE)[1]
    return maxpool.maxpool_backward(dout, argmax, x.shape, window, REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    return {"x": x, "dout": dout, "x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    n, h, w, c = shape
    dout = integers(seed + 1, n, *out_size((h, w), kernel, stride, pads), c)
    return _pool(integers(seed, *shape), dout, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row-overlap", _pool(image([1, 4, 2]), image([2, 3]), (1, 2), (1, 1), NONE)),
    Case("tie", _pool(image([1, 3], [3, 2]), image([-2]), (2, 2), (1, 1), NONE)),
    Case("negative-padded", _pool(image([-3, -1], [-2, -4]), image([1, 2], [3, -2]), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("overlap", _integers(31, (1, 5, 5, 1), (3, 3), (2, 2), NONE)),
    Case("one-sided", _integers(32, (1, 4, 5, 2), (3, 2), (2, 1), ((0, 2), (1, 0)))),
    Case("ragged", _integers(33, (2, 6, 5, 2), (2, 3), (3, 2), ((1, 0), (2, 1)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng, pads_below_kernel=True)
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size(size, kernel, stride, pads), c)
    return _pool(drawn(rng, n, *size, c), dout, kernel, stride, pads)


SUBJECTS = (
    Subject("maxpool_forward", ("x", "kernel", "stride", "pads"), ("out",), _forward, CASES, _draw),
    Subject(
        name="maxpool_backward",
        parameters=("dout", "x", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="maxpool_forward",
        gradients={"dx": "x"},
    ),
)
