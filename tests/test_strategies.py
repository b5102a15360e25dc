"""The public strategies: what they draw, what they refuse, and where shrinking ends."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tinyalexnet import Conv2d, strategies
from tinyalexnet.gradcheck import assert_gradients
from tinyalexnet.strategies import Geometry, geometries, integer_arrays, labels, separated_arrays

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 20))

PATIENT = settings(max_examples=5000, phases=tuple(Phase), derandomize=True, database=None)
"""For ``find``, which fails where it finds none: a profile of few examples may miss what every second draw has."""


@given(geometries(), st.data())
def test_every_convolution_drawn_is_one(geometry, data):
    x = data.draw(integer_arrays(geometry.x_shape, np.float64))
    conv = Conv2d(
        geometry.x_shape[3],
        geometry.filters,
        geometry.window.kernel,
        geometry.window.stride,
        geometry.pads,
        groups=geometry.groups,
        backend="reference",
        dtype=np.float64,
    )
    assert conv.params["w"].shape == geometry.w_shape
    assert conv.forward(x).shape == geometry.out_shape


@given(geometries(pooling=True, largest_size=4, largest_kernel=2, largest_stride=1, largest_batch=1, groups=(2,)))
def test_limits_are_kept(geometry):
    assert geometry.x_shape[0] == 1
    assert max(geometry.x_shape[1:3]) <= 4
    assert geometry.window.stride == (1, 1)
    assert geometry.groups == 2
    assert geometry.filters == geometry.x_shape[3]
    # The padding is below the kernel, so that no window is all padding; a kernel may be as large as the image.
    for pads, kernel in zip(geometry.pads, geometry.window.kernel, strict=True):
        assert max(pads) < kernel
    assert geometry.x_shape[3] in (2, 4, 6)


def below(geometry, axis):
    return geometry.window.kernel[axis] - 1


@pytest.mark.parametrize(
    "wanted",
    [
        lambda drawn: drawn.x_shape[1] == 1,
        lambda drawn: drawn.window.kernel[0] == drawn.x_shape[1] > 5,
        lambda drawn: max(drawn.pads[0]) == below(drawn, 0) + 2,
        lambda drawn: drawn.pads[1][0] != drawn.pads[1][1] > below(drawn, 1),
        lambda drawn: drawn.window.stride == (4, 1),
        lambda drawn: drawn.filters == drawn.groups == 3,
        lambda drawn: drawn.x_shape[3] == 3 * drawn.groups == 9,
        lambda drawn: drawn.x_shape[0] == 3 and drawn.window.padding == "SAME",
    ],
    ids=["a row", "whole", "padding alone", "one side", "strides", "filters", "channels", "batch"],
)
def test_all_that_multiples_of_a_tile_would_hide_is_drawn(wanted):
    found = find(geometries(), wanted, settings=PATIENT)
    assert wanted(found)


def test_a_pooling_may_be_padded_by_all_but_one_row_of_its_kernel():
    found = find(geometries(pooling=True), lambda drawn: max(drawn.pads[0]) == below(drawn, 0) > 1, settings=PATIENT)
    assert max(found.pads[0]) == below(found, 0)


@given(geometries())
def test_sizes_have_limits(drawn):
    """Of images, steps, batch and groups: larger ones take time, and show nothing else."""
    assert max(drawn.window.stride) <= 4
    assert drawn.x_shape[0] <= 3
    assert max(drawn.x_shape[3], drawn.filters) <= 3 * drawn.groups
    assert max(drawn.x_shape[1:3]) <= 9
    assert drawn.groups in (1, 2, 3)


@given(geometries(largest_size=5), st.integers(0, 100))
def test_no_right_convolution_is_refused(geometry, seed):
    """The checker must not call right code wrong: a gradient that is 0 everywhere, a window of padding alone."""
    rng = np.random.default_rng(seed)
    conv = Conv2d(
        geometry.x_shape[3],
        geometry.filters,
        geometry.window.kernel,
        geometry.window.stride,
        geometry.pads,
        groups=geometry.groups,
        backend="reference",
        dtype=np.float64,
        rng=rng,
    )
    assert_gradients(conv, rng.standard_normal(geometry.x_shape), directions=1, like=conv)


@given(integer_arrays(SHAPES))
def test_integers_are_small_and_of_float32(array):
    assert array.dtype == np.float32
    assert array.ndim == 2
    np.testing.assert_array_equal(array, np.round(array))
    assert np.abs(array).max() <= 4


@pytest.mark.parametrize("largest", [1, 4])
def test_a_large_array_has_every_integer_up_to_the_largest(largest):
    array = find(integer_arrays((1000,), largest=largest), lambda array: True)
    assert set(array) == set(range(-largest, largest + 1))


@given(separated_arrays(SHAPES, gap=0.5))
def test_separated_arrays_are(array):
    ordered = np.sort(array.ravel())
    assert np.diff(ordered).min(initial=1) > 0.499
    assert np.abs(ordered).min() > 0.249
    assert abs(np.sign(ordered).sum()) <= 1


def test_each_class_is_drawn():
    assert find(labels(2, 3), lambda drawn: set(drawn) == {0, 2}, settings=PATIENT).dtype == np.int64


@given(labels(5, 3))
def test_labels_are_classes(drawn):
    assert drawn.shape == (5,)
    assert set(drawn) <= {0, 1, 2}


def test_examples_shrink_to_small_cases():
    def smallest_of(strategy, wanted=lambda drawn: True):
        return find(strategy, wanted, settings=PATIENT)

    smallest = smallest_of(geometries(), lambda geometry: geometry.window.stride[0] > 1 and geometry.groups > 1)
    assert smallest == Geometry(smallest.window, (1, 1, 1, 2), 2, 2)
    assert (smallest.window.kernel, smallest.window.stride, smallest.window.padding) == ((1, 1), (2, 1), "VALID")
    integers = smallest_of(integer_arrays((2, 3)), lambda array: array[1, 1] > 1)
    np.testing.assert_array_equal(integers, [[0, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(smallest_of(separated_arrays((3,), gap=1)), [-0.5, 0.5, 1.5])
    np.testing.assert_array_equal(smallest_of(labels(3, 4), lambda drawn: drawn[2] > 0), [0, 0, 1])


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (geometries(largest_size=0), "largest_size is 0, but must be an int >= 1"),
        (geometries(groups=()), "groups is 0, but must be an int >= 1"),
        (integer_arrays((2,), largest=0), "largest is 0, but must be an int >= 1"),
        (separated_arrays((2,), gap=0), "gap is 0, but must be above 0"),
        (labels(0, 3), "count is 0, but must be an int >= 1"),
        (labels(3, 0), "classes is 0, but must be an int >= 1"),
    ],
)
def test_impossible_limits_are_refused(strategy, message):
    with pytest.raises(ValueError, match=message):
        find(strategy, lambda _: True)


def test_without_hypothesis_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"^tinyalexnet\.strategies needs hypothesis .*\[test\]'$"):
        runpy.run_path(strategies.__file__)
