"""python -m tinyalexnet warm: compiles the kernels of the networks ahead, for a classroom or a container.

Numba compiles a kernel when it is called first, and keeps it on disk. After this command a first benchmark or training
has nothing to compile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .alexnet import VARIANTS, alexnet
from .command import Parser
from .console import Console
from .devices import device
from .losses import softmax_cross_entropy
from .ops.l2_loss import l2_loss
from .training.optimizer import SGD

BATCHES = (1, 8, 32, 128)
"""The size of a batch decides which kernels run: these are all that the variants call."""


def add_flags(parser: Parser) -> None:
    """The flags of the command."""
    parser.flag(
        "variants", "networks to compile for (all)", nargs="+", choices=list(VARIANTS), default=None, metavar="VARIANT"
    )
    parser.flag("quiet", "nothing on standard error but errors", action="store_true")


def warm(variants: Sequence[str] | None, console: Console) -> int:
    """Compiles what training and the benchmark of the variants, or of all, call; returns the exit code.

    Errors
        ValueError if the compiler is off, or there is no folder for what it makes.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise ValueError("NUMBA_DISABLE_JIT is set, but must not be: nothing is compiled then")
    from .devices.cpu.compiler import keeps_code  # which imports Numba

    if not keeps_code():
        folder = os.environ.get("NUMBA_CACHE_DIR")
        raise ValueError(f"NUMBA_CACHE_DIR is {folder!r}, but must be a folder that can be written to")
    begin = time.perf_counter()
    names = console.compile_ahead(device("cpu"), lambda: _take_steps(list(variants or VARIANTS)), least=1)
    console.line(f"{len(names)} kernels compiled in {time.perf_counter() - begin:.1f} s; the others were there already")
    return 0


def _take_steps(variants: list[str]) -> None:
    """A training step of each network at each size of a batch, and a forward as in a test."""
    for variant in variants:
        table = replace(VARIANTS[variant], weight_std=0)  # to draw 60 million weights takes seconds
        net = alexnet(table)
        step = net.captured(l2_loss if table.num_classes is None else softmax_cross_entropy, SGD(net.params))
        for batch in BATCHES:
            x = np.zeros((batch, *table.image_shape), np.float32)
            labels = () if table.num_classes is None else (np.zeros(batch, np.intp),)
            step(x, *labels)
        net.train = False
        net.forward(x)
