"""The stages of the fused Winograd forward, each timed alone, on the convolutions of "tf2015".

python docs/winograd_stages.py [BATCH_SIZE]     milliseconds a batch of 128, or of BATCH_SIZE
"""

from __future__ import annotations

import statistics
import sys
import types

import numba
import numpy as np
from tinyalexnet.breakdown import seconds_of
from tinyalexnet.kernels.algorithm import FILTER_BLOCK, winograd_tile
from tinyalexnet.kernels.cpu import winograd
from tinyalexnet.kernels.cpu.runtime import FASTMATH, most_threads, one_blas_thread
from tinyalexnet.kernels.reference.winograd import filters_to_blocks

from tinyalexnet import Conv2d, alexnet, machine

ROUNDS = 9


@numba.njit
def nothing(*arguments):
    """Replaces a stage that is left out."""


def without(*stages):
    """``winograd._convolve_fused``, compiled again without these functions."""
    names = {**vars(winograd), **dict.fromkeys(stages, nothing)}
    function = types.FunctionType(winograd._convolve_fused.py_func.__code__, names)
    return numba.njit(parallel=True, fastmath=set(FASTMATH), error_model="numpy")(function)


def milliseconds(call):
    call()
    return 1e3 * statistics.median(seconds_of(call) for _ in range(ROUNDS))


def main(batch_size):
    stages = {
        "transform": without("_multiply", "_restore_strip"),
        "products": without("_transform_strip", "_restore_strip"),
        "back": without("_transform_strip", "_multiply"),
        "all three": without(),
    }
    print(f"{machine.cpu_name()}, {most_threads()} threads, batch {batch_size}")
    print(f"{'':6}{'filters':>10}" + "".join(f"{name:>11}" for name in stages) + f"{'GFLOP/s of products':>21}")
    net, shape = alexnet(), (batch_size, 227, 227, 3)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        if not isinstance(layer, Conv2d):
            continue
        w, window = layer.params["w"], layer.window
        tile = winograd_tile("winograd", x_shape, w.shape, window, w.dtype)
        blocks_of_w = filters_to_blocks(w, window.stride)
        u = winograd._transform_filters(blocks_of_w, tile.g(w.dtype), exchanged=False)
        points, blocks, depth, _ = u.shape
        grid, chunks = winograd._tasks(tile, winograd._grid(tile, batch_size, shape[1:3], depth, blocks), u)
        numbers = chunks * grid.strips_a_chunk * grid.tiles_w * points * (depth + blocks * FILTER_BLOCK)
        x, out = (np.random.default_rng(0).standard_normal(s, dtype=np.float32) for s in (x_shape, shape))
        arguments = (
            winograd._images(x, slice(0, x_shape[3]), window.before(x_shape[1:3]), window.stride),
            winograd._sides(tile.bt(x.dtype), tile.smaller.bt(x.dtype)),
            u,
            np.zeros((blocks, FILTER_BLOCK), x.dtype),
            winograd._sides(tile.at(x.dtype), tile.smaller.at(x.dtype)),
            grid,
            chunks,
            np.zeros((most_threads(), numbers), x.dtype),
            winograd._images(out, slice(0, shape[3]), (0, 0), (1, 1)),
        )
        line = f"{name:6}"
        line += f"{milliseconds(lambda: winograd._transform_filters(blocks_of_w, tile.g(w.dtype), False)):10.1f}"  # noqa: B023
        with one_blas_thread():
            times = {stage: milliseconds(lambda: run(*arguments)) for stage, run in stages.items()}  # noqa: B023
        products = batch_size * tile.points_of(shape[1:3]) * depth * blocks * FILTER_BLOCK
        print(line + "".join(f"{value:11.1f}" for value in times.values()), end="")
        print(f"{2e-6 * products / times['products']:21.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 or not all(text.isdecimal() and int(text) for text in sys.argv[1:]):
        sys.exit(__doc__)
    main(int(sys.argv[1]) if sys.argv[1:] else 128)
