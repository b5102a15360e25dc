"""python docs/tasks.py [VARIANT [BATCH [THREADS ...]]]: how evenly a step's tasks are divided among many threads.
python docs/tasks.py all [THREADS]                    the whole step of every network at four batch sizes

Counted from the plans of the kernels, not measured; few windows are cut for each number of threads. For forward, loss
and backward of VARIANT ("tf2015") with BATCH images (128), a row for each stage: its loops and the tasks of one, its
part of the whole load, and for each number of threads (2 4 8 16 32 64) the evenness, which is the mean load of a
thread divided by the largest. Its inverse, divided by the threads, is the part of the thread that has most. Stages
below 0.5 % of the load share a row, and the work of one thread has another. Behind the whole step comes the update,
which only training has. ``task_loops.py`` says what a load is.
"""

from __future__ import annotations

import sys

from task_counts import step, updates
from task_loops import Loop, evenness

from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.benchmark.options import BATCHES

THREADS = (2, 4, 8, 16, 32, 64)

SMALL = 0.005
"""Stages with a smaller part of the whole load share a row."""


def stages(loops: list[Loop]) -> dict[str, list[Loop]]:
    """The loops by stage, in the order in which they run."""
    found: dict[str, list[Loop]] = {}
    for loop in loops:
        found.setdefault(loop.stage, []).append(loop)
    return found


def rows(loops: list[Loop]) -> dict[str, list[Loop]]:
    """The loops by row of the table."""
    whole, small, single, found = sum(loop.total for loop in loops), [], [], {}
    for name, some in stages(loops).items():
        if not some[0].kernel:
            single += some
        elif sum(loop.total for loop in some) < SMALL * whole:
            small += some
        else:
            found[name] = some
    others = {f"{len(stages(small))} smaller stages": small, "one thread alone": single}
    return found | {name: some for name, some in others.items() if some} | {"the whole step": loops}


def table(variant: str, batch: int, threads: tuple[int, ...]) -> list[str]:
    """The lines of the table, in Markdown."""
    cut = {count: rows(step(variant, batch, count)) for count in threads}
    of_update = updates(variant)
    found = cut[threads[0]]
    whole = sum(loop.total for loop in found["the whole step"])
    lines = [f"| {variant}, batch {batch} | loops x tasks | load | {' | '.join(map(str, threads))} |"]
    lines.append("|---|" + "---|" * (2 + len(threads)))
    for name, some in {**found, "the update, of training alone": of_update}.items():
        counts = [loop.tasks for loop in some]
        tasks = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        load = sum(loop.total for loop in some) / whole
        cells = " | ".join(f"{evenness(cut[count].get(name, of_update), count):.0%}" for count in threads)
        lines.append(f"| {name} | {len(counts)} x {tasks} | {load:.1%} | {cells} |")
    return lines


def of_all(threads: int) -> list[str]:
    """The lines of a table of all networks: the evenness of a whole step."""
    lines = [
        f"| {threads} threads | {' | '.join(f'batch {size}' for size in BATCHES)} |",
        "|---|" + "---|" * len(BATCHES),
    ]
    for variant in VARIANTS:
        cells = " | ".join(f"{evenness(step(variant, size, threads), threads):.0%}" for size in BATCHES)
        lines.append(f"| {variant} | {cells} |")
    return lines


def main(variant: str = "tf2015", batch: str = "128", *threads: str) -> None:
    print("\n".join(table(variant, int(batch), tuple(map(int, threads)) or THREADS)))


if __name__ == "__main__":
    given = sys.argv[1:]
    is_all = given[:1] == ["all"] and len(given) <= 2
    are_numbers = all(word.isdecimal() and int(word) > 0 for word in given[1:])
    if (given and given[0] not in VARIANTS and not is_all) or not are_numbers:
        sys.exit(__doc__)
    if is_all:
        print("\n".join(of_all(*map(int, given[1:] or [16]))))
    else:
        main(*given)
