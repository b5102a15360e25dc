r"""python docs/limits.py [BATCH [VARIANT]]: what other sizes of chunks would cost the convolutions, here.

The convolutions of ``tf2015`` or of another variant, forward, dx and dw, by Winograd's algorithm. For each field of
``Limits`` (``ops/conv2d/winograd/cpu/plan.py``): the time with a quarter, a half, twice and four times its value, over
the time with its value, in turn; the median over the rounds with its quartiles. A ratio below 1 is a value to try on
this machine. To stand in for a processor with AVX2 alone:

    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt NUMBA_CACHE_DIR=FOLDER \
    python docs/limits.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.devices import machine
from tinyalexnet.ops.conv2d.winograd import cpu as winograd
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Limits

FACTORS = (0.25, 0.5, 2, 4)
ROUNDS = 7


def passes(batch: int, variant: str) -> list[Callable[[Limits], object]]:
    """Forward, dx and dw of each convolution, as functions of the limits."""
    rng, net = np.random.default_rng(0), alexnet(variant)
    shape: tuple[int, ...] = (batch, *VARIANTS[variant].image_shape)
    found: list[Callable[[Limits], object]] = []
    for _, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        if layer.kind != "conv":
            continue
        x, dout = (rng.standard_normal(size, dtype=np.float32) for size in (x_shape, shape))
        w, b, window = layer.params["w"], layer.params["b"], layer.window
        tile = choose_tile("winograd", "cpu", x_shape, w.shape[3], window, layer.groups, w.dtype)
        last = window, layer.groups, tile

        def one(limits: Limits, x: Any = x, dout: Any = dout, w: Any = w, b: Any = b, last: Any = last) -> None:
            winograd.conv2d_forward(x, w, b, *last, limits)
            winograd.conv2d_backward_input(dout, w, x.shape, *last, limits)
            winograd.conv2d_backward_params(dout, x, *last, limits)

        found.append(one)
    return found


def seconds(runs: list[Callable[[Limits], object]], limits: Limits) -> float:
    begin = time.perf_counter()
    for run in runs:
        run(limits)
    return time.perf_counter() - begin


def main(batch: int = 128, variant: str = "tf2015") -> None:
    runs, usual = passes(batch, variant), Limits()
    seconds(runs, usual)  # compiles
    print(f"{machine.cpu_name()}, {variant}, batch {batch}, {ROUNDS} rounds")
    for name, value in usual._asdict().items():
        others = {factor: usual._replace(**{name: max(1, round(factor * value))}) for factor in FACTORS}
        for limits in others.values():
            seconds(runs, limits)  # another schedule may run, which compiles
        ratios: dict[float, list[float]] = {factor: [] for factor in FACTORS}
        for _ in range(ROUNDS):
            base = seconds(runs, usual)
            for factor, limits in others.items():
                ratios[factor].append(seconds(runs, limits) / base)
        cells = []
        for factor, values in ratios.items():
            low, middle, high = statistics.quantiles(values, n=4)
            cells.append(f"x{factor:g}: {middle:.2f} ({low:.2f} to {high:.2f})")
        print(f"{name:<14} {value:>9}  {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    size, *names = sys.argv[1:] or ["128"]
    if not size.isdecimal() or not int(size) or len(names) > 1 or not set(names) <= set(VARIANTS):
        sys.exit(__doc__)
    main(int(size), *names)
