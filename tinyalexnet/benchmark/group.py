"""The benchmark on all processes of mpiexec: the same lines, for a batch that they compute together.

Each process computes its shards of the batch. Process 0 prints, and writes the files.
"""

from __future__ import annotations

import io
import math
import platform
from dataclasses import asdict, dataclass, field, replace
from typing import TextIO

import numpy as np

from .. import __version__, interrupts
from ..alexnet import alexnet
from ..command import INTERRUPTED
from ..console import Console
from ..devices import Device, device
from ..network import Sequential
from ..ops.checks import Shape
from ..parallel import Link, check_same, cut, first
from ..parallel.command import fair_share
from . import plots, scaling, shared
from .main import IMAGE_STD, labels_of, photographs, printed_shapes, refuse_too_large
from .memory import FLOAT_BYTES, memory_estimate
from .options import Options, Sharing, check_sharing, checked_shape, checked_threads
from .report import head, report_run, results, write_json
from .shared import Batch, Share, SharedWork
from .timing import TimedRun, compile_kernels, time_steps


@dataclass
class _Group:
    """What a run has on this process, and what it finds."""

    options: Options
    sharing: Sharing
    out: TextIO
    say: Console
    link: Link
    shards: int
    threads: int
    net: Sequential
    batch: Batch
    labelled: bool
    nodes: int
    """The number of machines."""
    runs: list[TimedRun] = field(default_factory=list)
    shares: dict[str, list[Share]] = field(default_factory=dict)
    rows: list[scaling.Row] = field(default_factory=list)

    def work(self, link: Link) -> SharedWork:
        """The steps of a group of processes."""
        return SharedWork(self.net, self.batch, self.labelled, self.shards, link, self.options.backend)

    @property
    def title(self) -> str:
        """What is timed, for a table or a picture."""
        options = self.options
        return f"{options.variant}, batch {options.batch_size} in {self.shards} shards, {self.threads} threads each"


def run(options: Options, sharing: Sharing, out: TextIO, say: Console, link: Link) -> int:
    """Runs the benchmark on all processes of a link, each of which calls this with the same arguments.

    Returns the exit code, as ``main.run``. After Ctrl-C process 0 has the seconds of the finished steps, and nothing of
    the other processes.

    Errors
        As ``main.run``; ValueError if some options do not go together, or differ between the processes.
    """
    check_same(link, version=__version__, options=str((options, sharing)))
    first(link, lambda: _check(options, sharing, link.size))
    sharing = replace(sharing, scaling=sharing.scaling or options.plot is not None)
    if link.rank:
        out, options = io.StringIO(), replace(options, json=None, plot=None)
    with say.waiting("preparing the network and the images"):
        x_shape, shards = checked_shape(options), check_sharing(options, sharing, link.size)
        net = alexnet(
            options.variant, options.backend, options.seed, algorithm=options.algorithm, precision=options.precision
        )
        hardware = device(options.backend)
        share = None if options.threads is not None else fair_share(link, options.backend)
        threads = checked_threads(options) if share is None else share
        rows = _rows(link, options.batch_size, shards, sharing.scaling)
        machine = platform.node()
        machines = link.now(lambda: link.texts(machine))
        estimate = _estimate(net, x_shape, options, shards, rows)
        refuse_too_large(estimate * machines.count(machine), options, hardware)
        labels = labels_of(options, net.output_shape(x_shape))
        batch = _batch(options, x_shape, rows, labels, say)
    group = _Group(
        *(options, sharing, out, say, link, shards, threads, net, batch, labels is not None), nodes=len({*machines})
    )
    with hardware.limit_threads(threads):
        say.line(f"{head(options, threads)} | {link.size} such processes, {shards} shards")
        shapes = printed_shapes(net, x_shape, out)
        interrupted = _timed(group, hardware)
    if options.json is not None:
        found = results(options, threads, {"images": x_shape} | shapes, estimate, group.runs, {}, [], interrupted)
        write_json(options.json, found | {"parallel": _as_json(group)})
        say.wrote(options.json)
    return INTERRUPTED if interrupted else 0


def _check(options: Options, sharing: Sharing, processes: int) -> None:
    check_sharing(options, sharing, processes)
    checked_shape(options)


