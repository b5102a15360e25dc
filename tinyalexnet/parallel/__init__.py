"""A batch in shards, whose gradients are added along one fixed tree: docs/parallel.md."""

from .shards import ShardedStep
from .tree import Tree, cut

__all__ = ["ShardedStep", "Tree", "cut"]
