"""Cuts are even, and the tree adds what it must, in an order that depends on the number of summands alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.parallel import Tree, cut


@given(st.integers(1, 200), st.integers(1, 200))
def test_cuts_cover_all_and_are_even(count, parts):
    if parts > count:
        with pytest.raises(ValueError, match=f"parts is {parts}, but must be at most the {count} items there are"):
            cut(count, parts)
        return
    slices = cut(count, parts)
    assert [i for part in slices for i in range(count)[part]] == list(range(count))
    lengths = {part.stop - part.start for part in slices}
    assert len(slices) == parts
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("parts", [0, -1, 1.0, "2"])
def test_parts_must_be_an_int(parts):
    with pytest.raises(ValueError, match=r"parts is .*, but must be an int >= 1"):
        cut(10, parts)


def added(values):
    """The tree of the values as text."""
    tree = Tree(lambda a, b: f"({a}+{b})")
    for value in values:
        tree.push(str(value))
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


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100))
def test_the_sum_is_near_the_exact_one(values):
    """Each summand goes through at most 2 log2(n) + 1 additions: gamma of that many, times the sum of the sizes."""
    tree = Tree(lambda a, b: a + b)
    for value in values:
        tree.push(value)
    n = 2 * math.ceil(math.log2(len(values))) + 1
    bound = n * 2.0**-53 / (1 - n * 2.0**-53) * math.fsum(map(abs, values))
    assert abs(tree.result() - math.fsum(values)) <= bound


@given(st.integers(1, 300))
def test_few_summands_are_held(count):
    held, most = 0, 0

    def add(a, b):
        nonlocal held
        held -= 1
        return a + b

    tree = Tree(add)
    for _ in range(count):
        held += 1
        tree.push(1)
        most = max(most, held)
    assert tree.result() == count
    assert most <= math.log2(count) + 2


def test_nothing_has_no_sum():
    with pytest.raises(ValueError, match="before any summand was pushed"):
        Tree(np.add).result()
