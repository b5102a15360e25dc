"""Where the parameters of a network are: all on every process, but for those of dense layers in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..captured import Optimizer
from ..devices import device, to_host
from ..network import Sequential
from .columns import Columns
from .hybrid import SCHEMES, HybridStep, passes_of
from .link import Link
from .shards import Loss, ShardedStep
from .teams import Teams

DENSE = ("rows", "columns")
"""How dense layers are divided: by images, as the others, or by columns."""


class Placement:
    """The parameters that this process has, and how they become those of one process.

    With ``blocks`` the dense layers are in columns, ``columns``, and each of the ``teams`` has all of them; it takes
    some of the ``groups`` of images. Else every process has all parameters, and is a team of its own.

    Errors
        As ``Columns``.
    """

    def __init__(self, net: Sequential, link: Link, blocks: int | None = None, groups: int = 1) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in net.params.items()}
        self.teams = Teams(link, link.size if blocks is None else groups)
        self.columns = None if blocks is None else Columns(net, blocks, self.teams.own)
        self.common: dict[str, Any] = net.params
        """Those that every process has."""
        self.params = self.common | (self.columns.params if self.columns else {})

    def step(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        shards: int,
        scheme: str = "a",
        overlap: bool = False,
        graph: bool = True,
    ) -> ShardedStep | HybridStep:
        """The step of the network that the placement is of; errors as of the two."""
        if self.columns is None:
            return ShardedStep(net, loss, optimizer, shards, self.teams.link, overlap, graph)
        return HybridStep(self.columns, loss, optimizer, shards, self.teams, scheme, overlap, graph)

    def whole(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Arrays by the names of ``params``, on the host, as one process has them. All processes must ask for it."""
        found = {}
        for name in self.shapes:
            layer, _, key = name.rpartition(".")
            if self.columns is None or name in self.common:
                found[name] = to_host(arrays[name])
            else:
                found[name] = self.columns.joined(layer, key, arrays)
        return found

    def own(self, whole: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The parts of this process of what one process has."""
        found = {}
        for name, array in whole.items():
            layer, _, key = name.rpartition(".")
            if self.columns is None or name in self.common:
                found[name] = array
            else:
                found |= self.columns.split(layer, key, array)
        return found

    def means(self, values: Mapping[str, float]) -> dict[str, float]:
        """The means over whole arrays from those over the arrays of ``params``. All processes must ask for it."""
        if self.columns is None:
            return dict(values)
        found = {}
        for name in self.shapes:
            layer, _, key = name.rpartition(".")
            found[name] = values[name] if name in self.common else self.columns.mean(layer, key, values)
        return found


def check_dense(dense: str, blocks: int, scheme: str, groups: int, shards: int, batch: int, backend: str) -> None:
    """ValueError if the settings of dense layers do not fit together, or a batch in so many shards, or the backend."""
    for name, value, allowed in (("dense", dense, DENSE), ("scheme", scheme, SCHEMES)):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, allowed))}")
    if dense == "columns":
        if not device(backend).on_host:
            raise ValueError(f"dense is 'columns', but must be 'rows' on the backend {backend!r}")
        passes_of(batch, shards, 1, scheme, groups)
        return
    for name, given, default in (("blocks", blocks, 1), ("scheme", scheme, "a"), ("groups", groups, 1)):
        if given != default:
            raise ValueError(f"{name} is {given!r}, but must be {default!r} if dense is 'rows'")
