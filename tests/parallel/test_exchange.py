"""Whatever the number of processes, each gets the sum that one alone adds up, and sends what the formula says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parallel.as_threads import on
from tinyalexnet.parallel import Tree, spans
from tinyalexnet.parallel.cost import gradient_bytes
from tinyalexnet.parallel.exchange import added, buckets, total


def gradients(shapes, shard):
    """Those of a shard: sums of them in float32 depend on the order."""
    rng = np.random.default_rng([7, shard])
    return [np.asarray(rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4), np.float32) for shape in shapes]


def summed(link, shapes, shards):
    tree = Tree(added, shards)
    run = spans(shards, link.size)[link.rank]
    for shard in range(run.start, run.stop):
        tree.put(gradients(shapes, shard), shard)
    return link.now(lambda: total(link, tree.held, shards)), link.sent["gradients"]


SHAPES = st.lists(st.sampled_from([(), (3,), (2, 5), (4, 1, 3), (17,)]), min_size=1, max_size=3)


@given(SHAPES, st.integers(1, 9), st.integers(1, 5))
@settings(deadline=None)
def test_sums_are_those_of_one_process_to_the_last_bit(shapes, shards, size):
    size = min(size, shards)
    ((alone, nothing),) = on(1, lambda link: summed(link, shapes, shards))
    assert nothing == 0
    elements = sum(array.size for array in alone)
    for rank, (found, sent) in enumerate(on(size, lambda link: summed(link, shapes, shards))):
        assert [array.shape for array in found] == [array.shape for array in alone]
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one, other)
        assert sent == (gradient_bytes(elements, shards, size, rank) if size > 1 else 0)


def test_bytes_by_hand():
    """Two processes, eight shards, ten floats: each holds one node, sends five floats of it, and then its five sums."""
    assert [gradient_bytes(10, 8, 2, rank) for rank in (0, 1)] == [40, 40]
    # Of three processes the first has shards 0 and 1, one node, the second 2 to 4, two nodes; each adds up a third.
    assert [gradient_bytes(9, 8, 3, rank) for rank in range(3)] == [4 * (6 + 6), 4 * (2 * 6 + 6), 4 * (2 * 6 + 6)]


@given(st.dictionaries(st.text("abc", max_size=3), st.integers(0, 50), max_size=12), st.integers(1, 60))
def test_buckets_are_full_and_in_order_and_large_arrays_alone(sizes, least):
    groups, order = buckets(sizes, least), list(sizes)
    assert sorted(name for group in groups for name in group) == sorted(name for name, size in sizes.items() if size)
    full = [order.index(group[-1]) for group in groups if sum(sizes[name] for name in group) >= least]
    assert full == sorted(full)
    for group in groups:
        assert [order.index(name) for name in group] == sorted(map(order.index, group))
        assert sum(sizes[name] for name in group[:-1]) < least
        assert len(group) == 1 or all(sizes[name] < least for name in group)
    assert len(groups) - len(full) <= 1


@pytest.mark.parametrize(
    ("least", "expected"),
    [(1, [["fc"], ["b"], ["a"]]), (5, [["fc"], ["b", "a"]]), (6, [["fc", "b"], ["a"]]), (99, [["fc", "b", "a"]])],
)
def test_buckets_by_hand(least, expected):
    assert buckets({"fc": 5, "relu": 0, "b": 4, "pool": 0, "a": 3}, least) == expected


def test_a_small_array_waits_for_others_while_a_large_one_goes():
    assert buckets({"b": 1, "w": 7, "c": 4, "v": 2}, 5) == [["w"], ["b", "c"], ["v"]]
