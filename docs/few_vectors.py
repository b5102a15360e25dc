"""python docs/few_vectors.py: dense layers with copies in panels, and as few vectors are computed, without a copy.

Each pass of three layers of the variants, float32, for batches of 1 to 128 vectors: milliseconds with panels, and how
many times as long it takes without, medians and quartiles of rounds in turn. For docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from tinyalexnet.ops.dense import choice
from tinyalexnet.ops.dense import cpu as dense

LAYERS = {"mnist fc3": (3136, 1024), "fc6": (9216, 4096), "fc8": (4096, 1000)}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS = 15


def milliseconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - begin)


def both(run: Callable[[], object]) -> tuple[float, float]:
    """With panels, and without, whatever the number of vectors."""
    many, times = choice.MANY, []
    for least in (1, sys.maxsize):
        choice.MANY = dict.fromkeys(many, least)
        times.append(milliseconds(run))
    choice.MANY = many
    return times[0], times[1]


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
                low, middle, high = statistics.quantiles([without / panels for panels, without in times], n=4)
                panels = statistics.median(panels for panels, _ in times)
                cells.append(f"{of} {panels:7.2f} ms, {middle:.2f} ({low:.2f} to {high:.2f})")
            print(f"{name:<10} {n:>3} vectors: {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
