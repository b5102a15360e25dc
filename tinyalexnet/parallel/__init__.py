"""A batch in shards, on one process or on several, whose gradients are added along one fixed tree: docs/parallel.md."""

from .agreement import after_first, check_same, first
from .hybrid import SCHEMES, HybridStep, passes_of
from .link import Alone, Link
from .mpi import MPILink
from .placement import DENSE, Placement, check_dense
from .shards import ShardedStep
from .teams import Teams
from .tree import Tree, cut, nodes, spans

__all__ = [
    "DENSE",
    "SCHEMES",
    "Alone",
    "HybridStep",
    "Link",
    "MPILink",
    "Placement",
    "ShardedStep",
    "Teams",
    "Tree",
    "after_first",
    "check_dense",
    "check_same",
    "cut",
    "first",
    "nodes",
    "passes_of",
    "spans",
]