def _timed(group: _Group, hardware: Device) -> bool:
    """Times all that is asked for; returns if Ctrl-C has ended it."""
    options, say = group.options, group.say
    try:
        work = group.work(group.link)
        compile_kernels(work, options.passes, say)
        for name in options.passes:
            _time_pass(group, work, name)
        if group.sharing.scaling:
            _scale(group)
    except KeyboardInterrupt:
        interrupts.caught()
        if group.runs and 0 < len(group.runs[-1].durations) < options.num_batches:
            report_run(group.runs[-1], options, group.threads, group.out, say)
        return True
    return False


def _time_pass(group: _Group, work: SharedWork, name: str) -> None:
    options, link, say = group.options, group.link, group.say
    run = TimedRun(name)
    group.runs.append(run)
    time_steps(run, work, options.num_batches, group.out, say)
    found = group.shares[name] = shared.shares(link, work.share(run, group.threads))
    # What follows reports that of one process: the mean of all.
    utilisation = math.fsum(one.cpu_utilisation for one in found) / link.size
    run.cpu_seconds = utilisation * math.fsum(run.durations) * group.threads
    if group.nodes > 1:  # the meter is that of one machine
        run.joules = None
    report_run(run, options, group.threads, group.out, say)
    for line in shared.table(name, found):
        say.line(line)


def _scale(group: _Group) -> None:
    """Measures, prints and draws the table of 1, 2, ... processes."""
    options, link, say = group.options, group.link, group.say
    name = options.passes[-1]
    with say.bar("scaling", options.rounds * len(scaling.sizes(link.size))) as (advance, _):
        group.rows = scaling.measure(
            link,
            lambda part: group.work(part).step(name),
            lambda size, rank: shared.expected_bytes(group.net, group.shards, size, rank),
            options.rounds,
            advance,
        )
    if link.rank:
        return
    print("\n".join(scaling.table(group.rows, f"{name} of {group.title}")), file=group.out, flush=True)
    if options.plot is not None:
        with say.waiting("drawing"):
            plots.scaling(group.rows, group.shares[name], group.title, options.plot)
        say.wrote(options.plot)


def _rows(link: Link, batch: int, shards: int, is_scaled: bool) -> slice:
    """The images that this process may have to compute, in any of the groups that it belongs to."""
    shard = cut(batch, shards)
    groups = [size for size in scaling.sizes(link.size) if size > link.rank] if is_scaled else [link.size]
    own = [cut(shards, size)[link.rank] for size in groups]
    return slice(min(shard[run.start].start for run in own), max(shard[run.stop - 1].stop for run in own))


def _estimate(net: Sequential, x_shape: Shape, options: Options, shards: int, rows: slice) -> int:
    """Bytes of this process: those of a step of one shard, its images, and the sums of gradients that wait."""
    largest = -(-x_shape[0] // shards), *x_shape[1:]
    images: int = FLOAT_BYTES * (rows.stop - rows.start) * math.prod(x_shape[1:])
    elements: int = sum(value.size for value in net.params.values())
    sums = FLOAT_BYTES * elements * (shards.bit_length() + 2) * options.backward
    return memory_estimate(net, largest, options.backend, options.backward) + images + sums


def _batch(options: Options, x_shape: Shape, rows: slice, labels: np.ndarray | None, say: Console) -> Batch:
    if options.images is not None:
        images = photographs(options.images, x_shape, say)[rows].copy()
    else:
        images = np.empty((rows.stop - rows.start, *x_shape[1:]), np.float32)
        for n, image in enumerate(images, rows.start):
            # One generator for each image: it is the same, whichever process makes it.
            np.random.default_rng([options.seed, n]).standard_normal(dtype=np.float32, out=image)
        images *= IMAGE_STD
    none = np.zeros(x_shape[0], np.int64)
    return Batch(x_shape[0], rows.start, images, (none if labels is None else labels)[rows])


def _as_json(group: _Group) -> dict[str, object]:
    return {
        "kind": group.sharing.parallel,
        "processes": group.link.size,
        "machines": group.nodes,
        "shards": group.shards,
        "shares": {name: [asdict(one) for one in found] for name, found in group.shares.items()},
        "scaling": scaling.as_json(group.rows),
    }
