"""Groups of a convolution: channels and filters are cut into slices of equal length, and belong together in order."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np


def group_slices(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice]]:
    """The channels and the filters of each group, as in Caffe and PyTorch."""
    for g in range(groups):
        yield (
            slice(g * channels // groups, (g + 1) * channels // groups),
            slice(g * filters // groups, (g + 1) * filters // groups),
        )


def by_groups(
    compute: Callable[[slice, slice], np.ndarray],
    channels: int,
    filters: int,
    groups: int,
    join: Callable[[Sequence[np.ndarray], int], np.ndarray] = np.concatenate,
) -> np.ndarray:
    """The results of ``compute`` for each group's channels and filters, side by side along the last axis."""
    results = [compute(*slices) for slices in group_slices(channels, filters, groups)]
    return results[0] if groups == 1 else join(results, -1)
