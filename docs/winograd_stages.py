"""The stages of the fused Winograd forward, each by itself, on the convolutions of "tf2015".

python docs/winograd_stages.py [BATCH_SIZE]     milliseconds a batch of 128, or of BATCH_SIZE
"""

from __future__ import annotations

import statistics
import sys

import numba
import numpy as np

from tinyalexnet import Conv2d, alexnet, machine
from tinyalexnet.breakdown import seconds_of
from tinyalexnet.kernels.algorithm import FILTER_BLOCK, winograd_tile
from tinyalexnet.kernels.cpu import winograd
from tinyalexnet.kernels.cpu.runtime import FASTMATH, most_threads, one_blas_thread
from tinyalexnet.kernels.reference.winograd import filters_to_blocks

ROUNDS = 9


def convolve(transform, multiply, restore):
    """``winograd._convolve_fused`` with some of its stages only."""

    @numba.njit(parallel=True, fastmath=set(FASTMATH), error_model="numpy")
    def run(src, to_points, u, b, to_pixels, grid, scratch, dst):
        points, blocks, depth, _ = u.shape
        for task in numba.prange((grid.strips + grid.strips_a_chunk - 1) // grid.strips_a_chunk):
            begin = np.intp(task) * grid.strips_a_chunk
            end = min(begin + grid.strips_a_chunk, grid.strips)
            tiles = (end - begin) * grid.tiles_w
            own = scratch[numba.get_thread_id()]
            v = own[: points * tiles * depth].reshape(points, tiles, depth)
            m = own[v.size : v.size + points * tiles * b.size].reshape(points, blocks, tiles, FILTER_BLOCK)
            if transform:
                for index in range(begin, end):
                    winograd._transform_strip(
                        src, begin, index, 0, depth, to_points, grid, v.reshape(-1), 0, tiles * depth
                    )
            if multiply:
                for p in range(points):
                    for block in range(blocks):
                        winograd._multiply(v, u, b, grid, begin, p, block, m)
            if restore:
                for index in range(begin, end):
                    winograd._restore_strip(m, begin, index, to_pixels, grid, dst)

    return run


STAGES = {
    "transform": convolve(True, False, False),
    "products": convolve(False, True, False),
    "back": convolve(False, False, True),
    "all three": convolve(True, True, True),
}


def milliseconds(call):
    call()
    return 1e3 * statistics.median(seconds_of(call) for _ in range(ROUNDS))


def main(batch_size):
    print(f"{machine.cpu_name()}, {most_threads()} threads, batch {batch_size}")
    print(f"{'':6}{'filters':>10}" + "".join(f"{name:>11}" for name in STAGES) + f"{'GFLOP/s of products':>21}")
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
        grid = winograd._grid(tile, batch_size, shape[1:3], depth, blocks)
        fit = winograd._strips_in(winograd.TASK_BYTES, tile, grid.tiles_w, depth, blocks)
        grid = grid._replace(strips_a_chunk=max(1, min(fit, grid.strips_a_chunk, grid.strips // winograd.LEAST_TASKS)))
        numbers = grid.strips_a_chunk * grid.tiles_w * points * (depth + blocks * FILTER_BLOCK)
        x, out = (np.random.default_rng(0).standard_normal(s, dtype=np.float32) for s in (x_shape, shape))
        arguments = (
            winograd._images(x, winograd._before(window, x.shape[1:3]), window.stride),
            winograd._sides(tile.bt(x.dtype), tile.smaller.bt(x.dtype)),
            u,
            np.zeros((blocks, FILTER_BLOCK), x.dtype),
            winograd._sides(tile.at(x.dtype), tile.smaller.at(x.dtype)),
            grid,
            np.zeros((most_threads(), numbers), x.dtype),
            winograd._images(out, (0, 0), (1, 1)),
        )
        line = f"{name:6}"
        line += f"{milliseconds(lambda: winograd._transform_filters(blocks_of_w, tile.g(w.dtype), False)):10.1f}"  # noqa: B023
        with one_blas_thread():
            times = {stage: milliseconds(lambda: run(*arguments)) for stage, run in STAGES.items()}  # noqa: B023
        products = batch_size * tile.points_of(shape[1:3]) * depth * blocks * FILTER_BLOCK
        print(line + "".join(f"{value:11.1f}" for value in times.values()), end="")
        print(f"{2e-6 * products / times['products']:21.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 or not all(text.isdecimal() and int(text) for text in sys.argv[1:]):
        sys.exit(__doc__)
    main(int(sys.argv[1]) if sys.argv[1:] else 128)
