"""Average-pooling: docs/avgpool.md.

Each window of these cases holds 1, 2, 4, 8 or 16 pixels, so that the means are exact.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import avgpool
from .pools import REFERENCE, drawn, image, integers, out_size
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return avgpool.avgpool_forward(x, Window(kernel, stride, pads), REFERENCE)


def _backward(dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return avgpool.avgpool_backward(dout, x_shape, Window(kernel, stride, pads), REFERENCE)


def pool(x: np.ndarray, dout: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    """All arguments of an average-pool's functions."""
    return {"x": x, "dout": dout, "x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    n, h, w, c = shape
    dout = integers(seed + 1, n, *out_size((h, w), kernel, stride, pads), c)
    return pool(integers(seed, *shape), dout, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row-overlap", pool(image([1, 3, -2]), image([2, 4]), (1, 2), (1, 1), NONE)),
    Case("padded", pool(image([2, -1], [4, 3]), image([1, -2], [3, 4]), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("overlap", _integers(41, (1, 3, 4, 1), (2, 2), (1, 1), NONE)),
    Case("one-sided", _integers(42, (1, 5, 4, 2), (2, 2), (2, 1), ((1, 0), (0, 1)))),
    Case("ragged", _integers(43, (2, 6, 5, 2), (2, 4), (3, 1), ((0, 1), (0, 0)))),
)


def draw(rng: np.random.Generator) -> Pool:
    """A random geometry whose windows hold 2^k pixels."""
    size, kernel = [int(length) for length in rng.integers(1, 6, 2)], []
    sides = []
    for length in size:
        kernel.append(int(rng.choice([k for k in (1, 2, 4) if k <= length])))
        # Rows of padding leave a part of the kernel inside: one row of two.
        most = 1 if kernel[-1] == 2 else 0
        sides.append((int(rng.integers(0, most + 1)), int(rng.integers(0, most + 1))))
    stride, pads = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (sides[0], sides[1])
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size((size[0], size[1]), (kernel[0], kernel[1]), stride, pads), c)
    return pool(drawn(rng, n, *size, c), dout, (kernel[0], kernel[1]), stride, pads)


SUBJECTS = (
    Subject("avgpool_forward", ("x", "kernel", "stride", "pads"), ("out",), _forward, CASES, draw),
    Subject(
        name="avgpool_backward",
        parameters=("dout", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=draw,
        forward="avgpool_forward",
        gradients={"dx": "x"},
    ),
)
