"""The stages of the fused Winograd forward, each timed alone, on the convolutions of "tf2015".

python docs/winograd_stages.py [BATCH_SIZE]     milliseconds a batch of 128, or of BATCH_SIZE
"""

from __future__ import annotations

import statistics
import sys
import types

import numba
import numpy as np

from tinyalexnet import alexnet
from tinyalexnet.devices import device, machine
from tinyalexnet.devices.cpu.compiler import most_threads
from tinyalexnet.devices.cpu.memory import empty
from tinyalexnet.ops.conv2d.winograd.blocks import filters_to_blocks
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile
from tinyalexnet.ops.conv2d.winograd.cpu import schedules
from tinyalexnet.ops.conv2d.winograd.cpu.filters import filters_to_points
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Filters, Images, Limits, Sizes, image_view, plan_convolution
from tinyalexnet.ops.conv2d.winograd.cpu.sides import of_filters, to_pixels, to_points

ROUNDS = 9


@numba.njit
def nothing(*arguments):
    """Replaces a stage that is left out."""


def without(*stages):
    """``schedules.convolve_fused``, compiled again without these functions."""
    names = {**vars(schedules), **dict.fromkeys(stages, nothing)}
    function = types.FunctionType(schedules.convolve_fused.compiled.py_func.__code__, names)
    return numba.njit(parallel=True, error_model="numpy")(function)


def milliseconds(call):
    call()
    return 1e3 * statistics.median(device("cpu").seconds_of(call) for _ in range(ROUNDS))


def main(batch_size):
    stages = {
        "transform": without("_multiply", "restore_strip"),
        "products": without("transform_strip", "restore_strip"),
        "back": without("transform_strip", "_multiply"),
        "all three": without(),
    }
    print(f"{machine.cpu_name()}, {most_threads()} threads, batch {batch_size}")
    print(f"{'':6}{'filters':>10}" + "".join(f"{name:>11}" for name in stages) + f"{'GFLOP/s of products':>21}")
    net, shape = alexnet(), (batch_size, 227, 227, 3)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        if layer.kind != "conv":
            continue
        w, window = layer.params["w"], layer.window
        tile = choose_tile("winograd", "cpu", x_shape, w.shape[3], window, 1, w.dtype)
        blocks_of_w = filters_to_blocks(w, window.stride)
        depth, filters = blocks_of_w.shape[2], w.shape[3]
        g = of_filters(tile, w.dtype, False)
        # A limit of one row: the fused schedule, whatever the batch.
        sizes = Sizes(tile, batch_size, shape[1:3], depth, filters, 1, w.dtype.itemsize)
        plan = plan_convolution(sizes, Limits(least_rows=1), most_threads())
        blocks = plan.blocks
        u = empty((tile.points, blocks.number, depth, blocks.width), w.dtype)
        tiles = plan.grid.chunk_strips * plan.grid.tiles_w
        scratch = empty((most_threads(), tiles * tile.points * (depth + blocks.filters)), w.dtype)
        x, out = empty(x_shape, w.dtype), empty(shape, w.dtype)
        for array in (scratch, x):
            array[:] = np.random.default_rng(0).standard_normal(array.shape, dtype=w.dtype)
        arguments = (
            image_view(Images(x, window.before(x_shape[1:3]), window.stride), slice(0, x_shape[3])),
            to_points(tile, x.dtype),
            u,
            np.zeros(blocks, x.dtype),
            to_pixels(tile, x.dtype),
            plan.grid,
            scratch,
            image_view(Images(out, (0, 0), (1, 1)), slice(0, shape[3])),
        )
        line = f"{name:6}"
        line += f"{milliseconds(lambda: filters_to_points(Filters(blocks_of_w, False, 1), g, u)):10.1f}"  # noqa: B023
        times = {stage: milliseconds(lambda: run(*arguments)) for stage, run in stages.items()}  # noqa: B023
        products = batch_size * tile.points_of(shape[1:3]) * depth * blocks.filters
        print(line + "".join(f"{value:11.1f}" for value in times.values()), end="")
        print(f"{2e-6 * products / times['products']:21.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 or not all(text.isdecimal() and int(text) for text in sys.argv[1:]):
        sys.exit(__doc__)
    main(int(sys.argv[1]) if sys.argv[1:] else 128)
