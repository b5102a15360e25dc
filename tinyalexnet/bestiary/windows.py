"""The arithmetic of a window, without arrays: the size of an output, and SAME's padding."""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from .pools import draw_window
from .subject import Case, Pool, Subject


def _output_size(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    return Window(kernel, stride, pads).output_size(size)


def _same_pads(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    return Window(kernel, stride, "SAME").pads(size)


def _pool(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    return {"size": size, "kernel": kernel, "stride": stride, "pads": pads}


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool((1, 4), (1, 2), (1, 1), NONE)),
    Case("even-kernel", _pool((4, 5), (2, 4), (1, 1), ((0, 1), (2, 1)))),
    Case("rest", _pool((6, 7), (3, 2), (2, 3), NONE)),
    Case("padded", _pool((7, 6), (3, 5), (2, 1), ((2, 0), (1, 2)))),
    Case("gaps", _pool((9, 8), (1, 2), (3, 4), ((0, 1), (2, 2)))),
    Case("alexnet", _pool((227, 227), (11, 11), (4, 4), NONE)),
)


def _draw(rng: np.random.Generator) -> Pool:
    return _pool(*draw_window(rng, most=12))


SUBJECTS = (
    Subject("output_size", ("size", "kernel", "stride", "pads"), ("out_size",), _output_size, CASES, _draw),
    Subject("same_pads", ("size", "kernel", "stride"), ("pads",), _same_pads, CASES, _draw),
)
