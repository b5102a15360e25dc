"""The precision of matrix products on the host: float32 alone. On a GPU: tests/devices/test_tensor_cores.py."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, alexnet
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward

ONES = np.ones((1, 1, 4, 4), np.float32)
WINDOW = Window(1)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("precision", ["tf32", "half"])
@pytest.mark.parametrize(
    "call",
    [
        lambda **options: conv2d_forward(ONES, ONES, ONES[0, 0, 0], WINDOW, **options),
        lambda **options: conv2d_backward_input(ONES, ONES, (1, 1, 4, 4), WINDOW, **options),
        lambda **options: conv2d_backward_params(ONES, ONES, WINDOW, **options),
        lambda **options: dense_forward(ONES[0, 0], ONES[0, 0], ONES[0, 0, 0], **options),
        lambda **options: dense_backward_input(ONES[0, 0], ONES[0, 0], **options),
        lambda **options: dense_backward_params(ONES[0, 0], ONES[0, 0], **options),
        lambda **options: Conv2d(4, 4, 3, **options),
        lambda **options: Dense(4, 4, **options),
        lambda **options: alexnet("cifar", **options),
    ],
)
def test_the_host_has_float32_alone(call, precision, backend):
    message = f"precision is '{precision}', but must be 'float32' on backend '{backend}'"
    with pytest.raises(ValueError, match=message):
        call(precision=precision, backend=backend)
    call(precision="float32", backend=backend)


def test_winograd_is_for_float32():
    convolution = "cuda", (128, 13, 13, 192), 384, Window(3, 1, "SAME"), 1, np.dtype(np.float32)
    assert choose_tile("auto", *convolution) is not None
    assert choose_tile("auto", *convolution, "tf32") is None
    assert choose_tile("gemm", *convolution, "tf32") is None
    with pytest.raises(ValueError, match="algorithm is 'winograd', but must be 'auto' or 'gemm' with precision 'tf32'"):
        choose_tile("winograd", *convolution, "tf32")
