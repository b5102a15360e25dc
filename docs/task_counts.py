"""How many tasks each parallel loop of a step has on a CPU, and how much each of them does: for docs/tasks.py.

The numbers come from the plans and constants that the kernels use; ``task_loops.py`` says what a load is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from convolution_tasks import Both, conv
from task_loops import FLOAT, Loop, Shape, pieces_of, slices_of

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.layers import Layer
from tinyalexnet.network import Sequential
from tinyalexnet.ops.dense import cpu as dense
from tinyalexnet.ops.dense.choice import has_many
from tinyalexnet.ops.dense.cpu_panels import PANEL
from tinyalexnet.ops.dropout import cpu as dropout
from tinyalexnet.ops.l2_loss import cpu as l2_loss
from tinyalexnet.ops.maxpool import argmax_dtype
from tinyalexnet.ops.momentum import cpu as momentum


def network(variant: str) -> Sequential:
    """The network with weights of 0, which need no time to be drawn."""
    return alexnet(replace(VARIANTS[variant], weight_std=0.0))


def updates(variant: str) -> list[Loop]:
    """The loop of SGD, which has all parameters."""
    return [update(sum(value.size for value in network(variant).params.values()))]


def step(variant: str, batch: int, threads: int) -> list[Loop]:
    """The loops of forward, loss and backward, in the order in which they run; some are cut for the threads."""
    net = network(variant)
    forward: list[Loop] = []
    backward: list[list[Loop]] = []
    shape: tuple[int, ...] = (batch, *VARIANTS[variant].image_shape)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        cut_for = (threads,) if layer.kind == "conv" else ()
        there, back = LAYERS[layer.kind](layer, x_shape, shape, *cut_for)
        forward += (replace(loop, stage=f"{name} {loop.stage}".strip()) for loop in there)
        backward.append([replace(loop, stage=f"{name} {loop.stage}".strip()) for loop in back])
    classifies = VARIANTS[variant].num_classes is not None
    loss = cross_entropy(*shape) if classifies else squares(math.prod(shape))
    return [*forward, *loss, *(loop for back in reversed(backward) for loop in back)]


def full(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    """Dense: each slice of the inputs reads or writes its rows of w once. Of many vectors dw has copies of dout."""
    (n, inputs), outputs = x_shape, shape[1]
    rows = slices_of(inputs, min(dense.SLICES, inputs))

    def loop(kernel: str, stage: str) -> Loop:
        return Loop(kernel, rows.size, n * outputs * rows, FLOAT * outputs * rows, stage)

    sums = Loop("_forward", n, bytes=FLOAT * (rows.size + 1) * outputs, stage="forward sums")
    db = Loop("", 1, bytes=FLOAT * n * outputs, stage="db")
    copies = 2 * FLOAT * n * pieces_of(outputs, PANEL)
    panels = [Loop("_backward_params", copies.size, bytes=copies, stage="dw panels")]
    return [loop("_forward", "forward"), sums], [
        *(panels if has_many("dw", n, inputs * outputs) else []),
        loop("_backward_params", "dw"),
        db,
        *([loop("_backward_input", "dx")] if layer.needs_dx else []),
    ]


def pool(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    """Each row of x is read once, and shared by the windows that it is in."""
    window = layer.window
    (n, height, width, channels), (_, out_h, out_w, _) = x_shape, shape
    x_row = FLOAT * width * channels
    out_row = (FLOAT + argmax_dtype(window).itemsize) * out_w * channels
    kernel, stride = window.kernel[0], window.stride[0]
    top = stride * np.arange(out_h) - window.before((height, width))[0]
    inside = np.minimum(top + kernel, height) - np.maximum(top, 0)
    reads = inside * stride / kernel * x_row + out_row
    rows = np.arange(height)[:, None]
    reached = np.count_nonzero((top <= rows) & (rows < top + kernel), axis=1)
    return [Loop("_forward", n * out_h, bytes=np.tile(reads, n), stage="forward")], [
        Loop("_backward", n * height, bytes=np.tile(x_row + reached * out_row, n), stage="dx")
    ]


def elementwise(size: int, forward: int, backward: int) -> Both:
    """A task for each element, with so many bytes in each pass."""
    there, back = (
        Loop(name, size, bytes=float(count)) for name, count in (("_forward", forward), ("_backward", backward))
    )
    return [replace(there, stage="forward")], [replace(back, stage="dx")]


def relu(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    return elementwise(math.prod(shape), 2 * FLOAT, 3 * FLOAT)


def lrn(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    rows, elements = shape[0] * shape[1], shape[2] * shape[3]
    return [Loop("_forward", rows, bytes=3.0 * FLOAT * elements, stage="forward")], [
        Loop("_backward", rows, bytes=4.0 * FLOAT * elements, stage="dx")
    ]


def drop(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    size = math.prod(shape)
    mask = Loop("_draw", dropout.SLICES, bytes=slices_of(size, dropout.SLICES), stage="mask")
    (apply,), (back,) = elementwise(size, 2 * FLOAT + 1, 2 * FLOAT + 1)
    return [mask, replace(apply, kernel="_apply")], [replace(back, kernel="_apply")]


def flatten(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    return [], []


def cross_entropy(n: int, classes: int) -> list[Loop]:
    return [
        Loop("_rows", n, bytes=2.0 * FLOAT * classes, stage="loss"),
        Loop("", 1, bytes=2.0 * FLOAT * n, stage="sum of the loss"),
    ]


def squares(size: int) -> list[Loop]:
    slices = slices_of(size, l2_loss.SLICES)
    return [
        Loop("_squares", slices.size, bytes=2 * FLOAT * slices, stage="loss"),
        Loop("", 1, bytes=2.0 * FLOAT * l2_loss.SLICES * l2_loss.LANES, stage="sum of the loss"),
    ]


def update(size: int) -> Loop:
    """The update of so many elements."""
    return Loop("_step", momentum.SLICES, bytes=5 * FLOAT * slices_of(size, momentum.SLICES))


LAYERS = {"conv": conv, "pool": pool, "relu": relu, "lrn": lrn, "dense": full, "dropout": drop, "flatten": flatten}
