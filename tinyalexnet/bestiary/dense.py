"""The dense layer: docs/dense.md."""

from __future__ import annotations

import numpy as np

from ..ops import dense
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return dense.dense_forward(x, w, b, REFERENCE)


def _backward(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx = dense.dense_backward_input(dout, w, REFERENCE)
    dw, db = dense.dense_backward_params(dout, x, REFERENCE)
    return dx, dw, db


def _pool(x: np.ndarray, w: np.ndarray, b: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "w": w, "b": b, "dout": dout, "x_shape": x.shape, "w_shape": w.shape}


def _integers(seed: int, n: int, c: int, f: int) -> Pool:
    return _pool(integers(seed, n, c), integers(seed + 1, c, f), integers(seed + 2, f), integers(seed + 3, n, f))


CASES = (
    Case("one-vector", _pool(array([1, 2]), array([3, -1], [2, 4]), array(1, -2), array([2, -1]))),
    Case("two-vectors", _pool(array([1, 2], [-3, 1]), array([1, -2], [3, 2]), array(3, -1), array([1, 2], [-2, 3]))),
    Case("ragged", _integers(11, 3, 2, 4)),
    Case("wide", _integers(12, 4, 5, 3)),
)


def _draw(rng: np.random.Generator) -> Pool:
    n, c, f = (int(size) for size in rng.integers(1, 6, 3))
    return _pool(drawn(rng, n, c), drawn(rng, c, f), drawn(rng, f), drawn(rng, n, f))


@wrong(
    "out",
    "The dense layer's bias is not added, but out is x w + b.",
    source="no public sighting known",
    shown_by="one-vector",
)
def dense_bias_forgotten(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x @ w


@wrong(
    "out",
    "The dense layer's bias is added with every product, C times, but it must be added once for each output.",
    source="related: Kulbear/deep-learning-coursera #45, for a convolution",
    shown_by="one-vector",
)
def dense_bias_in_each_term(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((len(x), w.shape[1]))
    for n, c, f in np.ndindex(len(x), *w.shape):
        out[n, f] += x[n, c] * w[c, f] + b[f]
    return out


@wrong(
    "out",
    "The elements of w are read as if its shape were (F, C), as PyTorch stores it, but here its shape is (C, F).",
    source="pytorch/pytorch #129834: nn.Linear stores w as (F, C)",
    shown_by="one-vector",
)
def dense_w_read_as_rows(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x @ w.reshape(w.shape[::-1]).T + b


@wrong(
    "dx",
    "dx uses w reshaped to (F, C), but it must use the transpose of w: reshape keeps the order of the elements.",
    source="no public sighting known",
    shown_by="one-vector",
)
def dense_w_reshaped(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dw, db = _backward(dout, x, w)
    return dout @ w.reshape(w.shape[::-1]), dw, db


@wrong(
    "dw",
    "dw of the dense layer is the mean over the batch, but every row used w, so it must be the sum; only the loss "
    "may divide by N.",
    source="proposed in apache/mxnet #2427 and hunkim/DeepLearningZeroToAll #173",
    shown_by="two-vectors",
)
def dense_dw_mean(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, _, db = _backward(dout, x, w)
    return dx, np.array([[(x[:, c] * dout[:, f]).mean() for f in range(w.shape[1])] for c in range(w.shape[0])]), db


@wrong(
    "dw",
    "dw of the dense layer keeps the product of the last row alone (=), but the products of all rows must be "
    "added (+=).",
    source="related: mlpack/mlpack #3679, right for a batch of one alone",
    shown_by="two-vectors",
)
def dense_dw_of_the_last_row(
    dout: np.ndarray, x: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dw, db = _backward(dout, x, w)
    for n, c, f in np.ndindex(len(x), *w.shape):
        dw[c, f] = x[n, c] * dout[n, f]
    return dx, dw, db


@wrong(
    "db",
    "db of the dense layer is the mean over the batch, but the bias was added to every row, so db must be the sum.",
    source="kvfrans/notes #5; docs/checking.md, its first example",
    shown_by="two-vectors",
)
def dense_db_mean(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dw, _ = _backward(dout, x, w)
    return dx, dw, dout.mean(axis=0)


@wrong(
    "db",
    "db of the dense layer sums the rows of dout reshaped to (F, N), which mixes the outputs, but it must sum the "
    "columns of dout (N, F).",
    source="related: snuspl/cruise #800, for a convolution",
    shown_by="two-vectors",
)
def dense_db_wrong_axis(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dw, _ = _backward(dout, x, w)
    return dx, dw, dout.reshape(dout.shape[::-1]).sum(axis=1)


SUBJECTS = (
    Subject(
        "dense_forward",
        ("x", "w", "b"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(dense_bias_forgotten, dense_bias_in_each_term, dense_w_read_as_rows),
    ),
    Subject(
        name="dense_backward",
        parameters=("dout", "x", "w"),
        outputs=("dx", "dw", "db"),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="dense_forward",
        gradients={"dx": "x", "dw": "w", "db": "b"},
        beasts=(dense_w_reshaped, dense_dw_mean, dense_dw_of_the_last_row, dense_db_mean, dense_db_wrong_axis),
    ),
)
