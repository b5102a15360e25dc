"""A lower bound for the time of a step on an H100, from the instructions of the compiled kernels.

python tests/gpu/estimate.py [--batch_size N] [--algorithm gemm]     needs pip install 'tinyalexnet[cuda12]', no GPU

The emulator runs some blocks of every launch, at the sizes of the batch; they stand for the others. This is no
measurement. A kernel cannot be faster than its warps issue instructions, nor than its arrays pass through memory once,
but it may well be slower.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field

import emulator
import numpy as np
from interpreter import WARP

MULTIPROCESSORS, CLOCK, ISSUED = 132, 1.98e9, 4
"""Of an H100 (SXM); ISSUED is the number of instructions that a multiprocessor issues in a clock."""

MATRIX_PRODUCT, TURNS = "mma", 6.9
"""The instruction of tensor cores, and how many others a multiprocessor could issue in its time: an H100 was measured
to reach 310 TFLOP/s with nothing else."""

BANDWIDTH = 3.35e12
"""Bytes per second that its memory reads and writes."""

FREE = ("ld.param", "cvta", "mov")
"""Instructions of PTX that become none of the machine's, as a rule: constants and names."""

ARITHMETIC = ("fma", "add.f", "sub.f", "mul.f")
"""Instructions that compute with floats."""

BLOCKS = 3
"""Blocks of each launch that run."""


@dataclass
class Row:
    """A layer's pass: launches, warps' instructions, those of them that are arithmetic, bytes of arrays, seconds.

    A matrix product of tensor cores counts as the TURNS instructions that take as long.
    """

    launches: int = 0
    instructions: float = 0.0
    arithmetic: float = 0.0
    array_bytes: float = 0.0
    kernels: dict[str, float] = field(default_factory=dict)

    def add(self, launch: emulator.Counted) -> None:
        share = launch.blocks / launch.ran
        counted = launch.counts.instructions
        products = TURNS * sum(count for name, count in counted.items() if name.startswith(MATRIX_PRODUCT))
        others = (*FREE, MATRIX_PRODUCT)
        issued = share * (products + sum(count for name, count in counted.items() if not name.startswith(others)))
        self.launches += 1
        self.instructions += issued
        floats = sum(count for name, count in counted.items() if name.startswith(ARITHMETIC))
        self.arithmetic += share * (products + floats)
        self.array_bytes += launch.array_bytes
        seconds = max(issued / (MULTIPROCESSORS * ISSUED * CLOCK), launch.array_bytes / BANDWIDTH)
        self.kernels[launch.kernel] = self.kernels.get(launch.kernel, 0.0) + seconds

    @property
    def seconds(self) -> float:
        return sum(self.kernels.values())


def rows(batch_size: int, algorithm: str) -> list[tuple[str, str, Row]]:
    """(layer, pass, row) in the order of a step."""
    from tinyalexnet import alexnet, to_device
    from tinyalexnet.alexnet import VARIANTS

    net = alexnet("tf2015", backend="cuda", algorithm=algorithm)
    found: list[tuple[str, str, Row]] = []

    def add(launch: emulator.Counted) -> None:
        found[-1][2].add(launch)

    emulator.state.on_launch = add
    emulator.state.block_limit = BLOCKS
    try:
        x = to_device(np.ones((batch_size, *VARIANTS["tf2015"].image_shape), np.float32))
        for name, layer in net:
            found.append((name, "forward", Row()))
            x = layer.forward(x)
        dout = x
        for name, layer in reversed(list(net)):
            found.append((name, "backward", Row()))
            dout = layer.backward(dout)
    finally:
        emulator.state.on_launch = emulator.state.block_limit = None
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--algorithm", choices=("auto", "gemm"), default="auto")
    options = parser.parse_args(arguments)
    try:
        emulator.install()
    except ImportError as error:
        parser.error(str(error))
    found = rows(options.batch_size, options.algorithm)
    print(f"{'':9}{'':10}{'launches':>9}{'instructions':>14}{'arithmetic':>12}{'bytes':>9}{'ms':>8}")
    for name, what, row in found:
        numbers = f"{row.launches:>9}{row.instructions * WARP / 1e9:>13.2f}G{row.arithmetic / row.instructions:>12.0%}"
        print(f"{name:9}{what:10}{numbers}{row.array_bytes / 1e6:>8.0f}M{1e3 * row.seconds:>8.3f}")
    for name, rows_of in (("forward", found[: len(found) // 2]), ("forward-backward", found)):
        seconds, launches = sum(row.seconds for *_, row in rows_of), sum(row.launches for *_, row in rows_of)
        print(f"{name}: at least {1e3 * seconds:.2f} ms, in {launches} launches")
    return 0


if __name__ == "__main__":
    sys.exit(main())
