"""The first version of the convolution on a GPU, a thread for each output, beside implicit GEMM: docs/gpu.md.

python docs/gpu_first.py [--batch_size N] [--rounds N]     times both on the layers of the benchmark; needs a GPU
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np

from tinyalexnet import alexnet, to_device
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.devices import device
from tinyalexnet.devices.cuda.memory import empty
from tinyalexnet.devices.cuda.runtime import cuda, kernel, launch, unravel
from tinyalexnet.geometry import as_integer
from tinyalexnet.ops import conv2d


def conv2d_forward(x, w, b, window, groups=1):
    """Schedule: one thread for each output, which sums over its window.

    Neighbouring threads have neighbouring filters. They read the same pixels, and adjacent weights (coalesced).
    """
    out = empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    launch(_forward, out.size, x, w, b, window.stride, window.before(x.shape[1:3]), groups, out)
    return out


def conv2d_backward_params(dout, x, window, groups=1):
    """Schedule: one thread for each weight, and one for each bias, which sums over all outputs of the batch."""
    dw = empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    db = empty((dout.shape[3],), x.dtype)
    launch(_backward_weights, dw.size, dout, x, window.stride, window.before(x.shape[1:3]), groups, dw)
    launch(_backward_bias, db.size, dout, db)
    return dw, db


@kernel
def _forward(x, w, b, stride, pad, groups, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, oh, ow, f = unravel(index, out.shape)
    kernel_h, kernel_w, channels, filters = w.shape
    first = f // (filters // groups) * channels
    total = b[f]
    for kh in range(kernel_h):
        h = oh * stride[0] + kh - pad[0]
        if 0 <= h < x.shape[1]:
            for kw in range(kernel_w):
                i = ow * stride[1] + kw - pad[1]
                if 0 <= i < x.shape[2]:
                    for c in range(channels):
                        total += x[n, h, i, first + c] * w[kh, kw, c, f]
    out[n, oh, ow, f] = total


@kernel
def _backward_weights(dout, x, stride, pad, groups, dw):
    index = cuda.grid(1)
    if index >= dw.size:
        return
    kh, kw, c, f = unravel(index, dw.shape)
    channel = f // (dw.shape[3] // groups) * dw.shape[2] + c
    total = dw.dtype.type(0)
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            h = oh * stride[0] + kh - pad[0]
            if 0 <= h < x.shape[1]:
                for ow in range(dout.shape[2]):
                    i = ow * stride[1] + kw - pad[1]
                    if 0 <= i < x.shape[2]:
                        total += x[n, h, i, channel] * dout[n, oh, ow, f]
    dw[kh, kw, c, f] = total


@kernel
def _backward_bias(dout, db):
    f = cuda.grid(1)
    if f >= db.size:
        return
    total = db.dtype.type(0)
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            for ow in range(dout.shape[2]):
                total += dout[n, oh, ow, f]
    db[f] = total


def timed(window, x_shape, filters, rounds):
    """Medians of the seconds of both versions, in turn: of the forward, and of the gradients of the parameters."""
    rng = np.random.default_rng(0)
    shapes = x_shape, (*window.kernel, x_shape[3], filters), (filters,)
    x, w, b = (to_device(rng.standard_normal(shape, np.float32)) for shape in shapes)
    dout = to_device(rng.standard_normal((x_shape[0], *window.output_size(x_shape[1:3]), filters), np.float32))
    gemm = {"algorithm": "gemm", "backend": "cuda"}
    sides = {
        "forward": (lambda: conv2d_forward(x, w, b, window), lambda: conv2d.conv2d_forward(x, w, b, window, **gemm)),
        "dw": (
            lambda: conv2d_backward_params(dout, x, window),
            lambda: conv2d.conv2d_backward_params(dout, x, window, **gemm),
        ),
    }
    gpu = device("cuda")
    found = {}
    for what, both in sides.items():
        for side in both:
            side()  # compiles
        seconds = [[gpu.seconds_of(side) for side in both] for _ in range(rounds)]
        found[what] = [statistics.median(column) for column in zip(*seconds, strict=True)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    try:
        as_integer("batch_size", options.batch_size, 1)
        as_integer("rounds", options.rounds, 1)
        gpu = device("cuda")
    except (ImportError, ValueError) as error:
        print(f"gpu_first: {error}", file=sys.stderr)
        return 2
    print(f"{gpu.processor(1)}, batch {options.batch_size}; milliseconds")
    print(f"{'layer':<8}{'pass':<9}{'a thread each':>14}{'implicit GEMM':>15}")
    net = alexnet("tf2015")
    shape = (options.batch_size, *VARIANTS["tf2015"].image_shape)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        if layer.kind == "conv":
            for what, (first, second) in timed(layer.window, x_shape, shape[3], options.rounds).items():
                print(f"{name:<8}{what:<9}{1e3 * first:>14.3f}{1e3 * second:>15.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
