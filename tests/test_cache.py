"""A kernel computes the same bits compiled just now and from Numba's cache, in any order of calls, at any alignment."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinyalexnet

pytestmark = pytest.mark.compiled

PACKAGE = Path(tinyalexnet.__file__).parent

SCRIPT = """
import hashlib, importlib, sys
import numpy as np
from tinyalexnet import alexnet, l2_loss, softmax_cross_entropy
from tinyalexnet.devices.cpu.compiler import NAMED, names_in
from tinyalexnet.geometry import Window
from tinyalexnet.ops.avgpool import avgpool_backward, avgpool_forward
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.lrn import lrn_backward, lrn_forward
from tinyalexnet.ops.maxpool import maxpool_backward, maxpool_forward
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.ops.relu import relu_backward, relu_forward

order, offset, *kernels = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]

def normal(*shape, dtype=np.float32):
    # It begins so many bytes after a multiple of 64.
    values = np.random.default_rng(shape).standard_normal(shape).astype(dtype)
    memory = np.empty(values.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    array = memory[start : start + values.nbytes].view(dtype).reshape(shape)
    array[...] = values
    return array

calls = {}
def call(function):
    calls[function.__name__] = function

window = Window(3, 1, "SAME")
for algorithm in ("gemm", "winograd"):
    for n in (1, 37):
        def conv2d(algorithm=algorithm, n=n):
            x, w, b = normal(n, 13, 11, 16), normal(3, 3, 16, 70), normal(70)
            out = conv2d_forward(x, w, b, window, 1, algorithm)
            dout = normal(*out.shape)
            yield from (out, conv2d_backward_input(dout, w, x.shape, window, 1, algorithm))
            yield from conv2d_backward_params(dout, x, window, 1, algorithm)
        conv2d.__name__ = f"conv2d {algorithm} {n}"
        call(conv2d)
@call
def one_image_of_many_channels():
    x, w = normal(1, 13, 13, 256), normal(3, 3, 256, 384)
    out = conv2d_forward(x, w, normal(384), window, 1, "winograd")
    yield from (out, *conv2d_backward_params(normal(*out.shape), x, window, 1, "winograd"))
@call
def few_windows_of_many_weights():
    x, w = normal(1, 13, 13, 64), normal(3, 3, 64, 96)
    out = conv2d_forward(x, w, normal(96), window, 1, "gemm")
    dout = normal(*out.shape)
    yield from (out, conv2d_backward_input(dout, w, x.shape, window, 1, "gemm"))
    yield from conv2d_backward_params(dout, x, window, 1, "gemm")
@call
def many_large_images():
    x, w = normal(64, 55, 55, 16), normal(3, 3, 16, 128)
    out = conv2d_forward(x, w, normal(128), window, 1, "winograd")
    yield from (out, *conv2d_backward_params(normal(*out.shape), x, window, 1, "winograd"))
@call
def grey_images():
    x, w = normal(37, 13, 11, 1), normal(3, 3, 1, 70)
    out = conv2d_forward(x, w, normal(70), window, 1, "gemm")
    yield from (out, *conv2d_backward_params(normal(*out.shape), x, window, 1, "gemm"))
# Kernels that do little with a byte have no parallel loop for few of them.
@call
def maxpool():
    for n in (1, 37):
        x = normal(n, 13, 11, 16)
        out, argmax = maxpool_forward(x, Window(3, 2))
        yield from (out, argmax, maxpool_backward(normal(*out.shape), argmax, x.shape, Window(3, 2)))
@call
def avgpool():
    for n in (1, 37):
        x = normal(n, 13, 11, 16)
        out = avgpool_forward(x, Window(3, 2))
        yield from (out, avgpool_backward(normal(*out.shape), x.shape, Window(3, 2)))
@call
def lrn():
    x = normal(37, 13, 11, 16)
    for beta in (0.75, 0.6):
        out, scale = lrn_forward(x, 2, 1.0, 0.5, beta)
        yield from (out, scale, lrn_backward(normal(*out.shape), x, scale, 2, 0.5, beta))
@call
def relu():
    for n in (1, 37):
        y = relu_forward(normal(n, 13, 11, 16))
        yield from (y, relu_backward(normal(*y.shape), y))
# Of few vectors and of many; and of few with products that are cut.
for n, inputs, outputs in [(1, 1009, 77), (49, 1009, 131), (15, 4097, 301)]:
    def dense(n=n, inputs=inputs, outputs=outputs):
        x, w = normal(n, inputs), normal(inputs, outputs)
        out = dense_forward(x, w, normal(outputs))
        dout = normal(*out.shape)
        yield from (out, dense_backward_input(dout, w), *dense_backward_params(dout, x))
    dense.__name__ = f"dense {n}"
    call(dense)
@call
def drop():
    for n in (1, 137):
        kept = dropout_mask((n, 1001), 0.5, 7)
        yield from (kept, dropout(normal(n, 1001), kept, 0.5))
@call
def cross_entropy():
    for n, classes in [(1, 10), (8, 1000), (128, 1000), (4096, 1000)]:
        yield from softmax_cross_entropy(3 * normal(n, classes), np.arange(n) % classes)
@call
def squares():
    for dtype in (np.float32, np.float64):
        for n in (5, 1001, 100_003):
            yield from l2_loss(normal(n, dtype=dtype))
@call
def momentum():
    for n in (333, 33_333):
        parameter, velocity = normal(3 * n), normal(3, n).reshape(-1)
        momentum_step(parameter, velocity, normal(n, 3).reshape(-1), 0.01, 0.9, 1e-3)
        yield from (parameter, velocity)

found = {}
for name in list(calls)[:: 1 if order == "forward" else -1]:
    bits = hashlib.sha256()
    for array in calls[name]():
        bits.update(np.ascontiguousarray(array).tobytes())
    found[name] = bits.hexdigest()[:16]
for name in sorted(found):
    print(name, found[name])
for kernel in kernels:
    module, name = kernel.split(":")
    found = vars(getattr(importlib.import_module(module), name))
    codes = [found[key] for key in ("compiled", "alone") if key in found]
    for code in codes:
        if not code.stats.cache_hits:  # of code from the cache Numba has no text
            text = "".join(code.inspect_asm().values())
            functions = [one.compiled.py_func for _, one in NAMED if one.symbol("") in text]
            # And what these call by a name themselves.
            inside = [one.compiled.py_func for function in functions for one in names_in(function)]
            called = {function.__name__ for function in (*functions, *inside)}
            assert called == {one.compiled.py_func.__name__ for one in names_in(code.py_func)}, (kernel, called)
    print(kernel, "has run" if all(code.signatures for code in codes) else "is not called")
"""


def parallel_kernels():
    """``module:function`` of every kernel of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and {"parallel", "streaming"}.intersection(
                map(ast.unparse, node.decorator_list)
            ):
                found.append(f"{module}:{node.name}")
    return found


def output(cache, *arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments), *parallel_kernels()],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_every_kernel_has_the_same_bits_whatever_happened_before(tmp_path):
    compiled = output(tmp_path, "forward", 0)
    assert len(parallel_kernels()) > 20
    assert compiled.count(" has run\n") == len(parallel_kernels()), compiled
    assert list(tmp_path.rglob("*.nbc"))
    assert output(tmp_path, "forward", 0) == compiled
    assert output(tmp_path, "backward", 4 * 3) == compiled
    assert output(tmp_path, "forward", 1) == compiled


def test_small_calls_have_the_same_bits():
    """All kernels with a parallel loop, and those that do little with a byte all without one."""
    order = "forward", "0"
    found = {
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"import tinyalexnet.devices.cpu.threads as t; t.SMALL_BYTES = {n}\n{SCRIPT}",
                *order,
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (0, 1 << 16, 1 << 40)
    }
    assert len(found) == 1
