"""Kernels that take four elements a thread: those that are left over at the end have the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from backends import Backend

from tinyalexnet import to_device, to_host
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.l2_loss import l2_loss
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.ops.relu import relu_backward, relu_forward

pytestmark = pytest.mark.cuda


def results(arrays, dtype):
    """Of all operations that go over flat arrays."""
    run = Backend("cuda")
    x, y, dw = (array.copy() for array in arrays)
    _, dout = run(l2_loss, x)
    mask = run(dropout_mask, x.shape, 0.5, 3)
    w, v = to_device(x), to_device(y)
    momentum_step(w, v, to_device(dw), 0.1, 0.9, 0.01, backend="cuda")
    found = [run(relu_forward, x), run(relu_backward, y, x), run(dropout, x, mask, 0.5)]
    return [dout, mask, to_host(w), to_host(v), *found]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 1030])
def test_the_last_elements_one_by_one_have_the_same_bits(size, dtype):
    """Those of a short array, and the same ones in a longer array, where they are computed four at a time."""
    rng = np.random.default_rng(size)
    arrays = rng.standard_normal((3, size + 4)).astype(dtype)
    short, long = (results(arrays[:, :count], dtype) for count in (size, size + 4))
    for one, other in zip(short, long, strict=True):
        np.testing.assert_array_equal(one, other[:size])
