"""The convolution's three functions: loops = every backend, adjoint identities, rounding."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from backends import Backend
from hypothesis import example, given
from strategies import Case, cases

from tinyalexnet.devices.cuda import tensor_gemm
from tinyalexnet.devices.cuda.runtime import THREADS
from tinyalexnet.devices.cuda.simt_gemm import LEAST_STEPS
from tinyalexnet.devices.cuda.simt_tiles import COLS, DEPTH, ROWS
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward

# Two images of 23x23 outputs: more pixels than one block of the compiled kernels, and not a multiple of it.
SEVERAL_BLOCKS = Case(Window(3, 1, "SAME"), (2, 23, 23, 2), 3, 1, 1)
# Two tasks of the backward, of 28 images and of 3.
SEVERAL_IMAGES = Case(Window(3, 1, "SAME"), (31, 4, 4, 2), 3, 1, 4)
FIRST_LAYER = Case(Window(11, 4), (2, 35, 31, 3), 5, 1, 2)
NARROWER_THAN_ITS_PADDING = Case(Window((3, 2), 1, ((4, 3), (3, 3))), (1, 1, 1, 1), 1, 1, 3)

# One channel, whose im2col is the other way round: several blocks; and strides, with padding wider than a window.
GREY = Case(Window((3, 5), 1, "SAME"), (2, 23, 24, 1), 3, 1, 5)
GREY_STRIDES = Case(Window((2, 3), (2, 3), ((1, 0), (4, 5))), (3, 9, 11, 1), 5, 1, 6)


def passes(run, case, arrays):
    """out, dx, dw and db, without Winograd."""
    x, w, b, dout = arrays
    last = case.window, case.groups, "gemm"
    out, dx = run(conv2d_forward, x, w, b, *last), run(conv2d_backward_input, dout, w, x.shape, *last)
    return out, dx, *run(conv2d_backward_params, dout, x, *last)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=cases())
@example(case=SEVERAL_BLOCKS)
@example(case=SEVERAL_IMAGES)
@example(case=FIRST_LAYER)
@example(case=NARROWER_THAN_ITS_PADDING)
@example(case=GREY)
@example(case=GREY_STRIDES)
def test_equals_the_loops_to_the_last_bit_on_integers(run, dtype, case):
    x, w, b, dout = case.integers(dtype)
    window, groups = case.window, case.groups
    out = loops.conv2d_forward(x, w, b, window.stride, case.pads, groups, case.out_size)
    expected = out, *loops.conv2d_backward(x, w, dout, window.stride, case.pads, groups)
    for got, exact in zip(passes(run, case, (x, w, b, dout)), expected, strict=True):
        np.testing.assert_array_equal(got, exact, strict=True)


# More elements than a block has threads; then more than a tile of ROWS x COLS in each direction. Vectorised loads read
# both matrices, one of them, the other. In the last two, sums over the output pixels, and over the kernel, are split.
BEYOND_A_BLOCK = Case(Window((3, 2), (2, 1), ((1, 0), (0, 1))), (1, 6, 7, 4), 2 * (THREADS // 16 + 1), 2, 1)
PIXELS = 6 * 7
IMAGES = max(ROWS // PIXELS + 2, -(-2 * LEAST_STEPS * DEPTH // PIXELS))
BEYOND_A_TILE = {
    "both vectorised": Case(Window((3, 2), 1, "SAME"), (IMAGES, 6, 7, 8), 2 * COLS + 8, 2, 1),
    "images vectorised": Case(Window((2, 3), 1, "SAME"), (IMAGES, 6, 7, 4), COLS + 2, 1, 2),
    "filters vectorised": Case(Window(1, 1, "SAME"), (IMAGES, 6, 7, 9), COLS + 4, 1, 3),
    "split": Case(Window((2, 1), 1, "SAME"), (IMAGES, 6, 7, LEAST_STEPS * DEPTH), 5, 1, 4),
}
GPU_CASES = {"beyond a block": BEYOND_A_BLOCK, **BEYOND_A_TILE}


@pytest.mark.cuda
@pytest.mark.parametrize("case", GPU_CASES.values(), ids=GPU_CASES)
def test_sizes_beyond_a_tile_of_the_gpu_are_exact(run, case, monkeypatch):
    """In plain multiply-adds, as on a GPU without tensor cores. Against the reference: the loops would take minutes."""
    monkeypatch.setattr(tensor_gemm, "compute_capability", lambda: (7, 0))
    x, w, b, dout = case.integers()
    found, expected = (passes(on, case, (x, w, b, dout)) for on in (run, Backend("reference")))
    for got, exact in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, exact, strict=True)


def test_the_examples_are_not_vacuous():
    """Most outputs of a typical case are not 0, so equality says something."""
    seen = []

    @given(case=cases())
    def look(case):
        x, w, b, _ = case.integers()
        seen.append(np.mean(conv2d_forward(x, w, b, case.window, case.groups, backend="reference") != 0))

    look()
    assert np.mean(seen) > 0.7


@given(case=cases())
def test_backward_is_the_adjoint_of_forward(run, case):
    """⟨dout, conv(x, w)⟩ = ⟨x, dx⟩ = ⟨w, dw⟩: exact on integers, because every sum stays below 2**53."""
    x, w, b, dout = case.integers(np.float64)
    out = run(conv2d_forward, x, w, np.zeros_like(b), case.window, case.groups)
    dx = run(conv2d_backward_input, dout, w, x.shape, case.window, case.groups)
    dw, db = run(conv2d_backward_params, dout, x, case.window, case.groups)
    assert np.sum(dout * out) == np.sum(x * dx) == np.sum(w * dw)
    assert np.sum(b * db) == np.sum(dout * b)


FEWEST_TERMS = {"cuda": 18}
"""On tensor cores the error is at most (16 + n / 16) u Σ|x||w|, which is less than n u from here on:
docs/tensor_cores.md."""


def rounding_bound(terms, magnitude):
    """γₙ Σ|x||w| with γₙ = n u / (1 - n u), u = 2⁻²⁴: Higham, Accuracy and Stability of Numerical Algorithms, 3.1."""
    u = 2.0**-24
    return terms * u / (1 - terms * u) * magnitude


@given(case=cases())
@example(case=SEVERAL_BLOCKS)
def test_float32_rounds_no_more_than_any_order_of_summation_may(run, case):
    arrays = case.normals(np.float32)
    x, w, b, dout = arrays
    exact = [a.astype(np.float64) for a in arrays]
    sizes = [np.abs(a) for a in exact]
    window, groups, reference = case.window, case.groups, Backend("reference")

    def compare(found, function, arguments, terms):
        magnitude = function(*(sizes[i] for i in arguments))
        error = np.abs(found - function(*(exact[i] for i in arguments)))
        assert (error <= rounding_bound(max(terms, FEWEST_TERMS.get(run.name, 0)), magnitude)).all()

    terms = w[..., 0].size
    compare(
        run(conv2d_forward, x, w, b, window, groups, "gemm"),
        lambda x, w, b: reference(conv2d_forward, x, w, b, window, groups),
        (0, 1, 2),
        terms + 1,
    )
    compare(
        run(conv2d_backward_input, dout, w, x.shape, window, groups, "gemm"),
        lambda dout, w: reference(conv2d_backward_input, dout, w, case.x_shape, window, groups),
        (3, 1),
        w.shape[0] * w.shape[1] * w.shape[3] // groups,
    )
    pixels = dout[..., 0].size
    for part in (0, 1):
        compare(
            run(conv2d_backward_params, dout, x, window, groups, "gemm")[part],
            lambda dout, x, part=part: reference(conv2d_backward_params, dout, x, window, groups)[part],
            (3, 0),
            pixels,
        )


def test_strided_input_works_and_is_left_alone(run, rng):
    run.skip_without_views()
    case = Case(Window(3, 2, "SAME"), (2, 7, 6, 4), 6, 2, 5)
    x, w, b, dout = case.integers()
    wide = {name: np.repeat(a, 2, axis=-1) for name, a in {"x": x, "w": w, "b": b, "dout": dout}.items()}
    strided = {name: a[..., ::2] for name, a in wide.items()}
    assert not strided["x"].flags.c_contiguous
    before = {name: a.copy() for name, a in wide.items()}
    window, groups = case.window, case.groups
    np.testing.assert_array_equal(
        run(conv2d_forward, strided["x"], strided["w"], strided["b"], window, groups),
        run(conv2d_forward, x, w, b, window, groups),
    )
    np.testing.assert_array_equal(
        run(conv2d_backward_input, strided["dout"], strided["w"], x.shape, window, groups),
        run(conv2d_backward_input, dout, w, x.shape, window, groups),
    )
    found = run(conv2d_backward_params, strided["dout"], strided["x"], window, groups)
    for got, expected in zip(found, run(conv2d_backward_params, dout, x, window, groups), strict=True):
        np.testing.assert_array_equal(got, expected)
    for name, a in wide.items():
        np.testing.assert_array_equal(a, before[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_the_windows_they_are_in_and_no_others(run, value):
    case = Case(Window(3, 1), (1, 6, 6, 2), 2, 1, 7)
    x, w, b, dout = case.normals(np.float32)
    w[w == 0] = 1
    poisoned = x.copy()
    poisoned[0, 0, 0, 0] = value
    with np.errstate(invalid="ignore"):
        out = run(conv2d_forward, poisoned, w, b, case.window)
        assert not np.isfinite(out[0, 0, 0]).any()
        assert np.isfinite(out[0, 1:]).all()
        dw, _ = run(conv2d_backward_params, dout, poisoned, case.window)
        assert not np.isfinite(dw[0, 0, 0]).any()
        assert np.isfinite(dw[1:]).all()
        dout[0, 0, 0, 0] = value
        dx = run(conv2d_backward_input, dout, w, x.shape, case.window)
        assert not np.isfinite(dx[0, :3, :3]).any()
        assert np.isfinite(dx[0, 3:]).all()


def test_an_input_of_0_gives_the_bias(run):
    b = np.array([1, -2], np.float32)
    zeros = np.zeros((1, 3, 3, 1), np.float32)
    out = run(conv2d_forward, zeros, np.ones((3, 3, 1, 2), np.float32), b, Window(3, 1, "SAME"))
    np.testing.assert_array_equal(out, np.broadcast_to(b, (1, 3, 3, 2)))
