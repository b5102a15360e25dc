"""LRN, local response normalisation across channels: docs/lrn.md."""

from __future__ import annotations

import numpy as np

from ..ops import lrn
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    return lrn.lrn_forward(x, radius, bias, alpha, beta, REFERENCE)[0]


def _backward(dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    scale = lrn.lrn_forward(x, radius, bias, alpha, beta, REFERENCE)[1]
    return lrn.lrn_backward(dout, x, scale, radius, alpha, beta, REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> Pool:
    return {"x": x, "dout": dout, "radius": radius, "bias": bias, "alpha": alpha, "beta": beta}


def _pixel(*channels: float) -> np.ndarray:
    return array(*channels)[np.newaxis, np.newaxis, np.newaxis, :]


CASES = (
    # Both scales are 2 + 1 + 1 = 4.
    Case("two-channels", _pool(_pixel(1, -1), _pixel(4, 8), 1, 2.0, 1.0, 1.0)),
    # The scales are 1 + 3/4 (4) = 4, and 1 + 3/4 (4 + 16) = 16 twice.
    Case("square-root", _pool(_pixel(2, 0, 4, -2), _pixel(4, -8, 16, 2), 1, 1.0, 0.75, 0.5)),
    Case("five-channels", _pool(integers(81, 1, 1, 1, 5), integers(82, 1, 1, 1, 5), 2, 1.0, 0.5, 0.75)),
    Case("images", _pool(integers(83, 2, 2, 2, 4), integers(84, 2, 2, 2, 4), 1, 2.0, 0.25, 0.75)),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers((1, 1, 1, 1), (3, 3, 3, 7))]
    radius, alpha, beta = int(rng.integers(0, 4)), float(rng.uniform(0.1, 1)), float(rng.uniform(0.25, 1))
    return _pool(drawn(rng, *shape), drawn(rng, *shape), radius, float(rng.integers(1, 3)), alpha, beta)


def _near(c: int, radius: int, channels: int) -> range:
    """The channels within ``radius`` of channel c."""
    return range(max(c - radius, 0), min(c + radius + 1, channels))


@wrong(
    "out",
    "LRN's forward divides alpha by the size of the window, as Caffe and PyTorch do, but here alpha must multiply "
    "the sum as it is.",
    source="BVLC/caffe #1453; uxlfoundation/oneDNN #396",
    shown_by="two-channels",
)
def lrn_alpha_divided(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for c in range(x.shape[3]):
        squares = sum(x[..., k] ** 2 for k in _near(c, radius, x.shape[3]))
        out[..., c] = x[..., c] / (bias + alpha / (2 * radius + 1) * squares) ** beta
    return out


@wrong(
    "out",
    "The radius is taken for the size of the window, so half of it reaches to each side, but the window must have "
    "2·radius + 1 channels.",
    source="alibaba/MNN #192; microsoft/MMdnn #808",
    shown_by="two-channels",
)
def lrn_radius_as_size(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for c in range(x.shape[3]):
        squares = sum(x[..., k] ** 2 for k in _near(c, radius // 2, x.shape[3]))
        out[..., c] = x[..., c] / (bias + alpha * squares) ** beta
    return out


@wrong(
    "out",
    "The squares are summed over rows and columns of one channel, Caffe's WITHIN_CHANNEL, but AlexNet's LRN must "
    "sum over the channels of one pixel.",
    source="Caffe's WITHIN_CHANNEL; tensorflow/tensorflow #1246",
    shown_by="two-channels",
)
def lrn_within_channel(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for h, i in np.ndindex(*x.shape[1:3]):
        square = x[:, max(h - radius, 0) : h + radius + 1, max(i - radius, 0) : i + radius + 1] ** 2
        out[:, h, i] = x[:, h, i] / (bias + alpha * square.sum(axis=(1, 2))) ** beta
    return out


@wrong(
    "out",
    "The sum of squares leaves out the channel itself, but its own square must be in its scale.",
    source="no public sighting known",
    shown_by="two-channels",
)
def lrn_without_itself(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for c in range(x.shape[3]):
        squares = sum(x[..., k] ** 2 for k in _near(c, radius, x.shape[3]) if k != c)
        out[..., c] = x[..., c] / (bias + alpha * squares) ** beta
    return out


@wrong(
    "out",
    "LRN's bias is added after the power, but it must be inside: x / (bias + alpha·sum)^beta.",
    source="no public sighting known",
    shown_by="square-root",
)
def lrn_bias_outside(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for c in range(x.shape[3]):
        squares = sum(x[..., k] ** 2 for k in _near(c, radius, x.shape[3]))
        out[..., c] = x[..., c] / (bias + (alpha * squares) ** beta)
    return out


def _scale(x: np.ndarray, radius: int, bias: float, alpha: float) -> np.ndarray:
    return lrn.lrn_forward(x, radius, bias, alpha, 1.0, REFERENCE)[1]


@wrong(
    "dx",
    "The divisor is taken for a constant, so the term of the neighbours is missing, but x is in the scale of "
    "every channel within radius.",
    source="related: andersbll/deeppy #15, where dout passed unchanged",
    shown_by="two-channels",
)
def lrn_divisor_constant(
    dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float
) -> np.ndarray:
    return dout / _scale(x, radius, bias, alpha) ** beta


@wrong(
    "dx",
    "Each channel has the slope of its own output alone, but x[c] is in the scale of its neighbours too, so the second "
    "term must be a sum.",
    source="no public sighting known",
    shown_by="two-channels",
)
def lrn_own_output_alone(
    dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float
) -> np.ndarray:
    scale = _scale(x, radius, bias, alpha)
    return dout * (1 / scale**beta - 2 * alpha * beta * x**2 / scale ** (beta + 1))


@wrong(
    "dx",
    "LRN's backward divides alpha by the size of the window, but the forward did not.",
    source="Caffe's formula, in BVLC/caffe #5105",
    shown_by="two-channels",
)
def lrn_backward_alpha_divided(
    dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float
) -> np.ndarray:
    scale = _scale(x, radius, bias, alpha)
    dx = dout / scale**beta
    for c, k in _pairs(x.shape[3], radius):
        share = dout[..., k] * x[..., k] / scale[..., k] ** (beta + 1)
        dx[..., c] -= 2 * alpha / (2 * radius + 1) * beta * x[..., c] * share
    return dx


@wrong(
    "dx",
    "The 2 of the squares' derivative is missing in the neighbours' term, but it must be 2·alpha·beta·x[c] times "
    "the sum.",
    source="no public sighting known",
    shown_by="two-channels",
)
def lrn_without_two(dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    scale = _scale(x, radius, bias, alpha)
    dx = dout / scale**beta
    for c, k in _pairs(x.shape[3], radius):
        dx[..., c] -= alpha * beta * x[..., c] * dout[..., k] * x[..., k] / scale[..., k] ** (beta + 1)
    return dx


@wrong(
    "dx",
    "The power of the scale stays -beta in the neighbours' term, but the derivative has the power -beta - 1.",
    source="no public sighting known",
    shown_by="two-channels",
)
def lrn_power_kept(dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    scale = _scale(x, radius, bias, alpha)
    dx = dout / scale**beta
    for c, k in _pairs(x.shape[3], radius):
        dx[..., c] -= 2 * alpha * beta * x[..., c] * dout[..., k] * x[..., k] / scale[..., k] ** beta
    return dx


@wrong(
    "dx",
    "The neighbours' term uses the scale of the channel itself, but each neighbour was divided by a power of its "
    "own scale.",
    source="asked in vlfeat/matconvnet #10",
    shown_by="five-channels",
)
def lrn_own_scale(dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    scale = _scale(x, radius, bias, alpha)
    dx = dout / scale**beta
    for c, k in _pairs(x.shape[3], radius):
        dx[..., c] -= 2 * alpha * beta * x[..., c] * dout[..., k] * x[..., k] / scale[..., c] ** (beta + 1)
    return dx


def _pairs(channels: int, radius: int) -> list[tuple[int, int]]:
    """Each channel c with each channel k whose scale contains it."""
    return [(c, k) for c in range(channels) for k in _near(c, radius, channels)]


SUBJECTS = (
    Subject(
        name="lrn_forward",
        parameters=("x", "radius", "bias", "alpha", "beta"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=_draw,
        rounding=1e-9,
        beasts=(lrn_alpha_divided, lrn_radius_as_size, lrn_within_channel, lrn_without_itself, lrn_bias_outside),
    ),
    Subject(
        name="lrn_backward",
        parameters=("dout", "x", "radius", "bias", "alpha", "beta"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="lrn_forward",
        gradients={"dx": "x"},
        rounding=1e-9,
        beasts=(
            lrn_divisor_constant,
            lrn_own_output_alone,
            lrn_backward_alpha_divided,
            lrn_without_two,
            lrn_power_kept,
            lrn_own_scale,
        ),
    ),
)
