"""The benchmark on all processes of mpiexec: the same lines, for a batch that they compute together.

Each process computes its shards of the batch. Process 0 prints, and writes the files.
"""

from __future__ import annotations

import io
import json
import math
import platform
from dataclasses import asdict, dataclass, field, replace
from typing import TextIO

import numpy as np

from .. import __version__, interrupts
from ..alexnet import alexnet
from ..command import INTERRUPTED
from ..console import Console
from ..devices import device
from ..network import Sequential
from ..ops.checks import Shape
from ..parallel import Link, check_same, cut, first
from ..parallel.command import fair_share
from ..parallel.runs import runs_of
from ..parallel.shards import own_rows
from . import plots, scaling, shared
from .main import IMAGE_STD, labels_of, photographs, printed_shapes, refuse_too_large
from .memory import FLOAT_BYTES, memory_estimate
from .options import Options, Sharing, check_sharing, checked_shape, checked_threads
from .report import head, report_run, results, write_json
from .shared import Batch, Share, SharedWork
from .timing import TimedRun, compile_kernels, time_steps


@dataclass
class _Team:
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
    machines: int
    devices: int
    runs: list[TimedRun] = field(default_factory=list)
    shares: dict[str, list[Share]] = field(default_factory=dict)
    rows: list[scaling.Row] = field(default_factory=list)

    def work(self, link: Link) -> SharedWork:
        """The steps of a team of processes."""
        # In columns the weights of a network are cut, and so it is of one team.
        net = self.net if self.sharing.dense == "rows" else _network(self.options)
        made = net, self.batch, self.labelled, self.shards, self.sharing, link, self.options.backend
        return SharedWork(*made, not self.options.no_graph)

    @property
    def title(self) -> str:
        """What is timed, for a table or a picture."""
        options, sharing = self.options, self.sharing
        dense = f", dense columns in {sharing.blocks} blocks" if sharing.dense == "columns" else ""
        dense += f", scheme {sharing.scheme}" if sharing.scheme != "a" else ""
        dense += f", {sharing.groups} groups" if sharing.groups > 1 else ""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{options.variant}, batch {options.batch_size} in {self.shards} shards{dense}, {threads} each"


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
        net = _network(options)
        hardware = device(options.backend)
        share = None if options.threads is not None else fair_share(link, options.backend)
        threads = checked_threads(options) if share is None else share
        rows = _rows(link, options.batch_size, shards, sharing.scaling)
        machine = platform.node(), hardware.place()
        every_machine = [tuple(json.loads(text)) for text in link.now(lambda: link.texts(json.dumps(machine)))]
        scaled = len(scaling.sizes(link.size)) * sharing.scaling
        estimate = _estimate(net, x_shape, options, shards, rows, scaled)
        if sharing.dense == "columns":
            estimate += _columns_estimate(net, scaled)
        refuse_too_large(estimate * every_machine.count(machine), options, hardware)
        labels = labels_of(options, net.output_shape(x_shape))
        batch = _batch(options, x_shape, rows, labels, say)
    own = threads, net, batch, labels is not None, len({node for node, _ in every_machine}), len({*every_machine})
    team = _Team(options, sharing, out, say, link, shards, *own)
    work = team.work(link)
    with hardware.limit_threads(threads):
        such = "1 such process" if link.size == 1 else f"{link.size} such processes"
        say.line(f"{head(options, threads)} | {such}, {shards} shards")
        shapes = printed_shapes(net, x_shape, out)
        interrupted = _timed(team, work)
    if options.json is not None:
        found = results(options, threads, {"images": x_shape} | shapes, estimate, team.runs, {}, [], interrupted)
        write_json(options.json, found | {"parallel": _as_json(team)})
        say.wrote(options.json)
    return INTERRUPTED if interrupted else 0


def _network(options: Options) -> Sequential:
    return alexnet(
        options.variant, options.backend, options.seed, algorithm=options.algorithm, precision=options.precision
    )


def _check(options: Options, sharing: Sharing, processes: int) -> None:
    check_sharing(options, sharing, processes)
    checked_shape(options)


