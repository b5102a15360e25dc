"""Every variant at several batch sizes, in both passes, against other frameworks: a table that can be made again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TextIO

from .. import interrupts
from ..alexnet import alexnet
from ..command import INTERRUPTED
from ..console import Console
from ..devices import device
from . import cells, plots
from .cells import Cell
from .main import labels_of, workload
from .memory import memory_estimate
from .options import Matrix, Options, check_matrix, checked_shape, checked_threads
from .record import Record
from .report import head
from .timing import compile_quietly
from .versus import Peer, compare_results, time_in_turn

Next = Callable[[str], object]
"""Says that a step is done, and what comes next."""


def run(options: Options, matrix: Matrix, out: TextIO, say: Console) -> int:
    """Measures the cells, prints each when it is there, and returns the exit code, as ``main.run``.

    After Ctrl-C the cells that are finished are there, in the file too, and ``Matrix.resume`` goes on from it.

    Errors
        As ``main.run``; ValueError if some options do not go together, and as ``Record``.
    """
    wanted = check_matrix(options, matrix)
    threads, hardware = checked_threads(options), device(options.backend)
    record = Record(options, threads, matrix.resume)
    progress = _Progress(say, [place for place in wanted if place not in record.cells])
    interrupted = False
    say.line(head(options, threads))
    print(cells.header([choice.name for choice in options.versus]), file=out, flush=True)
    try:
        with hardware.limit_threads(threads), progress.shown():
            for variant, batch_size in wanted:
                if (variant, batch_size) not in record.cells:
                    one = replace(options, variant=variant, batch_size=batch_size)
                    with progress.cell(variant, batch_size, _steps(one)) as following:
                        _measure(one, threads, record, say, following)
                print("\n".join(_rows(record, variant, batch_size)), file=out, flush=True)
    except KeyboardInterrupt:
        interrupted = True
        interrupts.caught()
    found = [record.cells[place] for place in wanted if place in record.cells]
    for line in cells.summary(found):
        print(line, file=out, flush=True)
    if options.json is not None and (record.cells or record.left_out):
        say.wrote(options.json)
        if interrupted:
            say.line("the same command with --resume measures the cells that are not in it")
    if options.plot is not None and found and not interrupted:
        with say.waiting("drawing"):
            plots.matrix(found, f"{hardware.processor(threads)}, medians of {options.rounds} rounds", options.plot)
        say.wrote(options.plot)
    return INTERRUPTED if interrupted else 0


def _rows(record: Record, variant: str, batch_size: int) -> list[str]:
    place = variant, batch_size
    if place in record.cells:
        return record.cells[place].lines()
    return [cells.row_without(*place, record.left_out[place])]


def _steps(options: Options) -> int:
    """How often ``_measure`` says that something is done."""
    return 2 + len(options.versus) + options.rounds * len(options.passes)


def _measure(options: Options, threads: int, record: Record, say: Console, following: Next) -> None:
    """Measures one cell and adds it to the record, or leaves it out if there is not enough memory."""
    place, hardware = (options.variant, options.batch_size), device(options.backend)
    hardware.release_memory()
    following("preparing the network and the images")
    x_shape = checked_shape(options)
    net = alexnet(
        options.variant, options.backend, options.seed, algorithm=options.algorithm, precision=options.precision
    )
    estimate = memory_estimate(net, x_shape, options.backend, options.backward) * (1 + len(options.versus))
    available = hardware.free_memory()
    if available is not None and estimate > available:
        reason = f"needs about {estimate / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB is available"
        record.leave_out(*place, reason)
        return
    labels = labels_of(options, net.output_shape(x_shape))
    work = workload(options, net, x_shape, labels, say)
    with ExitStack() as stack:
        peers = []
        for choice in options.versus:
            following(f"starting {choice.name}")
            peers.append(stack.enter_context(Peer(choice, threads, net, work.images, labels)))
            record.check_version(choice.name, peers[-1].version)
        following("loading or compiling kernels")
        compile_quietly(work, options.passes)
        seconds, comparisons = time_in_turn(peers, work, options.passes, options.rounds, lambda: following("measuring"))
        compare_results(peers, work, comparisons)
    versus = {choice.name: one for choice, one in zip(options.versus, comparisons, strict=True)}
    record.add(Cell(*place, datetime.now().isoformat(timespec="seconds"), seconds, versus))


class _Progress:
    """What is said while cells are measured: a bar for each on a terminal, else a line now and then."""

    def __init__(self, say: Console, places: list[tuple[str, int]]) -> None:
        self._say, self._total = say, len(places)
        self._has_bars = bool(places) and say.shows_bars
        self._seconds: list[float] = []
        self._text = "beginning"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Says something now and then, less and less often, if there is no bar."""
        with ExitStack() as stack:
            if not self._has_bars:
                stack.enter_context(self._say.waiting(lambda: self._text))
            yield

    @contextmanager
    def cell(self, variant: str, batch_size: int, steps: int) -> Iterator[Next]:
        """The function that tells of the steps of a cell."""
        begin = time.monotonic()
        name = f"cell {len(self._seconds) + 1} of {self._total}, {variant}, batch {batch_size}{self._left()}"
        self._text = name

        done = itertools.count()

        def following(what: str) -> None:
            interrupts.check()
            self._text = f"{name}: {next(done)} of {steps}, {what}"

        if self._has_bars:
            with self._say.bar(name, steps) as (advance, _):
                yield advance
        else:
            yield following
        self._seconds.append(time.monotonic() - begin)

    def _left(self) -> str:
        """The time of the cells that are left, if each takes as long as those before on average."""
        if not self._seconds:
            return ""
        done = len(self._seconds)
        minutes = round(sum(self._seconds) / done * (self._total - done) / 60)
        return (
            f", about {f'{minutes // 60} h ' * (minutes >= 60)}{minutes % 60} min left" if minutes else ", nearly done"
        )
