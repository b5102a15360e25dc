"""The geometries on which convolutions are tried."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair
from ..pools import array, draw_window, drawn, image, integers, out_size
from ..subject import Case, Pool


def pool(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, dout: np.ndarray, stride: Pair, pads: Pads, groups: int = 1
) -> Pool:
    """All arguments of the convolution's functions."""
    options = {"stride": stride, "pads": pads, "groups": groups, "kernel": (w.shape[0], w.shape[1])}
    return {"x": x, "w": w, "b": b, "dout": dout, "x_shape": x.shape, "w_shape": w.shape, **options}


def with_integers(
    seed: int, x_shape: tuple[int, int, int, int], w_shape: tuple[int, int, int, int], stride: Pair, pads: Pads
) -> Pool:
    """A pool of integers; the number of groups follows from the shapes."""
    n, h, w, c = x_shape
    out = out_size((h, w), (w_shape[0], w_shape[1]), stride, pads)
    arrays = [
        integers(seed + k, *shape) for k, shape in enumerate((x_shape, w_shape, w_shape[3:], (n, *out, w_shape[3])))
    ]
    return pool(arrays[0], arrays[1], arrays[2], arrays[3], stride, pads, c // w_shape[2])


def one_filter(*rows: list[float]) -> np.ndarray:
    """A filter of one channel, (KH, KW, 1, 1), from its rows."""
    return np.array(rows, np.float64)[:, :, np.newaxis, np.newaxis]


NONE = ((0, 0), (0, 0))

ROW = pool(image([3, 1, 4]), one_filter([2, -1]), array(1), image([1, 3]), (1, 1), NONE)
SQUARE = pool(
    image([1, 2, 0], [-1, 3, 1], [2, 0, -2]),
    one_filter([1, 2], [-3, 4]),
    array(-2),
    image([1, 2], [-1, 3]),
    (1, 1),
    NONE,
)

CASES = (
    Case("row", ROW),
    Case("square", SQUARE),
    Case("padded", with_integers(61, (1, 3, 2, 1), (2, 3, 1, 1), (1, 1), ((1, 0), (0, 2)))),
    Case("groups", with_integers(64, (1, 1, 1, 4), (1, 1, 2, 4), (1, 1), NONE)),
    Case("channels", with_integers(63, (2, 1, 2, 2), (1, 1, 2, 3), (1, 1), NONE)),
    Case("strided", with_integers(62, (1, 5, 4, 1), (3, 2, 1, 1), (2, 1), NONE)),
    Case("all", with_integers(65, (2, 5, 4, 4), (3, 2, 2, 6), (2, 3), ((1, 2), (0, 1)))),
)


def draw(rng: np.random.Generator) -> Pool:
    """A random geometry, with up to two groups."""
    size, kernel, stride, pads = draw_window(rng)
    n, groups, depth = (int(length) for length in rng.integers(1, 3, 3))
    filters = groups * int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size(size, kernel, stride, pads), filters)
    x, w = drawn(rng, n, *size, groups * depth), drawn(rng, *kernel, depth, filters)
    return pool(x, w, drawn(rng, filters), dout, stride, pads, groups)
