"""A batch in shards, on one process or on several, whose gradients are added along one fixed tree: docs/parallel.md."""

from .agreement import check_same, first
from .link import Alone, Link
from .mpi import MPILink
from .shards import ShardedStep
from .tree import Tree, cut, nodes, spans

__all__ = ["Alone", "Link", "MPILink", "ShardedStep", "Tree", "check_same", "cut", "first", "nodes", "spans"]
