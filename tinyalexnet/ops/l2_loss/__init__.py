"""The loss of TensorFlow's benchmark, which has no labels.

Derivation: docs/l2_loss.md. Tests: tests/ops/test_l2_loss.py.
"""

import numpy as np

from ..checks import check_floats
from ..dispatch import resolve


def l2_loss(y: np.ndarray, backend: str = "cpu") -> tuple[float, np.ndarray]:
    """Half the sum of squares, and its gradient.

    Math
        loss = ½ Σ y², and so dloss/dy = y.
    Shapes
        y of any shape -> the loss, summed in float64, and dout: a copy of y. On a GPU the loss is a device array of one
        element, so that nothing has to wait for it.
    Errors
        TypeError if y is not float32 or float64.
    Cost
        One multiply-add and two memory accesses per element.
    Source
        TensorFlow's ``nn.l2_loss``; docs/l2_loss.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, y=y)
    loss, dout = kernels.l2_loss(y)
    return loss, dout
