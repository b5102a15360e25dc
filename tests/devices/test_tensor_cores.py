"""Matrix products on tensor cores: which ones go there, exact integers, rounding, infinity and NaN.

pytest --backend cuda [--emulated-gpu]; the shapes of convolutions are tested in tests/ops/test_conv2d.py too.
"""

from __future__ import annotations

import numpy as np
import pytest
from backends import Backend
from strategies import Case

from tinyalexnet import Conv2d, Dense, Sequential, alexnet, to_device, to_host
from tinyalexnet.devices import device
from tinyalexnet.devices.cuda import gemm, tensor_gemm
from tinyalexnet.devices.cuda.tensor_gemm import DEPTH, LEAST_DEPTH, TILE, Matrix, depth_of_splits
from tinyalexnet.geometry import Window
from tinyalexnet.losses import l2_loss
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward

pytestmark = pytest.mark.cuda
CUDA, REFERENCE = Backend("cuda"), Backend("reference")
U = 2.0**-24


@pytest.fixture
def products(monkeypatch):
    """The sizes of the products that went to tensor cores."""
    found = []
    multiply = tensor_gemm.multiply

    def spy(a, b, bias, sizes, points, out, ranges=None, **options):
        found.append((*sizes, points))
        multiply(a, b, bias, sizes, points, out, ranges, **options)

    monkeypatch.setattr(tensor_gemm, "multiply", spy)
    return found


def passes(run, case, arrays, algorithm="gemm"):
    x, w, b, dout = arrays
    last = case.window, case.groups, algorithm
    out, dx = run(conv2d_forward, x, w, b, *last), run(conv2d_backward_input, dout, w, x.shape, *last)
    return out, dx, *run(conv2d_backward_params, dout, x, *last)


