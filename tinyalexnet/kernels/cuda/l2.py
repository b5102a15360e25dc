"""The loss of TensorFlow's benchmark on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contract import check_l2_loss
from .memory import empty
from .reduction import sum_of
from .runtime import cuda, kernel, launch, stand_in


def l2_loss(y: Any) -> tuple[Any, Any]:
    """Half the sum of squares, and its gradient; see reference.

    The loss is a device array of one number, so that nothing has to wait for it.

    Schedule
        A thread for each number, which copies and squares it; then the squares are added up by ``sum_of``.
    """
    check_l2_loss(stand_in("y", y))
    dout, squares = empty(y.shape, y.dtype), empty((y.size,), np.float64)
    launch(_squares, y.size, y.reshape(y.size), dout.reshape(y.size), squares)
    return sum_of(squares, 0.5), dout


@kernel
def _squares(y, dout, squares):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < y.size:
        value = y[index]
        dout[index] = value
        squares[index] = np.float64(value) * np.float64(value)
