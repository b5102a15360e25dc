"""Cuts are even, and the tree adds what it must, in an order that depends on the number of summands alone."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.parallel import Tree, cut, nodes, spans


@given(st.integers(1, 200), st.integers(1, 200))
def test_cuts_cover_all_and_are_even(count, parts):
    slices = spans(count, parts)
    assert [i for part in slices for i in range(count)[part]] == list(range(count))
    lengths = {part.stop - part.start for part in slices}
    assert len(slices) == parts
    assert max(lengths) - min(lengths) <= 1
    if parts > count:
        with pytest.raises(ValueError, match=f"parts is {parts}, but must be at most the {count} items there are"):
            cut(count, parts)
    else:
        assert cut(count, parts) == slices


@pytest.mark.parametrize("parts", [0, -1, 1.0, "2"])
def test_parts_must_be_an_int(parts):
    with pytest.raises(ValueError, match=r"parts is .*, but must be an int >= 1"):
        cut(10, parts)


def joined(a, b):
    return f"({a}+{b})"


def added(values):
    """The tree of the values as text."""
    tree = Tree(joined, len(values))
    for at, value in enumerate(values):
        tree.put(str(value), at)
    return tree.result()


def test_the_tree_by_hand():
    assert [added(range(n)) for n in range(1, 8)] == [
        "0",
        "(0+1)",
        "((0+1)+2)",
        "((0+1)+(2+3))",
        "(((0+1)+(2+3))+4)",
        "(((0+1)+(2+3))+(4+5))",
        "(((0+1)+(2+3))+((4+5)+6))",
    ]


@given(st.integers(1, 60), st.integers(1, 60), st.randoms())
def test_the_order_is_one_whoever_adds_what_and_when(count, processes, random):
    """Each process adds up its run of summands, and one of them the nodes of all, in any order."""
    parts = []
    for run in spans(count, processes):
        own, order = Tree(joined, count), list(range(run.start, run.stop))
        random.shuffle(order)
        for at in order:
            own.put(str(at), at)
        assert list(own.held) == nodes(run, count)
        parts += own.held.items()
    random.shuffle(parts)
    whole = Tree(joined, count)
    for (lo, hi), value in parts:
        whole.put(value, lo, hi)
    assert whole.result() == added(range(count))


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_nodes_of_a_run_are_few_and_hold_it(count, start, stop):
    run = slice(min(start, count), min(max(start, stop), count))
    found = nodes(run, count)
    assert [at for lo, hi in found for at in range(lo, hi)] == list(range(run.start, run.stop))
    assert len(found) <= 2 * math.ceil(math.log2(count)) + 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100))
def test_the_sum_is_near_the_exact_one(values):
    """Each summand goes through at most ceil(log2(n)) additions: gamma of that many, times the sum of the sizes."""
    tree = Tree(lambda a, b: a + b, len(values))
    for at, value in enumerate(values):
        tree.put(value, at)
    n = math.ceil(math.log2(len(values)))
    bound = n * 2.0**-53 / (1 - n * 2.0**-53) * math.fsum(map(abs, values))
    assert abs(tree.result() - math.fsum(values)) <= bound


@given(st.integers(1, 300))
def test_few_summands_are_held(count):
    tree, most = Tree(lambda a, b: a + b, count), 0
    for at in range(count):
        tree.put(1, at)
        most = max(most, len(tree.held))
    assert tree.result() == count
    assert most <= math.log2(count) + 1


def test_a_sum_needs_all_summands():
    tree = Tree(np.add, 4)
    with pytest.raises(ValueError, match=re.escape("the sum has [], but must have all 4 summands")):
        tree.result()
    for at in (0, 1, 3):
        tree.put(at, at)
    with pytest.raises(ValueError, match=re.escape("the sum has [(0, 2), (3, 4)], but must have all 4 summands")):
        tree.result()
    with pytest.raises(ValueError, match="count is 0, but must be an int >= 1"):
        Tree(np.add, 0)


@pytest.mark.parametrize("node", [(1, 3), (0, 3), (5, 7), (3, 3), (5, 4), (-1, 1), (6, 8), (0, 8)])
def test_what_is_no_node_is_refused(node):
    """Of the tree of seven: its nodes are those of four and of three."""
    with pytest.raises(ValueError, match=re.escape(f"node is {node}, but must be one of the tree of 7 summands")):
        Tree(np.add, 7).put(0, *node)


@pytest.mark.parametrize("again", [(0, 1), (2, 3), (2, 4), (0, 4), (4, 6), (4, 7)])
def test_a_summand_is_put_once(again):
    tree = Tree(lambda a, b: a + b, 7)
    for at in (0, 1, 2, 5):
        tree.put(at, at)
    with pytest.raises(ValueError, match="was put twice, but must be put once"):
        tree.put(0, *again)