CASES = {
    "padding": Case(Window(3, 1, "SAME"), (2, 7, 9, 8), 12, 1, 1),
    "groups": Case(Window((2, 3), 1, ((1, 0), (2, 1))), (3, 6, 7, 8), 16, 2, 2),
    "strides": Case(Window((3, 2), (2, 3), ((0, 2), (1, 0))), (2, 9, 10, 4), 8, 1, 3),
    "first layer": Case(Window(11, 4), (2, 27, 31, 3), 8, 1, 4),
    "first layer, padded": Case(Window(5, 4, ((2, 1), (3, 0))), (2, 13, 14, 3), 4, 1, 5),
    "no padding, whole rows": Case(Window(2, 1), (2, 5, 6, 4), 4, 1, 6),
    "windows that end before the image": Case(Window(2, 3), (2, 7, 8, 4), 4, 1, 7),
    "padding beyond the kernel": Case(Window(2, 1, ((3, 2), (2, 4))), (1, 3, 3, 4), 4, 1, 8),
    "pointwise": Case(Window(1, 1), (2, 5, 7, 12), 8, 1, 9),
    "pointwise with a stride": Case(Window(1, 2), (2, 5, 7, 4), 8, 1, 10),
    "more than a tile": Case(Window(3, 1, "SAME"), (2, 9, 9, 8), TILE + 4, 1, 11),
    "split": Case(Window(3, 1, "SAME"), (4, 6, 7, 2 * LEAST_DEPTH // 8), 4, 1, 12),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_convolutions_are_exact_on_integers(products, case):
    arrays = case.integers()
    found, expected = (passes(run, case, arrays) for run in (CUDA, REFERENCE))
    for got, exact in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, exact, strict=True)
    # dx with a stride is a gather.
    assert len(products) == (3 if case.window.stride == (1, 1) else 2)


def test_winograds_products_are_on_tensor_cores(products):
    case = Case(Window(3, 1, "SAME"), (1, 6, 5, 4), 8, 1, 1)
    arrays = case.normals(np.float32)
    for got, exact in zip(passes(CUDA, case, arrays, "winograd"), passes(REFERENCE, case, arrays), strict=True):
        np.testing.assert_allclose(got, exact, rtol=0, atol=1e-4)
    assert len(products) == 3
    assert min(points for *_, points in products) >= 16


def dense_passes(run, arrays):
    x, w, b, dout = arrays
    return run(dense_forward, x, w, b), run(dense_backward_input, dout, w), *run(dense_backward_params, dout, x)


@pytest.mark.parametrize("sizes", [(1, 4, 4), (5, 36, 72), (67, 68, 12), (3, 2 * LEAST_DEPTH + 20, 8)])
@pytest.mark.parametrize("capability", [(9, 0), (7, 0)], ids=["tensor cores", "without"])
def test_dense_layers_are_exact_on_integers(products, monkeypatch, rng, sizes, capability):
    """The weights are not turned for dx: a transposed copy of AlexNet's largest has 151 MB."""
    monkeypatch.setattr(tensor_gemm, "compute_capability", lambda: capability)
    n, channels, filters = sizes
    shapes = (n, channels), (channels, filters), filters, (n, filters)
    arrays = [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]
    if capability >= gemm.TENSOR_CORES:
        monkeypatch.setattr(gemm, "turned", None)
    for got, exact in zip(dense_passes(CUDA, arrays), dense_passes(REFERENCE, arrays), strict=True):
        np.testing.assert_array_equal(got, exact, strict=True)
    expected = [(n, channels, filters, 1), (n, filters, channels, 1), (channels, n, filters, 1)]
    assert products == (expected if capability >= gemm.TENSOR_CORES else [])


def test_the_rule(monkeypatch):
    """By dtype, alignment, compute capability and shapes alone."""
    aligned = to_device(np.zeros(16, np.float32))

    def chosen(channels, filters, stride=1, groups=1, array=aligned):
        return gemm.uses_tensor_cores(array.dtype, channels, filters, (stride, stride), groups)

    monkeypatch.setattr(tensor_gemm, "compute_capability", lambda: (8, 0))
    assert chosen(4, 4)
    assert chosen(3, 64, 4)
    assert chosen(8, 8, groups=2)
    assert not chosen(3, 64)
    assert not chosen(3, 64, 2)
    assert not chosen(4, 6)
    assert not chosen(4, 8, groups=2)
    assert not chosen(8, 4, groups=2)
    assert not chosen(6, 8, 2, groups=2)
    assert not chosen(4, 4, array=to_device(np.zeros(16)))
    monkeypatch.setattr(tensor_gemm, "compute_capability", lambda: (7, 5))
    assert not chosen(4, 4)


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize(("tiles", "depth"), [(1, 1), (1, 127), (1, 256), (3, 6272), (128, 9216), (10**6, 512), (0, 0)])
def test_splits_cover_the_depth(by_rows, tiles, depth):
    length = depth_of_splits(tiles, depth, by_rows)
    assert length > 0
    assert length % DEPTH == 0
    splits = -(-depth // length)
    assert splits <= 1 or length >= LEAST_DEPTH
    assert (tiles, splits) != (1, 1) or depth < 2 * LEAST_DEPTH


def multiplied(a, b, by_rows=(True, False), precision="float32", **options):
    """A B on the device, whichever way the matrices lie."""
    (rows, depth), columns = a.shape, b.shape[1]
    lying = (a if by_rows[0] else a.T), (b.T if by_rows[1] else b)
    matrices = [
        Matrix(to_device(np.ascontiguousarray(array)), rows, array.shape[1])
        for array, rows in zip(lying, by_rows, strict=True)
    ]
    out = to_device(np.zeros((rows, columns), np.float32))
    bias = gemm.zeros(columns, np.dtype(np.float32))
    with device("cuda").precision(precision):
        tensor_gemm.multiply(*matrices, bias, (rows, depth, columns), 1, out, **options)
    return to_host(out)


@pytest.mark.parametrize("by_rows", [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("terms", "large", "small"), [(1, 2**22, 2), (1, 2**12, 2**11), (4, 2**20, 2), (64, 2**11, 2**6)]
)
def test_integers_are_exact_up_to_the_bound(rng, by_rows, swapped, terms, large, small):
    """One factor of each product has at most 11 bits, the other 22, and Σ |a| |b| is at most 2**23: nothing is lost."""
    depth = max(terms, 4)
    limits = (small, large) if swapped else (large, small)
    shapes = (20, depth), (depth, 12)
    a, b = (rng.integers(-limit, limit + 1, shape) for limit, shape in zip(limits, shapes, strict=True))
    a[0], b[:, 0] = limits
    a[1], b[:, 1] = limits[0] - 1, 1 - limits[1]
    a[:, terms:] = 0
    exact = a @ b
    assert exact.max() == 2**23
    found = multiplied(a.astype(np.float32), b.astype(np.float32), by_rows)
    np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_beyond_the_bound_small_times_small_is_left_out():
    """2049 is 2050 - 1: of its square, which float32 could hold, 1 is missing."""
    square = np.full((4, 4), 2049, np.float32)
    np.testing.assert_array_equal(multiplied(2049 * np.eye(4, dtype=np.float32), square), square**2 - 1)


DEEP = 2048


@pytest.fixture
def positive(rng):
    return rng.uniform(0.5, 1, (8, DEEP)).astype(np.float32), rng.uniform(0.5, 1, (DEEP, 8)).astype(np.float32)


def error_of(a, b, **options):
    """The largest error relative to Σ |a| |b|."""
    exact = a.astype(np.float64) @ b
    return (np.abs(multiplied(a, b, **options) - exact) / (np.abs(a).astype(np.float64) @ np.abs(b))).max()


def test_promotion_keeps_deep_sums_accurate(positive, monkeypatch):
    """|error| <= (16 + n / 16) u Σ |a| |b|: docs/tensor_cores.md. Without promotion each product cuts off the total."""
    monkeypatch.setattr(tensor_gemm, "ENOUGH_TILES", {True: 0})  # no split-K, which would hide it
    monkeypatch.setattr(tensor_gemm, "_problem", tensor_gemm._problem.__wrapped__)
    promoted, plain = error_of(*positive), error_of(*positive, promoted=False)
    assert promoted <= (16 + DEEP / DEPTH) * U
    assert plain > 10 * promoted
    assert plain > 2e-6


def test_rounding_with_signs(rng):
    for depth in (4, 8, 24, 200):
        a, b = rng.standard_normal((30, depth)).astype(np.float32), rng.standard_normal((depth, 8)).astype(np.float32)
        assert error_of(a, b) <= (16 + depth / DEPTH) * U


def test_tf32_takes_one_product_and_rounds_its_factors(positive):
    """To 11 bits: an error of 2**-11 for each of the two."""
    a, b = positive[0][:, :64], positive[1][:64]
    error = error_of(a, b, precision="tf32")
    assert 1e-6 < error <= 2.0**-10 * (1 + 2**-10) + 32 * U


# --- precision="tf32" -------------------------------------------------------------------------------------------------


def tf32_of(function, *arrays, **options):
    """The result in both precisions."""
    return [CUDA(function, *arrays, **options, precision=precision) for precision in ("float32", "tf32")]


def test_operations_round_the_factors_of_tf32(rng):
    """Each by 2**-11 of itself: so the difference is within about 2**-10 Σ |a b|, and 3e-4 of the norm."""
    x, w = rng.standard_normal((2, 7, 7, 8)).astype(np.float32), rng.standard_normal((3, 3, 8, 12)).astype(np.float32)
    dout, b = rng.standard_normal((2, 7, 7, 12)).astype(np.float32), np.zeros(12, np.float32)
    window = Window(3, 1, "SAME")
    cases = [
        (conv2d_forward, (x, w, b, window), (abs(x), abs(w), b, window)),
        (conv2d_backward_input, (dout, w, x.shape, window), (abs(dout), abs(w), x.shape, window)),
        (conv2d_backward_params, (dout, x, window), (abs(dout), abs(x), window)),
        (dense_forward, (x[0, 0], w[0, 0], b), (abs(x[0, 0]), abs(w[0, 0]), b)),
        (dense_backward_input, (dout[0, 0], w[0, 0]), (abs(dout[0, 0]), abs(w[0, 0]))),
        (dense_backward_params, (dout[0, 0], x[0, 0]), (abs(dout[0, 0]), abs(x[0, 0]))),
    ]
    for function, arguments, absolute in cases:
        exact, rounded = tf32_of(function, *arguments)
        bound = REFERENCE(function, *absolute)
        if isinstance(exact, tuple):
            np.testing.assert_array_equal(exact[1], rounded[1])
            exact, rounded, bound = exact[0], rounded[0], bound[0]
        difference = rounded.astype(np.float64) - exact
        assert (abs(difference) <= (2.0**-10 + 2.0**-22 + 64 * U) * bound).all(), function.__name__
        assert 1e-4 < np.linalg.norm(difference) / np.linalg.norm(exact) < 6e-4, function.__name__


def test_tf32_takes_implicit_gemm(rng):
    conv = Conv2d(64, 64, 3, padding="SAME", backend="cuda", precision="tf32")
    assert conv.cost((8, 13, 13, 64)).algorithm == "gemm"
    assert Conv2d(64, 64, 3, padding="SAME", backend="cuda").cost((8, 13, 13, 64)).algorithm.startswith("F(")
    conv = Conv2d(4, 4, 3, backend="cuda", algorithm="winograd", precision="tf32")
    message = "algorithm is 'winograd', but must be 'auto' or 'gemm' with precision 'tf32'"
    with pytest.raises(ValueError, match=message):
        conv.forward(to_device(np.ones((1, 5, 5, 4), np.float32)))


def test_what_does_not_come_to_tensor_cores_is_not_rounded(rng):
    for dtype, channels in ((np.float64, 4), (np.float32, 3)):
        x, w = rng.standard_normal((5, channels)).astype(dtype), rng.standard_normal((channels, 8)).astype(dtype)
        np.testing.assert_array_equal(*tf32_of(dense_forward, x, w, np.zeros(8, dtype)))


def test_the_precision_ends_with_the_operation(rng):
    a, b = rng.standard_normal((4, 8)).astype(np.float32), rng.standard_normal((8, 4)).astype(np.float32)
    before = multiplied(a, b)
    with pytest.raises(AttributeError), device("cuda").precision("tf32"):
        multiplied(None, b)
    assert (multiplied(a, b, precision="tf32") != before).any()
    np.testing.assert_array_equal(multiplied(a, b), before)


def test_layers_have_the_precision_that_they_were_given(rng, products):
    net = Sequential(
        [
            ("conv", Conv2d(4, 8, 3, backend="cuda", rng=0, precision="tf32")),
            ("conv2", Conv2d(8, 8, 3, backend="cuda", rng=1, needs_dx=True)),
        ]
    )
    x = rng.standard_normal((2, 8, 8, 4)).astype(np.float32)
    there = to_device(x)
    first = net["conv"].forward(there)
    rounded = CUDA(conv2d_forward, x, *map(to_host, net["conv"].params.values()), Window(3), precision="tf32")
    np.testing.assert_array_equal(to_host(first), rounded)
    plain = to_host(net.forward(there))
    step = net.captured(lambda y: l2_loss(y, "cuda"))
    found = to_host(step(there).out)
    np.testing.assert_array_equal(found, plain)
    # A recorded step keeps the precision of then.
    net["conv"].precision = "float32"
    np.testing.assert_array_equal(to_host(step(there).out), plain)
    assert (to_host(net.forward(there)) != plain).any()
    assert products


def test_unknown_precisions_are_refused():
    message = "precision is 'half', but must be 'float32' or 'tf32' on backend 'cuda'"
    for make in (
        lambda: Conv2d(4, 4, 3, backend="cuda", precision="half"),
        lambda: alexnet("tf2015", "cuda", precision="half"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(ValueError, match=message):
        CUDA(
            dense_forward,
            np.ones((4, 4), np.float32),
            np.ones((4, 4), np.float32),
            np.ones(4, np.float32),
            precision="half",
        )
    assert Dense(4, 4, backend="cuda", precision="tf32").precision == "tf32"


NOT_FINITE = np.array([0x7F800000, 0xFF800000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000], np.uint32).view(
    np.float32
)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("value", NOT_FINITE, ids=["inf", "-inf", "nan", "-nan", "signaling", "quiet"])
@pytest.mark.parametrize("factor", [1.0, 0.0, -3e-39])
def test_what_is_not_finite_never_becomes_finite(rng, precision, value, factor):
    a, b = rng.standard_normal((8, 20)).astype(np.float32), rng.standard_normal((20, 8)).astype(np.float32)
    a[3, 7], b[11, 5] = value, value
    b[7, 2] = a[6, 11] = factor
    found = multiplied(a, b, precision=precision)
    poisoned = np.zeros((8, 8), bool)
    poisoned[3], poisoned[:, 5] = True, True
    assert not np.isfinite(found[poisoned]).any()
    assert np.isfinite(found[~poisoned]).all()


def test_the_largest_numbers_count_as_infinite(rng):
    """Above 2**128 - 2**116 they round to infinity."""
    a = np.ones((4, 4), np.float32)
    a[1, 0] = np.finfo(np.float32).max
    a[2, 0] = 2.0**128 - 2.0**117
    found = multiplied(a, np.eye(4, dtype=np.float32))
    assert np.isnan(found[1]).any()
    np.testing.assert_array_equal(found[[0, 2, 3]], a[[0, 2, 3]])


def test_nan_stays_in_its_windows(rng):
    """Also if its chunk of 16 bytes reaches into them, as with three channels."""
    for window, shape, filters in ((Window(3, 1), (1, 6, 6, 4), 4), (Window(5, 4), (1, 9, 13, 3), 4)):
        case = Case(window, shape, filters, 1, 7)
        x, w, b, dout = case.normals(np.float32)
        x[0, 0, 5] = np.nan
        out, _, dw, _ = passes(CUDA, case, (x, w, b, dout))
        expected, _, dw_expected, _ = passes(REFERENCE, case, (x, w, b, dout))
        np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
        np.testing.assert_array_equal(np.isnan(dw), np.isnan(dw_expected))
        assert np.isnan(out).any()
        assert not np.isnan(out).all()


def test_results_have_the_same_bits_each_time(positive):
    a, b = positive
    np.testing.assert_array_equal(multiplied(a, b), multiplied(a, b))
