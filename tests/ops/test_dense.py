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
from tinyalexnet.ops.dense import choice, cpu, dense_backward_input, dense_backward_params, dense_forward

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


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 32, 33, 64, 65])
@pytest.mark.parametrize(("inputs", "outputs"), [(37, 9), (400, 1), (16, 23), (5, 60)])
def test_any_number_of_vectors_gives_the_same_sums(monkeypatch, rng, n, inputs, outputs):
    monkeypatch.setattr(cpu, "FORWARD_ROWS", 1)
    x, w, b, dout = (
        rng.integers(-4, 5, shape).astype(np.float32)
        for shape in [(n, inputs), (inputs, outputs), outputs, (n, outputs)]
    )
    np.testing.assert_array_equal(cpu.dense_forward(x, w, b), x @ w + b, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_input(dout, w), dout @ w.T, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_params(dout, x)[0], x.T @ dout, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 48, 65])
@pytest.mark.parametrize(("inputs", "outputs"), [(37, 9), (400, 1), (1, 64), (900, 65), (50, 1100)])
def test_products_with_panels_give_the_same_sums(monkeypatch, rng, dtype, n, inputs, outputs):
    """Slices of 1 to 57 inputs, of which a task goes through 48 at a time; one panel or more, the last of which may be
    narrower; and more columns than a product of dx has."""
    monkeypatch.setattr(choice, "MANY", dict.fromkeys(choice.MANY, 1))
    monkeypatch.setattr(choice, "MANY_WEIGHTS", dict.fromkeys(choice.MANY, 1))
    x, w, b, dout = (
        rng.integers(-4, 5, shape).astype(dtype) for shape in [(n, inputs), (inputs, outputs), outputs, (n, outputs)]
    )
    np.testing.assert_array_equal(cpu.dense_forward(x, w, b), x @ w + b, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_input(dout, w), dout @ w.T, strict=True)
    np.testing.assert_array_equal(cpu.dense_backward_params(dout, x)[0], x.T @ dout, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("inputs", "outputs"), [(400, 400), (37, 9), (1000, 133)])
def test_a_vector_has_the_same_sums_among_any_others(rng, dtype, inputs, outputs):
    """Its output is one sum, in the order of the inputs, slice by slice; its dx is one among few vectors, and one among
    many."""
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in [(64, inputs), (inputs, outputs), outputs])
    dout = rng.standard_normal((64, outputs)).astype(dtype)
    alone = np.concatenate([cpu.dense_forward(x[n : n + 1], w, b) for n in range(64)])
    few = np.concatenate([cpu.dense_backward_input(dout[n : n + 1], w) for n in range(64)])
    many = cpu.dense_backward_input(dout, w)
    for first, last in [(0, 2), (3, 9), (5, 12), (1, 14), (8, 23), (8, 24), (0, 47), (0, 48), (0, 64)]:
        np.testing.assert_array_equal(cpu.dense_forward(x[first:last], w, b), alone[first:last])
        expected = (many if last - first >= choice.MANY["dx"] else few)[first:last]
        np.testing.assert_array_equal(cpu.dense_backward_input(dout[first:last], w), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "outputs", "streams"), [(1, 64, True), (8, 64, True), (9, 64, False), (2, 65, False)])
def test_a_large_dw_of_very_few_vectors_is_written_past_the_caches(monkeypatch, rng, dtype, n, outputs, streams):
    """If its rows begin and end where lines of a cache do; and it has the same bits."""
    x, dout = (rng.standard_normal((n, size)).astype(dtype) for size in (3000, outputs))
    expected, told = cpu.dense_backward_params(dout, x)[0], []
    monkeypatch.setattr(cpu, "CACHED_BYTES", expected.nbytes)
    kernel = cpu._backward_params
    monkeypatch.setattr(cpu, "_backward_params", lambda *some: told.append(some[3]) or kernel(*some))
    np.testing.assert_array_equal(cpu.dense_backward_params(dout, x)[0], expected)
    monkeypatch.setattr(cpu, "CACHED_BYTES", expected.nbytes - 1)
    np.testing.assert_array_equal(cpu.dense_backward_params(dout, x)[0], expected)
    assert told == [False, streams]


@pytest.mark.parametrize(
    ("n", "outputs", "panels"),
    [(15, 4096, []), (16, 4096, ["dx"]), (47, 4096, ["dx"]), (48, 4096, ["out", "dx", "dw"]), (128, 4095, ["dx"])],
)
def test_of_many_vectors_and_weights_the_copies_pay(monkeypatch, n, outputs, panels):
    """32 inputs and 4096 outputs are 131,072 weights."""
    found = []
    for result, name in (("out", "forward"), ("dx", "backward_input"), ("dw", "backward_params")):
        monkeypatch.setattr(cpu.cpu_panels, name, lambda *_, result=result: found.append(result))
    x, w, dout = (np.ones(shape, np.float32) for shape in ((n, 32), (32, outputs), (n, outputs)))
    cpu.dense_forward(x, w, w[0])
    cpu.dense_backward_input(dout, w)
    cpu.dense_backward_params(dout, x)
    assert found == panels