def _timed(team: _Team, work: SharedWork) -> bool:
    """Times all that is asked for; returns if Ctrl-C has ended it."""
    options, say = team.options, team.say
    try:
        compile_kernels(work, options.passes, say)
        for name in options.passes:
            _time_pass(team, work, name)
        if team.sharing.scaling:
            _scale(team)
    except KeyboardInterrupt:
        interrupts.caught()
        if team.runs and 0 < len(team.runs[-1].durations) < options.num_batches:
            report_run(team.runs[-1], options, team.threads, team.out, say)
        return True
    return False


def _time_pass(team: _Team, work: SharedWork, name: str) -> None:
    options, link, say = team.options, team.link, team.say
    run = TimedRun(name)
    team.runs.append(run)
    time_steps(run, work, options.num_batches, team.out, say)
    found = team.shares[name] = shared.shares(link, work.share(run, team.threads))
    # What follows reports that of one process: the mean of all.
    utilisation = math.fsum(one.cpu_utilisation for one in found) / link.size
    run.cpu_seconds = utilisation * math.fsum(run.durations) * team.threads
    if team.devices > 1:  # the meter is that of one machine, or of one GPU
        run.joules = None
    report_run(run, options, team.threads, team.out, say)
    for line in shared.table(name, found):
        say.line(line)


def _scale(team: _Team) -> None:
    """Measures, prints and draws the table of 1, 2, ... processes."""
    options, link, say = team.options, team.link, team.say
    name = options.passes[-1]
    with say.bar("scaling", options.rounds * len(scaling.sizes(link.size))) as (advance, _):
        team.rows = scaling.measure(
            link,
            lambda part: team.work(part).step(name),
            lambda size, rank: shared.expected_bytes(
                team.net, options.batch_size, team.shards, team.sharing, size, rank
            ),
            options.rounds,
            advance,
        )
    if link.rank:
        return
    print("\n".join(scaling.table(team.rows, f"{name} of {team.title}")), file=team.out, flush=True)
    if options.plot is not None:
        with say.waiting("drawing"):
            plots.scaling(team.rows, team.shares[name], team.title, options.plot)
        say.wrote(options.plot)


def _rows(link: Link, batch: int, shards: int, is_scaled: bool) -> slice:
    """The images that this process may have to compute, in any of the teams that it belongs to."""
    teams = [size for size in scaling.sizes(link.size) if size > link.rank] if is_scaled else [link.size]
    own = [own_rows(batch, shards, cut(shards, size)[link.rank]) for size in teams]
    return slice(min(rows.start for rows in own), max(rows.stop for rows in own))


def _estimate(net: Sequential, x_shape: Shape, options: Options, shards: int, rows: slice, scaled: int) -> int:
    """Bytes of this process: those of its largest run of shards, its images, and the sums of gradients that wait.

    On a GPU the last two are on the host; and each pass has its graph there, and so has each of the ``scaled`` teams.
    A graph keeps its arrays.
    """
    hardware = device(options.backend)
    own = [shard for shard in cut(x_shape[0], shards) if rows.start <= shard.start < rows.stop]
    spans = [run.images() for run in runs_of(net, own, 0, hardware)]
    largest = max(span.stop - span.start for span in spans), *x_shape[1:]
    step = memory_estimate(net, largest, options.backend, options.backward)
    if not hardware.on_host:
        return step * (len(options.passes) + scaled)
    images: int = FLOAT_BYTES * (rows.stop - rows.start) * math.prod(x_shape[1:])
    elements: int = sum(value.size for value in net.params.values())
    sums = FLOAT_BYTES * elements * (shards.bit_length() + 2) * options.backward
    return step + images + sums


def _columns_estimate(net: Sequential, scaled: int) -> int:
    """More bytes if dense layers are in columns: each team of each size has weights of its own, at worst all."""
    elements: int = sum(value.size for value in net.params.values())
    return (1 + scaled) * FLOAT_BYTES * elements


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
    return Batch(rows.start, images, none if labels is None else labels)


def _as_json(team: _Team) -> dict[str, object]:
    return {
        "kind": team.sharing.parallel,
        "processes": team.link.size,
        "machines": team.machines,
        "shards": team.shards,
        **{name: getattr(team.sharing, name) for name in ("dense", "blocks", "scheme", "groups", "overlap")},
        "shares": {name: [asdict(one) for one in found] for name, found in team.shares.items()},
        "scaling": scaling.as_json(team.rows),
    }
