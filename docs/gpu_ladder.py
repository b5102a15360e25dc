"""The convolution on a GPU, rung by rung, beginning with a thread for each output: docs/gpu.md.

python docs/gpu_ladder.py [--batch_size N] [--rounds N]     times all on the layers of the benchmark; needs a GPU
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np

from tinyalexnet import alexnet, to_device
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.devices import device
from tinyalexnet.devices.cuda import tensor_gemm
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


RUNGS = {
    "a thread each": None,
    "tiles": ("gemm", False),
    "Winograd": ("winograd", False),
    "tensor cores": ("gemm", True),
    "both": ("winograd", True),
}
"""Each with its algorithm, and if it may use tensor cores."""


def sides(window, x_shape, filters, rung):
    """The forward, and the gradients of the parameters, on random arrays; None if the rung has no such convolution."""
    rng = np.random.default_rng(0)
    shapes = x_shape, (*window.kernel, x_shape[3], filters), (filters,)
    x, w, b = (to_device(rng.standard_normal(shape, np.float32)) for shape in shapes)
    dout = to_device(rng.standard_normal((x_shape[0], *window.output_size(x_shape[1:3]), filters), np.float32))
    if RUNGS[rung] is None:
        return {
            "forward": lambda: conv2d_forward(x, w, b, window),
            "dw": lambda: conv2d_backward_params(dout, x, window),
        }
    algorithm, _ = RUNGS[rung]
    if algorithm == "winograd" and window.stride != (1, 1):
        return None
    on = {"algorithm": algorithm, "backend": "cuda"}
    return {
        "forward": lambda: conv2d.conv2d_forward(x, w, b, window, **on),
        "dw": lambda: conv2d.conv2d_backward_params(dout, x, window, **on),
    }


def timed(window, x_shape, filters, rounds):
    """The median milliseconds of each pass, by rung. Launches are captured, so that Python does not count."""
    gpu, found = device("cuda"), {"forward": {}, "dw": {}}
    capability = tensor_gemm.compute_capability
    for rung, how in RUNGS.items():
        tensor_gemm.compute_capability = (lambda: (7, 0)) if how and not how[1] else capability
        for what, step in (sides(window, x_shape, filters, rung) or {}).items():
            replay = gpu.captured(step, lambda: None)
            replay()
            found[what][rung] = 1e3 * statistics.median(gpu.seconds_of(replay) for _ in range(rounds))
    tensor_gemm.compute_capability = capability
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
        print(f"gpu_ladder: {error}", file=sys.stderr)
        return 2
    print(f"{gpu.processor(1)}, batch {options.batch_size}; milliseconds")
    print(f"{'layer':<8}{'pass':<9}" + "".join(f"{rung:>15}" for rung in RUNGS))
    net = alexnet("tf2015")
    shape = (options.batch_size, *VARIANTS["tf2015"].image_shape)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        if layer.kind == "conv":
            for what, by_rung in timed(layer.window, x_shape, shape[3], options.rounds).items():
                times = "".join(f"{by_rung[rung]:>15.3f}" if rung in by_rung else f"{'':>15}" for rung in RUNGS)
                print(f"{name:<8}{what:<9}{times}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
