"""python docs/panel_products.py: products with a panel beside those of OpenBLAS, on one thread, for docs/tiles.md.

Sizes of Winograd's products in ``tf2015`` and of im2col's in ``cifar``, of matrices in the cache: GFLOP/s, medians of
rounds in turn. For the transposed first factor, which dw has, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from tinyalexnet.devices import machine
from tinyalexnet.devices.cpu.panels import add_panel_product

SIZES = {
    "conv3, forward": (72, 192, 64, False),
    "conv4, forward": (72, 384, 64, False),
    "conv4, one image": (9, 384, 64, False),
    "conv2, dx": (147, 192, 64, False),
    "conv4, dw": (384, 63, 64, True),
    "cifar's conv1": (432, 75, 64, False),
}
"""Rows, products of a sum, columns, and if the first factor is a transpose."""

FACTORS = 4
"""Pairs of factors that are multiplied in turn."""

ROUNDS, FLOP = 11, 1e9


@numba.njit(error_model="numpy")
def with_panels(a, b, out, times):  # type: ignore[no-untyped-def]
    for turn in range(times):
        which = turn % b.shape[0]
        add_panel_product(a[which], b[which], False, out[which])


def with_blas(a, b, out, times):  # type: ignore[no-untyped-def]
    for _ in range(times // len(a)):
        np.matmul(a, b, out=out)  # one call of BLAS for each pair


def gflops(run: Callable[..., object], arrays: tuple[np.ndarray, ...], flop: int) -> float:
    times = FACTORS * max(1, round(FLOP / flop / FACTORS))
    begin = time.perf_counter()
    run(*arrays, times)
    return times * flop / 1e9 / (time.perf_counter() - begin)


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{machine.cpu_name()}, one thread, {', '.join(machine.blas_names())}")
    for name, (rows, depth, columns, transposed) in SIZES.items():
        a = rng.standard_normal((FACTORS, *((depth, rows) if transposed else (rows, depth))), dtype=np.float32)
        a = a.transpose(0, 2, 1) if transposed else a
        b = rng.standard_normal((FACTORS, depth, columns), dtype=np.float32)
        arrays, flop = (a, b, np.empty((FACTORS, rows, columns), np.float32)), 2 * rows * depth * columns
        with threadpool_limits(1, user_api="blas"):
            for run in (with_panels, with_blas):
                run(*arrays, FACTORS)  # compiles
            found = [[gflops(run, arrays, flop) for run in (with_panels, with_blas)] for _ in range(ROUNDS)]
        panels, blas = (statistics.median(speeds) for speeds in zip(*found, strict=True))
        low, middle, high = statistics.quantiles([mine / other for mine, other in found], n=4)
        sizes = f"{rows} x {depth} x {columns}"
        print(f"{name:<18}{sizes:<16}{panels:4.0f} and {blas:4.0f} GFLOP/s: {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
