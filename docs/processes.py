"""mpiexec -n P python docs/processes.py VARIANT SHARDS [FLAG=VALUE ...]: what P processes gain, for docs/parallel.md.

Steps of ``train`` (data, forward, backward, exchange, update) on random images, batch 128, five on one process and five
on all in turn, each with as many threads as NUMBA_NUM_THREADS says. Prints the milliseconds of a step, the median and
the quartiles of the ratio, and what a process has sent. A FLAG is a setting, as in ``dense=columns blocks=8``. With
``alone=1`` the one process takes whole batches, as without shards; with ``skip=1`` it does nothing. With
``unrelated=1`` nothing is exchanged: each process takes its part of the batch for itself, and their time is that of
the last one. So it is what these processors allow. Then process 0 also takes its part while the others sleep: what they
take longer at the same time is for what processors share, the memory above all.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from dataclasses import fields, replace

import numpy as np
from mpi4py import MPI

from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.parallel import Alone, MPILink
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.data import Dataset, Images

OPTIONS = {"rounds": 12, "alone": 0, "skip": 0, "unrelated": 0}
"""Those that are no settings of a training."""

STEPS = 5
"""Steps of a turn: after some time without work a processor takes longer for the first one."""


def data(variant: str, count: int) -> Dataset:
    """Random images, as many as all steps need: at the end of an epoch the processes compare all their weights."""
    shape = VARIANTS[variant].image_shape
    rng = np.random.default_rng(0)
    classes = tuple(map(str, range(1000 if shape[0] > 200 else 10)))
    pixels, labels = rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, len(classes), count)
    images = Images(pixels, labels, classes)
    return Dataset("random", images, images)


def together() -> None:
    """Waits for all processes, without work for a processor meanwhile, and then leaves at once with all of them."""
    request = MPI.COMM_WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.0005)
    MPI.COMM_WORLD.Barrier()


def turn(training: Training | None) -> float:
    """Seconds of a step; nothing is done without a training. Begins when all processes have ended what they did."""
    together()
    begin = time.perf_counter()
    for _ in range(STEPS if training is not None else 0):
        training.advance()
    return (time.perf_counter() - begin) / STEPS


def main(variant: str, shards: int, flags: dict[str, str]) -> None:
    rounds, alone, skip, unrelated = (int(flags.pop(name, default)) for name, default in OPTIONS.items())
    if rounds < 2:  # one process would end here and the others wait for it
        sys.exit(f"rounds is {rounds}, but must be at least 2, for quartiles")
    kinds = {name: type(getattr(Settings, name)) for name in flags}
    settings = Settings(
        variant,
        shards=shards,
        **{name: kinds[name](int(value) if kinds[name] is bool else value) for name, value in flags.items()},
    )
    link, images = MPILink(), data(variant, settings.batch_size * (STEPS * (rounds + 1) + 1))
    if unrelated and (settings.batch_size % link.size or shards % link.size):
        sys.exit(f"with unrelated=1 {link.size} processes must divide {settings.batch_size} images and {shards} shards")
    own = replace(settings, batch_size=settings.batch_size // link.size, shards=shards // link.size)
    linked, single = Training(own, images, Alone()) if unrelated else Training(settings, images, link), None
    if link.rank == 0 and not skip:
        single = Training(Settings(variant) if alone else settings, images, Alone())
    times: dict[str, list[float]] = {"one": [], "part": [], "all": []}
    waited, sent = 0.0, Counter(link.sent)
    for round_ in range(rounds + 1):  # the first one compiles
        times["one"].append(turn(single))
        times["part"].append(turn(linked if unrelated and link.rank == 0 else None))
        if round_ == 1:
            waited, sent = link.waited, Counter(link.sent)
        times["all"].append(MPI.COMM_WORLD.allreduce(turn(linked), MPI.MAX))
    if link.rank == 0:
        one, part, every = (found[1:] for found in times.values())
        low, middle, high = statistics.quantiles([a / b for a, b in zip(one, every, strict=True)], n=4)
        compared = (
            "" if skip else f", {middle:.2f} times ({low:.2f} to {high:.2f}) one: {1e3 * statistics.median(one):.1f} ms"
        )
        if unrelated:
            compared += f"; one of them while the others sleep {1e3 * statistics.median(part):.1f} ms"
        steps = STEPS * rounds
        megabytes = {name: count / steps / 1e6 for name, count in (link.sent - sent).items() if count > 1e5 * steps}
        print(
            f"{variant}, {shards} shards {flags}: {link.size} {'unrelated ' * unrelated}processes "
            f"{1e3 * statistics.median(every):.1f} ms"
            f"{compared}; waited {1e3 * (link.waited - waited) / steps:.1f} ms a step; sent MB a step "
            f"{ {name: round(size, 3) for name, size in megabytes.items()} }"
        )
    together()
    link.close()


if __name__ == "__main__":
    variant, shards, *words = sys.argv[1:] if len(sys.argv) > 2 else ("", "")
    flags = dict(word.partition("=")[::2] for word in words)
    known = {*OPTIONS, *(field.name for field in fields(Settings))} - {"variant", "shards"}
    if variant not in VARIANTS or not shards.isdecimal() or not set(flags) <= known or not all(flags.values()):
        sys.exit(__doc__)
    try:
        main(variant, int(shards), flags)
    except ValueError as error:  # all have the same one
        sys.exit(str(error))
