"""Which terms and which sums of an explanation come first, and which are left out."""

from __future__ import annotations

import numpy as np

from tinyalexnet import Conv2d, MaxPool2d, explain, l2_loss, trace


def test_the_largest_of_a_maximum_are_so_by_their_sign():
    x = np.array([-5, 2, -7, 1], np.float32).reshape(1, 2, 2, 1)
    explanation = explain(trace(MaxPool2d(2, 2, backend="reference"), x), "layer", "out", (0, 0, 0, 0))
    assert [term.value for term in explanation.largest(3)] == [2, 1, -5]
    zero = explain(trace(MaxPool2d(2, 2, backend="reference"), np.minimum(x, 0)), "layer", "out", (0, 0, 0, 0))
    assert (zero.value, zero.bound, zero.is_right) == (0, 0, True)


def test_a_fold_of_one_value_is_left_out(rng):
    for channels in (1, 2):
        x = rng.standard_normal((1, 3, 3, channels)).astype(np.float32)
        found = trace(Conv2d(channels, 1, 2, backend="reference", algorithm="gemm", rng=1), x, l2_loss)
        assert len(explain(found, "layer", "out", (0, 0, 0, 0)).folds) == channels - 1
        assert explain(found, "layer", "db", (0,)).folds == []
