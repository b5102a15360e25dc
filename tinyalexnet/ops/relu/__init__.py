"""ReLU, the rectified linear unit.

Derivation: docs/relu.md. Tests: tests/ops/test_relu.py.
"""

import numpy as np

from ...devices import Device
from ..checks import check_floats, check_shape, check_writeable
from ..dispatch import resolve


def relu_forward(x: np.ndarray, out: np.ndarray | None = None, backend: str = "cpu") -> np.ndarray:
    """Keeps positive elements and sets the others to 0.

    Math
        y = max(x, 0); NaN stays NaN.
    Shapes
        x of any shape -> y of the same; written to ``out`` if given, which may be x itself.
    Errors
        TypeError if x is not float32 or float64, or ``out`` has another dtype; ValueError if ``out`` has another shape,
        or is strided or read-only.
    Cost
        One comparison and two memory accesses per element.
    Source
        Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010; docs/relu.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x)
    _check_out(device, "x", x, out)
    y: np.ndarray = kernels.relu_forward(x, out)
    return y


def relu_backward(dout: np.ndarray, y: np.ndarray, out: np.ndarray | None = None, backend: str = "cpu") -> np.ndarray:
    """Gradient with respect to x, from the output y alone: y is positive exactly if x is.

    Math
        dx = 0 if y <= 0, else dout. So the derivative at 0 is 0, and a NaN in y passes the gradient.
    Shapes
        dout and y of one shape -> dx of the same; written to ``out`` if given, which may be dout itself.
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ; ValueError if shapes differ, or ``out``
        is strided or read-only.
    Cost
        One comparison and three memory accesses per element.
    Source
        docs/relu.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, y=y, dout=dout)
    check_shape("dout", dout.shape, y.shape, "the output's shape")
    _check_out(device, "dout", dout, out)
    dx: np.ndarray = kernels.relu_backward(dout, y, out)
    return dx


def _check_out(device: Device, name: str, array: np.ndarray, out: np.ndarray | None) -> None:
    if out is not None:
        check_floats(device, **{name: array, "out": out})
        check_shape("out", out.shape, array.shape, f"the shape of {name}")
        check_writeable(device, name if out is array else "out", out)
