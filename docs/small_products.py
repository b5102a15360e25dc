"""python docs/small_products.py: dense layers of few vectors, with products as large as a slice and with small ones.

Each pass of three layers of the variants, float32, for batches of 1 to 128 vectors: milliseconds with small products,
and how many times as long large ones take, medians and quartiles of rounds in turn. For docs/performance.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from tinyalexnet.ops.dense import cpu as dense

LAYERS = {"mnist fc3": (3136, 1024), "fc6": (9216, 4096), "fc8": (4096, 1000)}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS = 15
LIMITS = ("MOST_VECTORS", "MOST_GRADIENT")


def milliseconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - begin)


def both(run: Callable[[], object]) -> tuple[float, float]:
    """With small products, and with large ones alone, as for many vectors."""
    small = milliseconds(run)
    limits = {name: getattr(dense, name) for name in LIMITS}
    for name in LIMITS:
        setattr(dense, name, 0)
    large = milliseconds(run)
    for name, limit in limits.items():
        setattr(dense, name, limit)
    return small, large


def main() -> None:
    rng = np.random.default_rng(0)
    for name, (inputs, outputs) in LAYERS.items():
        w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((inputs, outputs), (outputs,)))
        for n in BATCHES:
            x, dout = (rng.standard_normal((n, size), dtype=np.float32) for size in (inputs, outputs))
            passes: dict[str, Callable[[], object]] = {
                "forward": lambda x=x, w=w, b=b: dense.dense_forward(x, w, b),  # type: ignore[misc]
                "dx": lambda dout=dout, w=w: dense.dense_backward_input(dout, w),  # type: ignore[misc]
                "dw": lambda dout=dout, x=x: dense.dense_backward_params(dout, x),  # type: ignore[misc]
            }
            cells = []
            for of, run in passes.items():
                both(run)  # compiles
                times = [both(run) for _ in range(ROUNDS)]
                low, middle, high = statistics.quantiles([large / small for small, large in times], n=4)
                small = statistics.median(small for small, _ in times)
                cells.append(f"{of} {small:7.2f} ms, {middle:.2f} ({low:.2f} to {high:.2f})")
            print(f"{name:<10} {n:>3} vectors: {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
