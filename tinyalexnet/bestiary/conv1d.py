"""Convolution in one dimension: cross-correlation of a row with a kernel, without padding, stride 1.

The package has none. What is right is its two-dimensional one, on an image of one row.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Window
from ..ops import conv2d
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    bias = np.zeros(1)
    out = conv2d.conv2d_forward(_row(x), w[np.newaxis, :, np.newaxis, np.newaxis], bias, *_options(w))
    return out.ravel()


def _backward(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    filters = w[np.newaxis, :, np.newaxis, np.newaxis]
    dx = conv2d.conv2d_backward_input(_row(dout), filters, _row(x).shape, *_options(w))
    dw, _ = conv2d.conv2d_backward_params(_row(dout), _row(x), *_options(w))
    return dx.ravel(), dw.ravel()


def _row(x: np.ndarray) -> np.ndarray:
    return x[np.newaxis, np.newaxis, :, np.newaxis]


def _options(w: np.ndarray) -> tuple[Window, int, str, str]:
    return Window((1, len(w))), 1, "gemm", REFERENCE


def _pool(x: np.ndarray, w: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "w": w, "dout": dout}


CASES = (
    Case("one-output", _pool(array(3, 1), array(2, -1), array(2))),
    Case("two-outputs", _pool(array(3, 1, 4, 2), array(2, -1, 1), array(1, 3))),
    Case("short-kernel", _pool(integers(51, 6), array(1, -3), integers(52, 5))),
    Case("long", _pool(integers(53, 9), integers(54, 4), integers(55, 6))),
)


def _draw(rng: np.random.Generator) -> Pool:
    length = int(rng.integers(1, 9))
    kernel = int(rng.integers(1, length + 1))
    return _pool(drawn(rng, length), drawn(rng, kernel), drawn(rng, length - kernel + 1))


@wrong(
    "out",
    "In one dimension, the kernel runs backwards over the row, the convolution of mathematics, but here w[0] must "
    "meet the first element of the window.",
    source="expected in pytorch/pytorch #117534",
    shown_by="one-output",
)
def conv1d_flipped(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = np.zeros(len(x) - len(w) + 1)
    for o, k in np.ndindex(len(out), len(w)):
        out[o] += x[o + k] * w[len(w) - 1 - k]
    return out


@wrong(
    "out",
    "In one dimension, each window starts one element late, as when counting from 1, but output o must start at x[o].",
    source="no public sighting known",
    shown_by="one-output",
)
def conv1d_one_late(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = np.zeros(len(x) - len(w) + 1)
    for o, k in np.ndindex(len(out), len(w)):
        if o + k + 1 < len(x):
            out[o] += x[o + k + 1] * w[k]
    return out


@wrong(
    "dx",
    "In one dimension, dx slides the kernel over dout as it is, but x[i] met w[k] at the output i - k, so the "
    "kernel must be turned.",
    source="asked in rasmusbergpalm/DeepLearnToolbox #169",
    shown_by="one-output",
)
def conv1d_kernel_not_turned(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, dw = _backward(dout, x, w)
    dx = np.zeros_like(x)
    for o, k in np.ndindex(len(dout), len(w)):
        dx[o + k] += dout[o] * w[len(w) - 1 - k]
    return dx, dw


@wrong(
    "dx",
    "In one dimension, each output overwrites dx (=), but an element lies in several windows and must get the sum "
    "(+=).",
    source="no public sighting known",
    shown_by="two-outputs",
)
def conv1d_dx_assigns(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, dw = _backward(dout, x, w)
    dx = np.zeros_like(x)
    for o, k in np.ndindex(len(dout), len(w)):
        dx[o + k] = dout[o] * w[k]
    return dx, dw


@wrong(
    "dx",
    "In one dimension, each kernel position overwrites what earlier ones wrote into dx (=), but their shares must be "
    "added (+=).",
    source="no public sighting known",
    shown_by="two-outputs",
)
def conv1d_dx_assigns_positions(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, dw = _backward(dout, x, w)
    dx = np.zeros_like(x)
    for k, o in np.ndindex(len(w), len(dout)):
        dx[o + k] = dout[o] * w[k]
    return dx, dw


@wrong(
    "dw",
    "In one dimension, dw comes out backwards, as from a convolution of mathematics, but dw[k] must belong to w[k].",
    source="asked in Site1997/LeNet-python #2",
    shown_by="one-output",
)
def conv1d_dw_flipped(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, _ = _backward(dout, x, w)
    dw = np.zeros_like(w)
    for o, k in np.ndindex(len(dout), len(w)):
        dw[len(w) - 1 - k] += dout[o] * x[o + k]
    return dx, dw


@wrong(
    "dw",
    "In one dimension, dw is the mean over the outputs, but the kernel was used at each of them, so it must be "
    "the sum.",
    source="sebgao/cTensor #3, in two dimensions",
    shown_by="two-outputs",
)
def conv1d_dw_mean(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, _ = _backward(dout, x, w)
    dw = np.zeros_like(w)
    for o, k in np.ndindex(len(dout), len(w)):
        dw[k] += dout[o] * x[o + k] / len(dout)
    return dx, dw


@wrong(
    "dw",
    "In one dimension, each output overwrites dw (=), but the kernel was used at all outputs, so their shares must be "
    "added (+=).",
    source="no public sighting known",
    shown_by="two-outputs",
)
def conv1d_dw_assigns(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = _backward(dout, x, w)
    for o, k in np.ndindex(len(dout), len(w)):
        dw[k] = dout[o] * x[o + k]
    return dx, dw


SUBJECTS = (
    Subject("conv1d_forward", ("x", "w"), ("out",), _forward, CASES, _draw, beasts=(conv1d_flipped, conv1d_one_late)),
    Subject(
        name="conv1d_backward",
        parameters=("dout", "x", "w"),
        outputs=("dx", "dw"),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="conv1d_forward",
        gradients={"dx": "x", "dw": "w"},
        beasts=(
            conv1d_kernel_not_turned,
            conv1d_dx_assigns,
            conv1d_dx_assigns_positions,
            conv1d_dw_flipped,
            conv1d_dw_mean,
            conv1d_dw_assigns,
        ),
    ),
)
