"""python docs/few_vectors.py: dense layers with copies in panels, and as few vectors are computed, without a copy.

Each pass of three layers of the variants, float32, for batches of 1 to 128 vectors: milliseconds with panels, and how
many times as long it takes without, medians and quartiles of rounds in turn. Then the pass as the number of vectors
chooses it, as a share of the speed of a loop of all threads that only reads the weights (for dw: writes as much), in
the same rounds. For docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numba import njit, prange

from tinyalexnet.devices import machine
from tinyalexnet.ops.dense import choice
from tinyalexnet.ops.dense import cpu as dense

LAYERS = {"mnist fc3": (3136, 1024), "fc6": (9216, 4096), "fc8": (4096, 1000)}
BATCHES = (1, 2, 4, 8, 16, 32, 48, 64, 128)
ROUNDS = 15
PIECES = 64


@njit(parallel=True, fastmath=True)  # fastmath: a sum in any order, which a processor makes as fast as it reads
def read(w: np.ndarray, sums: np.ndarray) -> None:
    size = w.size // PIECES
    for piece in prange(PIECES):
        sums[piece] = w[piece * size : (piece + 1) * size].sum()


@njit(parallel=True)
def write(w: np.ndarray) -> None:
    size = w.size // PIECES
    for piece in prange(PIECES):
        w[piece * size : (piece + 1) * size] = 1


def milliseconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - begin)


def each(run: Callable[[], object], plain: Callable[[], object]) -> tuple[float, ...]:
    """With panels and without, whatever the number of vectors; as it is chosen; and the plain loop."""
    many, times = choice.MANY, []
    for least in (1, sys.maxsize):
        choice.MANY = dict.fromkeys(many, least)
        times.append(milliseconds(run))
    choice.MANY = many
    return *times, milliseconds(run), milliseconds(plain)


def main() -> None:
    rng, sums = np.random.default_rng(0), np.zeros(PIECES, np.float32)
    print(f"{machine.cpu_name()}, {ROUNDS} rounds")
    for name, (inputs, outputs) in LAYERS.items():
        w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((inputs, outputs), (outputs,)))
        dw = np.zeros(w.size, np.float32)
        for n in BATCHES:
            x, dout = (rng.standard_normal((n, size), dtype=np.float32) for size in (inputs, outputs))
            passes: dict[str, Callable[[], object]] = {
                "forward": lambda x=x, w=w, b=b: dense.dense_forward(x, w, b),  # type: ignore[misc]
                "dx": lambda dout=dout, w=w: dense.dense_backward_input(dout, w),  # type: ignore[misc]
                "dw": lambda dout=dout, x=x: dense.dense_backward_params(dout, x),  # type: ignore[misc]
            }
            cells = []
            for of, run in passes.items():
                plain = partial(write, dw) if of == "dw" else partial(read, w.reshape(-1), sums)
                each(run, plain)  # compiles
                times = [each(run, plain) for _ in range(ROUNDS)]
                low, middle, high = statistics.quantiles([without / panels for panels, without, *_ in times], n=4)
                share = statistics.median(least / chosen for *_, chosen, least in times)
                panels, _, chosen, _ = map(statistics.median, zip(*times, strict=True))
                ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
                cells.append(f"{of} {panels:7.2f} ms, {ratio}, chosen {chosen:.2f} ms, {share:.0%}")
            print(f"{name:<10} {n:>3} vectors: {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(__doc__)
    main()
