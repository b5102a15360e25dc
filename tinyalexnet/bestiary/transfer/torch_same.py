"""PyTorch's padding="same", which is for stride 1 alone: it depends on the kernel and its dilation, not on the size.

The package has TensorFlow's rule. What is right is that rule for an image of one pixel, and a kernel that is as large
as the dilated one.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ..subject import Case, Pool, Subject


def _right(kernel: Pair, dilation: Pair) -> Pads:
    reach = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    return Window(reach, 1, "SAME").pads((1, 1))


def _pool(kernel: Pair, dilation: Pair) -> Pool:
    return {"kernel": kernel, "dilation": dilation}


CASES = (
    Case("row", _pool((1, 2), (1, 1))),
    Case("odd-kernel", _pool((3, 5), (1, 1))),
    Case("dilated", _pool((2, 3), (1, 3))),
    Case("even-kernel", _pool((4, 2), (2, 5))),
)


def _draw(rng: np.random.Generator) -> Pool:
    kernel_h, kernel_w, dilation_h, dilation_w = (int(length) for length in rng.integers(1, 6, 4))
    return _pool((kernel_h, kernel_w), (dilation_h, dilation_w))


SUBJECTS = (Subject("torch_same_pads", ("kernel", "dilation"), ("pads",), _right, CASES, _draw),)
