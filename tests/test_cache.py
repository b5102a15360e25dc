"""The process that compiles a kernel and the next one, which loads it from Numba's cache, compute the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.compiled

SCRIPT = """
import hashlib
import numpy as np
from tinyalexnet import alexnet, l2_loss, softmax_cross_entropy
from tinyalexnet.geometry import Window
from tinyalexnet.ops.avgpool import avgpool_backward, avgpool_forward
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.lrn import lrn_backward, lrn_forward
from tinyalexnet.ops.maxpool import maxpool_backward, maxpool_forward
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.ops.relu import relu_backward, relu_forward

def normal(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)

def show(name, *arrays):
    bits = b"".join(np.asarray(array).tobytes() for array in arrays)
    print(name, hashlib.sha256(bits).hexdigest()[:16])

x, window = normal(37, 13, 11, 16), Window(3, 1, "SAME")
w, b = normal(3, 3, 16, 70), normal(70)
for algorithm in ("gemm", "winograd"):
    for n in (1, 37):
        out = conv2d_forward(x[:n], w, b, window, 1, algorithm)
        show(f"conv2d {algorithm} {n}", out, conv2d_backward_input(out, w, x[:n].shape, window, 1, algorithm),
             *conv2d_backward_params(out, x[:n], window, 1, algorithm))
out, argmax = maxpool_forward(x, Window(3, 2))
show("maxpool", out, argmax, maxpool_backward(out, argmax, x.shape, Window(3, 2)))
out = avgpool_forward(x, Window(3, 2))
show("avgpool", out, avgpool_backward(out, x.shape, Window(3, 2)))
for beta in (0.75, 0.6):
    out, scale = lrn_forward(x, 2, 1.0, 0.5, beta)
    show(f"lrn {beta}", out, scale, lrn_backward(out, x, scale, 2, 0.5, beta))
y = relu_forward(x)
show("relu", y, relu_backward(x, y))
vectors, weights = normal(33, 1009), normal(1009, 77)
out = dense_forward(vectors, weights, normal(77))
show("dense", out, dense_backward_input(out, weights), *dense_backward_params(out, vectors))
kept = dropout_mask(x.shape, 0.5, 7)
show("dropout", kept, dropout(x, kept, 0.5))
for n, classes in [(1, 10), (8, 1000), (128, 1000)]:
    show(f"softmax_cross_entropy {n} {classes}", *softmax_cross_entropy(3 * normal(n, classes), np.arange(n) % classes))
show("l2_loss", *l2_loss(x))
parameter, velocity = normal(999), normal(999)[::-1].copy()
momentum_step(parameter, velocity, normal(999), 0.01, 0.9, 1e-3)
show("momentum", parameter, velocity)
"""


def test_compiled_or_from_the_cache_the_bits_are_the_same(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout.count("\n") > 15
    assert first.stdout == second.stdout
    assert list(tmp_path.rglob("*.nbc"))
