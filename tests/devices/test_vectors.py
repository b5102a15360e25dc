"""Kernels that take four elements a thread: the same bits for arrays that begin at no multiple of 16 bytes."""

from __future__ import annotations

import numpy as np
import pytest
from backends import Backend, scalar

from tinyalexnet import to_device, to_host
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.l2_loss import l2_loss
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.ops.relu import relu_backward, relu_forward

pytestmark = pytest.mark.cuda


def results(rng, size, dtype):
    """Of all operations that go over flat arrays."""
    run = Backend("cuda")
    x, y, dw = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    loss, dout = run(l2_loss, x)
    mask = run(dropout_mask, (size,), 0.5, 3)
    w, v = to_device(x), to_device(y)
    momentum_step(w, v, to_device(dw), 0.1, 0.9, 0.01, backend="cuda")
    found = [run(relu_forward, x), run(relu_backward, y, x), run(dropout, x, mask, 0.5)]
    return [scalar(loss), *(array.tobytes() for array in (dout, mask, to_host(w), to_host(v), *found))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 4, 5, 1030])
def test_elements_one_by_one_have_the_same_bits(monkeypatch, size, dtype):
    from tinyalexnet.devices.cuda import vectors
    from tinyalexnet.ops.l2_loss import cuda as of_l2_loss

    by_four = results(np.random.default_rng(size), size, dtype)
    for module in (vectors, of_l2_loss):
        monkeypatch.setattr(module, "is_aligned", lambda *arrays: False)
    one_by_one = results(np.random.default_rng(size), size, dtype)
    # The loss adds its squares in another order.
    assert by_four[1:] == one_by_one[1:]
    np.testing.assert_allclose(by_four[0], one_by_one[0], rtol=1e-14)
