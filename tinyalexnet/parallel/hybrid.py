"""A step whose convolutions are split by images and whose dense layers by columns: "One weird trick".

The layers before the first dense one are computed shard by shard, as in ``ShardedStep``. Then every process gets the
rows of all shards of a group, and computes its columns of the dense layers for them: all rows at once (scheme a), those
of one shard after the other (b), or a part of every shard after the other (c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ..captured import Optimizer, Result
from .columns import Columns
from .exchange import Arrays, added, total
from .link import begun
from .runs import Run, runs_of, same_weights
from .shards import Loss, check_rows, own_rows, own_shards
from .sums import GradientSums, as_number, leaves_of, total_loss
from .teams import Teams
from .tree import Tree, cut, spans

SCHEMES = ("a", "b", "c")


class HybridStep:
    """``step(x, labels)``: as ``ShardedStep``, with the dense layers in blocks of columns.

    Each of the ``teams`` has all columns, and takes the images of some of the groups, one group after the other. The
    bits depend on the number of shards, of blocks and of groups and on the scheme, and not on the number of processes.
    With one of each they are those of a step without. ``overlap`` and ``graph`` are for the layers before the dense.

    Shapes
        As ``ShardedStep``. ``optimizer`` is of the parameters of ``columns.head`` and of ``columns``.
    Errors
        As ``ShardedStep``; ValueError if there are more groups than shards, or fewer images in a shard than passes of a
        group in scheme c.
    Source
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; docs/parallel.md.
    """

    def __init__(
        self,
        columns: Columns,
        loss: Loss,
        optimizer: Optimizer,
        shards: int,
        teams: Teams,
        scheme: str = "a",
        overlap: bool = False,
        graph: bool = True,
    ) -> None:
        self._columns, self._loss, self._optimizer = columns, loss, optimizer
        self._shards, self._teams, self._scheme, self._overlap = shards, teams, scheme, overlap
        self._own = own_shards(shards, teams.link)
        self._leaves = leaves_of(columns.head)
        self._sums = GradientSums(columns.head, shards, teams.link, overlap, graph)

    def rows(self, batch: int) -> slice:
        """The images of a batch of N that this process computes."""
        return own_rows(batch, self._shards, self._own)

    def out_rows(self, batch: int) -> slice:
        """The images of which a step gives the output: those of the team."""
        members = cut(self._shards, self._teams.link.size)[self._teams.members]
        return own_rows(batch, self._shards, slice(members[0].start, members[-1].stop))

    def __call__(self, x: np.ndarray, labels: np.ndarray) -> Result:
        """Takes a step on a batch: x are its ``rows``, ``labels`` are all of it."""
        batch, teams = len(labels), self._teams
        passes, numbers, count = self._passes(batch)
        every_row = [np.concatenate(of) for of in passes]
        runs = self._runs(cut(batch, self._shards), self._own)
        with same_weights(runs):
            dense: Tree[Arrays] = Tree(added, count)
            losses: list[float] = []
            logits: Arrays = []
            dflats: Arrays = []
            outs = self._outs(x, passes, runs, batch)
            for number, (of, rows, out) in enumerate(zip(passes, every_row, outs, strict=True), numbers.start):
                loss, dout = self._loss(out, labels[rows], batch)
                dx, grads = self._columns.backward(dout, [len(some) for some in of])
                dflats.append(dx)
                dense.put(list(grads.values()), number)
                losses.append(as_number(loss))
                logits.append(out)
            job = partial(total, teams.across, dense.held, count)
            summed = begun(teams.across, job, beside=self._overlap)
            self._head_backward(_in_order(dflats, [of[teams.own.rank] for of in passes]), runs)
        found = total_loss(teams.across, losses, count)
        dense_grads = dict(zip(grads, summed(), strict=True))
        self._optimizer.move(self._sums.result() | dense_grads, found)
        return Result(_in_order(logits, every_row), found)

    def outputs(self, x: np.ndarray, batch: int) -> np.ndarray:
        """The forward of a step alone, with dropout: the output of the ``out_rows`` for x, the ``rows`` of a batch."""
        passes, _, _ = self._passes(batch)
        runs = self._runs(cut(batch, self._shards), self._own)
        with same_weights(runs):
            outs = list(self._outs(x, passes, runs, batch))
        return _in_order(outs, [np.concatenate(of) for of in passes])

    def _passes(self, batch: int) -> tuple[list[list[np.ndarray]], slice, int]:
        """The passes of the dense layers in this team, their numbers among those of all, and how many all are."""
        teams = self._teams
        every = passes_of(batch, self._shards, teams.link.size, self._scheme, teams.groups)
        numbers = teams.of(len(every))
        return [of[teams.members] for of in every[numbers]], numbers, len(every)

    def _outs(self, x: np.ndarray, passes: list[list[np.ndarray]], runs: list[Run], batch: int) -> Iterator[np.ndarray]:
        """The output of each pass; the rows of the next one are gathered meanwhile."""
        own = self.rows(batch)
        check_rows(x, own, batch)
        for layer in self._leaves:
            layer.draw()
        flat = self._head_forward(x, runs, self._sums.forward)
        self._columns.draw()
        gathering = partial(self._gathering, flat, first=own.start, beside=len(passes) > 1)
        ahead = gathering(passes[0])
        for number, of in enumerate(passes, 1):
            here = ahead()
            if number < len(passes):
                ahead = gathering(passes[number])
            yield self._columns.forward(here, np.concatenate(of), batch)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output (N, K) without dropout, on all processes of a team, for images x that all of them have."""
        team = self._teams.own
        of, own = rows_of(len(x), self._shards, team.size), cut(self._shards, team.size)[team.rank]
        rows = of[team.rank]
        first = rows[0] if rows.size else 0
        runs = self._runs(spans(len(x), self._shards), own)
        flat = self._head_forward(x[first : first + rows.size], runs, Run.forward)
        here = self._gathering(flat, of, first, beside=False)()
        return self._columns.forward(here, np.concatenate(of), len(x))

    def _runs(self, shards: list[slice], own: slice) -> list[Run]:
        return runs_of(self._columns.head, shards[own], own.start, self._sums.hardware)

    def _head_forward(
        self, x: np.ndarray, runs: list[Run], forward: Callable[[Run, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """The output of the layers before the dense ones for x, the rows of some shards, which may be none."""
        outs = [np.empty((0, self._columns.in_features), x.dtype)]
        outs += [forward(run, x[run.images(runs[0].rows[0].start)]) for run in runs]
        return outs[-1] if len(outs) == 2 else np.concatenate(outs)

    def _head_backward(self, dflat: np.ndarray, runs: list[Run]) -> None:
        """The backward of all shards of this process; with overlap their gradients are exchanged meanwhile."""
        self._sums.begin()
        for run in runs:
            self._sums.backward(run, dflat[run.images(runs[0].rows[0].start)])

    def _gathering(self, flat: np.ndarray, of: list[np.ndarray], first: int, beside: bool) -> Callable[[], np.ndarray]:
        """What gathers the rows of a pass from all processes of the team, and may begin at once, beside the caller."""
        link, width = self._teams.own, self._columns.in_features
        own = of[link.rank]
        # Rows of a pass ascend, so if it has all of this process they need no copy.
        mine = np.ascontiguousarray(flat if len(own) == len(flat) else flat[own - first]).reshape(-1)
        counts = [len(rows) * width for rows in of]
        wait = begun(link, partial(link.gather, "activations", mine, counts), beside)
        return lambda: wait().reshape(-1, width)


def _in_order(parts: Arrays, rows: list[np.ndarray]) -> np.ndarray:
    """What each pass has of its images, in the order of the images; those of a pass have ascending numbers."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)[np.concatenate(rows).argsort()]


def rows_of(batch: int, shards: int, processes: int) -> list[np.ndarray]:
    """The numbers of the images of each process."""
    every = spans(batch, shards)
    return [np.arange(every[run.start].start, every[run.stop - 1].stop) for run in cut(shards, processes)]


def passes_of(batch: int, shards: int, processes: int, scheme: str, groups: int = 1) -> list[list[np.ndarray]]:
    """For each pass of the dense layers the numbers of the images of each process: together each image once.

    A pass has images of one group of shards: in scheme a all of them, in b those of a shard, in c a part of each shard.

    Errors
        ValueError if there are more groups than shards, or scheme c would have passes without images.
    """
    every, runs = cut(batch, shards), cut(shards, processes)
    if groups > shards:
        raise ValueError(f"groups is {groups}, but must be at most the {shards} shards")
    if scheme == "c" and batch // shards * groups < shards:
        times = f" times the {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"shards is {shards}, but must be at most the {batch // shards} images of a shard{times} in scheme 'c'"
        )
    found = []
    for group in cut(shards, groups):
        size = group.stop - group.start
        for number in range(1 if scheme == "a" else size):
            of = []
            for run in runs:
                chosen = [np.arange(0)]
                for shard in range(max(run.start, group.start), min(run.stop, group.stop)):
                    rows = np.arange(every[shard].start, every[shard].stop)
                    if scheme == "c":
                        rows = rows[spans(len(rows), size)[number]]
                    if scheme != "b" or shard == group.start + number:
                        chosen.append(rows)
                of.append(np.concatenate(chosen))
            found.append(of)
    return found
