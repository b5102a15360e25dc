"""The dense layer: equal to the loops on integers, and rounding."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinyalexnet import Flatten
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_forward
from tinyalexnet.ops.dense import cpu, dense_backward_input, dense_backward_params, dense_forward

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(sizes=SIZES, seed=st.integers(0, 1000))
@example(sizes=(1, 1, 1), seed=0)
def test_equals_the_loops(run, dtype, sizes, seed):
    rng = np.random.default_rng(seed)
    n, channels, filters = sizes
    x, w, b, dout = (
        rng.integers(-4, 5, shape).astype(dtype)
        for shape in [(n, channels), (channels, filters), filters, (n, filters)]
    )
    out, dx, dw, db = loops.dense(x, w, b, dout)
    np.testing.assert_array_equal(run(dense_forward, x, w, b), out, strict=True)
    np.testing.assert_array_equal(run(dense_backward_input, dout, w), dx, strict=True)
    found_dw, found_db = run(dense_backward_params, dout, x)
    np.testing.assert_array_equal(found_dw, dw, strict=True)
    np.testing.assert_array_equal(found_db, db, strict=True)


@given(sizes=SIZES, seed=st.integers(0, 1000))
def test_rounds_within_the_derived_bound(run, sizes, seed):
    """|error| <= γ Σ |x| |w| with γ = n u / (1 - n u), for sums of n = C + 1 terms in float32, u = 2**-24."""
    rng = np.random.default_rng(seed)
    n, channels, filters = sizes
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in [(n, channels), (channels, filters), filters])
    exact = x.astype(float) @ w + b
    size = np.abs(x).astype(float) @ np.abs(w) + np.abs(b)
    # On tensor cores it is (16 + n / 16) u: docs/tensor_cores.md.
    terms = max(channels + 1, 18) if run.name == "cuda" else channels + 1
    gamma = terms * 2**-24 / (1 - terms * 2**-24)
    assert (np.abs(run(dense_forward, x, w, b) - exact) <= gamma * size).all()


def test_strided_input(run, rng):
    run.skip_without_views()
    x, w, b, dout = (rng.integers(-4, 5, s).astype(np.float32) for s in [(7, 3), (5, 7), (10,), (3, 10)])
    strided = x.T, w.T, b[::2], dout[:, ::2]
    plain = tuple(array.copy() for array in strided)
    np.testing.assert_array_equal(run(dense_forward, *strided[:3]), run(dense_forward, *plain[:3]))
    np.testing.assert_array_equal(
        run(dense_backward_input, strided[3], strided[1]), run(dense_backward_input, plain[3], plain[1])
    )
    for got, expected in zip(
        run(dense_backward_params, strided[3], strided[0]), run(dense_backward_params, plain[3], plain[0]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_it_is_a_convolution_whose_kernel_is_the_whole_image(run, rng):
    """Flattened in the order (H, W, C)."""
    x, w, b = (rng.integers(-4, 5, s).astype(float) for s in [(2, 3, 4, 5), (3, 4, 5, 6), (6,)])
    whole = conv2d_forward(x, w, b, Window((3, 4)), backend="reference").reshape(2, 6)
    np.testing.assert_array_equal(run(dense_forward, Flatten().forward(x), w.reshape(60, 6), b), whole)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 32, 33, 64, 65])
@pytest.mark.parametrize(("inputs", "outputs"), [(37, 9), (400, 1), (16, 23), (5, 60)])
@pytest.mark.parametrize("limit", [1, 40, 300])
def test_products_of_any_size_give_the_same_sums(monkeypatch, rng, n, inputs, outputs, limit):
    """A product of at most so many multiply-adds: each element is in one product, whatever is cut."""
    monkeypatch.setattr(cpu, "SMALL_PRODUCT", limit)
    monkeypatch.setattr(cpu, "SMALL_OUTPUT", limit // 2)
    monkeypatch.setattr(cpu, "ROWS", 2)
    x, w, b, dout = (
        rng.integers(-4, 5, shape).astype(np.float32)
        for shape in [(n, inputs), (inputs, outputs), outputs, (n, outputs)]
    )
    np.testing.assert_array_equal(cpu.dense_forward(x, w, b), x @ w + b, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_input(dout, w), dout @ w.T, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_params(dout, x)[0], x.T @ dout, strict=True)


@pytest.mark.parametrize(
    ("n", "inputs", "outputs", "few", "block"),
    [
        (5, 32, 100, True, (32, 100)),
        (5, 33, 100, True, (2, 100)),
        (5, 33, 101, True, (2, 100)),
        (501, 32, 3, True, (2, 1)),
        (501, 32, 3, False, (32, 3)),
    ],
)
def test_a_product_is_cut_if_it_is_larger_than_small(monkeypatch, n, inputs, outputs, few, block):
    """Of sixteen slices, 2 or 3 inputs in each; 5 vectors, 2 inputs and 100 outputs are 1000 multiply-adds."""
    monkeypatch.setattr(cpu, "SMALL_PRODUCT", 1000)
    monkeypatch.setattr(cpu, "ROWS", 2)
    assert cpu._block(n, (inputs, outputs), few) == block


@pytest.mark.parametrize(
    ("n", "blocks"), [(64, [(2, 1), (1, 1, 16), (2, 1, 16)]), (65, [(40, 2), (40, 2, 16), (40, 2, 16)])]
)
def test_the_vectors_of_up_to_64_are_few(monkeypatch, n, blocks):
    """Rows and columns of w in a product, where each is too large, and of dx and dw the slices."""
    found = []
    for name, sizes in (("_forward", slice(3, 5)), ("_backward_input", slice(2, 5)), ("_backward_params", slice(2, 5))):
        monkeypatch.setattr(cpu, name, lambda *arguments, sizes=sizes: found.append(arguments[sizes]))
    for name, size in (("SMALL_PRODUCT", 1), ("SMALL_OUTPUT", 100), ("ROWS", 2), ("MOST_GRADIENT", 128)):
        monkeypatch.setattr(cpu, name, size)
    x, w, dout = (np.ones(shape, np.float32) for shape in ((n, 40), (40, 2), (n, 2)))
    cpu.dense_forward(x, w, w[0])
    cpu.dense_backward_input(dout, w)
    cpu.dense_backward_params(dout, x)
    assert found == blocks


@pytest.mark.parametrize("n", [0, 1, 2, 8, 16, 17, 32, 33, 64])
@pytest.mark.parametrize(("inputs", "outputs"), [(3136, 1024), (9216, 4096), (4096, 1000), (64, 10), (1, 2_000_000)])
def test_few_vectors_are_multiplied_in_small_products(n, inputs, outputs):
    """Or in those of a slice, where they are small already."""
    rows, columns = cpu._block(n, (inputs, outputs), n <= cpu.MOST_VECTORS)
    rows = min(rows, -(-inputs // cpu.SLICES))
    assert n * rows * columns <= cpu.SMALL_PRODUCT or n > cpu.MOST_VECTORS
    if columns < outputs:
        # No narrower than it must be.
        assert columns == cpu.COLUMNS or n * cpu.ROWS * (columns + 1) > cpu.SMALL_PRODUCT
        assert n * rows * outputs > min(cpu.SMALL_PRODUCT, n * rows * cpu.COLUMNS)
