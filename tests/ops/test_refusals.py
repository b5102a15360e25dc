"""Bad input is refused in one sentence, which names the argument, its value and the allowed ones: on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU, Sequential, alexnet
from tinyalexnet.devices import Device
from tinyalexnet.geometry import Window
from tinyalexnet.ops.avgpool import avgpool_backward, avgpool_forward
from tinyalexnet.ops.checks import check_floats
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.l2_loss import l2_loss
from tinyalexnet.ops.lrn import lrn_backward, lrn_forward
from tinyalexnet.ops.maxpool import maxpool_backward, maxpool_forward
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.ops.relu import relu_backward, relu_forward
from tinyalexnet.ops.softmax_cross_entropy import softmax_cross_entropy


def f32(*shape):
    return np.ones(shape, np.float32)


X, W, B, DOUT = f32(2, 5, 5, 4), f32(3, 3, 4, 6), f32(6), f32(2, 3, 3, 6)
WINDOW, POOL = Window(3), Window(3, 2)
ARGMAX = np.zeros((2, 2, 2, 4), np.uint8)
KEPT = np.ones(4, bool)
READ_ONLY = f32(4)
READ_ONLY.setflags(write=False)

REFUSED = [
    (conv2d_forward, ([1, 2], W, B, WINDOW), TypeError, "x is a list, but must be {array} of dtype float32 or float64"),
    (conv2d_forward, (X.astype(int), W, B, WINDOW), TypeError, "x has dtype int64, but must have dtype float32"),
    (conv2d_forward, (X.astype(">f4"), W, B, WINDOW), TypeError, "x has dtype >f4, but must have dtype"),
    (conv2d_forward, (X[0], W, B, WINDOW), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    (conv2d_forward, (X[:0], W, B, WINDOW), ValueError, r"x has shape \(0, 5, 5, 4\), but .* no dimension of size 0"),
    (conv2d_forward, (X[..., :3], W, B, WINDOW), ValueError, r"x has 3 channels, but must have 4 \(N, H, W, C\)"),
    (
        conv2d_forward,
        (f32(2, 5, 5, 6), W, B, WINDOW, 2),
        ValueError,
        r"x has 6 channels, but must have 8 \(N, H, W, C\)",
    ),
    (conv2d_forward, (X, W, B, WINDOW, 2), ValueError, r"w has shape \(3, 3, 4, 6\), but must .*, \(3, 3, 2, 6\)"),
    (conv2d_forward, (X, W, B, WINDOW, 1, "fft"), ValueError, "algorithm is 'fft', but must be one of 'auto', 'gemm'"),
    (conv2d_forward, (X, W, B, Window(3), -1), ValueError, "groups is -1, but must divide"),
    (conv2d_backward_input, (DOUT, W, (2, 5, 5, 3), WINDOW), ValueError, "x has 3 channels, but must have 4"),
    (conv2d_backward_params, (DOUT, X, WINDOW, 0), ValueError, "groups is 0, but must divide the 4 channels of x"),
    (conv2d_backward_params, (DOUT[..., :0], X, WINDOW), ValueError, r"dout has shape \(2, 3, 3, 0\), but must"),
    (conv2d_forward, (X, W[0], B, WINDOW), ValueError, r"w has shape \(3, 4, 6\), but must have shape"),
    (conv2d_forward, (X, W[..., :0], B, WINDOW), ValueError, r"w has shape \(3, 3, 4, 0\), but must"),
    (
        conv2d_forward,
        (X, W[:, :, :0], B, WINDOW),
        ValueError,
        r"w has shape \(3, 3, 0, 6\), but must .*, \(3, 3, 4, 6\)",
    ),
    (conv2d_forward, (X, W[:, :, :0], B, WINDOW, 2), ValueError, r"w has shape \(3, 3, 0, 6\), .*, \(3, 3, 2, 6\)"),
    (conv2d_forward, (X, W.astype(float), B, WINDOW), TypeError, "x has dtype float32, but must have the dtype of w"),
    (
        conv2d_forward,
        (X, None, B, WINDOW),
        TypeError,
        "w is a NoneType, but must be {array} of dtype float32 or float64",
    ),
    (conv2d_forward, (X, W, B[:2], WINDOW), ValueError, r"b has shape \(2,\), but must have one element per filter"),
    (conv2d_forward, (X, W, B.astype(float), WINDOW), TypeError, "b has dtype float64, but must have the dtype of w"),
    (conv2d_forward, (X, W, 0.0, WINDOW), TypeError, "b is a float, but must be {array} of dtype float32 or float64"),
    (conv2d_forward, (X, W, B, WINDOW, 3), ValueError, "groups is 3, but must divide the 4 channels of x"),
    (conv2d_forward, (X, W, B, WINDOW, 0), ValueError, "groups is 0, but must divide"),
    (conv2d_forward, (X, f32(3, 3, 2, 5), f32(5), WINDOW, 2), ValueError, r"w has shape \(3, 3, 2, 5\), but"),
    (conv2d_forward, (X[:, :2], W, B, WINDOW), ValueError, r"x has 2 x 5 pixels, .* fits nowhere"),
    (conv2d_backward_input, (DOUT[:1], W, X.shape, WINDOW), ValueError, r"dout has shape \(1, 3, 3, 6\), but must"),
    (conv2d_backward_input, (DOUT.astype(float), W, X.shape, WINDOW), TypeError, "dout has dtype float64, but must"),
    (conv2d_backward_input, (DOUT, W, X.shape[1:], WINDOW), ValueError, r"x has shape \(5, 5, 4\), but must"),
    (conv2d_backward_params, (DOUT[:, :2], X, WINDOW), ValueError, r"dout has shape \(2, 2, 3, 6\), but must"),
    (conv2d_backward_params, (DOUT[0], X, WINDOW), ValueError, r"dout has shape \(3, 3, 6\), but must"),
    (conv2d_backward_params, (DOUT.astype(float), X, WINDOW), TypeError, "dout has dtype float64, but must"),
    (conv2d_backward_params, (DOUT, X, WINDOW, 4), ValueError, r"dout has shape \(2, 3, 3, 6\), but must"),
    (maxpool_forward, (X[0], POOL), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    (maxpool_forward, (X > 0, POOL), TypeError, "x has dtype bool, but must have dtype"),
    (maxpool_forward, (X, Window(2, 1, 2)), ValueError, "padding is .*, but a pool's must be smaller"),
    (maxpool_forward, (X, Window(6, 1)), ValueError, "fits nowhere"),
    (maxpool_backward, (f32(2, 2, 2, 3), ARGMAX, X.shape, POOL), ValueError, r"dout has shape \(2, 2, 2, 3\), but"),
    (
        maxpool_backward,
        (f32(2, 2, 2, 4), ARGMAX.astype(int), X.shape, POOL),
        TypeError,
        "argmax has dtype int64, but must have the forward's",
    ),
    (maxpool_backward, (f32(2, 2, 2, 4), [0], X.shape, POOL), TypeError, "argmax is a list, but must be {array}"),
    (maxpool_backward, (f32(2, 2, 2, 4), ARGMAX[:1], X.shape, POOL), ValueError, r"argmax has shape \(1, 2, 2, 4\)"),
    (relu_forward, ("x",), TypeError, "x is a str, but must be {array} of dtype float32 or float64"),
    (relu_forward, (f32(4), f32(3)), ValueError, r"out has shape \(3,\), but must have the shape of x, \(4,\)"),
    (relu_forward, (f32(4), np.ones(4)), TypeError, "out has dtype float64, but must have the dtype of x, float32"),
    (relu_backward, (f32(4), f32(3)), ValueError, r"dout has shape \(4,\), but must have the output's shape, \(3,\)"),
    (relu_backward, (np.ones(4), f32(4)), TypeError, "dout has dtype float64, but must have the dtype of y"),
    (avgpool_forward, (X[0], POOL), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    (avgpool_forward, (X, Window(2, 1, 2)), ValueError, "padding is .*, but a pool's must be smaller"),
    (avgpool_forward, (X > 0, POOL), TypeError, "x has dtype bool, but must have dtype"),
    (
        avgpool_backward,
        (f32(2, 2, 2, 3), X.shape, POOL),
        ValueError,
        r"dout has shape \(2, 2, 2, 3\), but must have the o",
    ),
    (avgpool_backward, ([1], X.shape, POOL), TypeError, "dout is a list, but must be"),
    (lrn_forward, (X[0], 2, 1.0, 1.0, 0.5), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    (lrn_forward, (X, -1, 1.0, 1.0, 0.5), ValueError, "radius is -1, but must be an int >= 0"),
    (lrn_forward, (X, 2, 0.0, 1.0, 0.5), ValueError, "bias is 0.0, but must be a number above 0"),
    (lrn_forward, (X, 2, 1.0, -1.0, 0.5), ValueError, "alpha is -1.0, but must be a number from 0 up"),
    (lrn_forward, (X, 2, 1.0, 1.0, float("nan")), ValueError, "beta is nan, but must be a number from 0 up"),
    (
        lrn_backward,
        (X[:1], X, X, 2, 1.0, 0.5),
        ValueError,
        r"dout has shape \(1, 5, 5, 4\), but must have the shape of x",
    ),
    (lrn_backward, (X[0], X[0], X[0], 2, 1.0, 0.5), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    (lrn_backward, (X, X, X.astype(float), 2, 1.0, 0.5), TypeError, "scale has dtype float64, but must have the dtype"),
    (dense_forward, (X, f32(4, 3), f32(3)), ValueError, r"x has shape \(2, 5, 5, 4\), but must have the two"),
    (dense_forward, (f32(2, 0), f32(0, 3), f32(3)), ValueError, r"x has shape \(2, 0\), but must have no dimension"),
    (dense_forward, (f32(2, 4), f32(5, 3), f32(3)), ValueError, r"x has 4 channels, but must have 5 \(N, C\)"),
    (
        dense_forward,
        (f32(2, 4), f32(4), f32(3)),
        ValueError,
        r"w has shape \(4,\), but must have the two dimensions \(C, F\)",
    ),
    (
        dense_forward,
        (f32(2, 4), f32(4, 3), f32(2)),
        ValueError,
        r"b has shape \(2,\), but must have one element per out",
    ),
    (
        dense_forward,
        (f32(2, 4), np.ones((4, 3)), f32(3)),
        TypeError,
        "x has dtype float32, but must have the dtype of w",
    ),
    (dense_backward_input, (f32(2, 4), f32(4, 3)), ValueError, r"dout has shape \(2, 4\), but must have the output's"),
    (dense_backward_input, (f32(2, 3), f32(3)), ValueError, r"w has shape \(3,\), but must have the two dimensions"),
    (dense_backward_input, (f32(2), f32(4, 3)), ValueError, r"dout has shape \(2,\), but must have the two"),
    (dense_backward_params, (f32(2, 3), f32(3, 4)), ValueError, r"dout has shape \(2, 3\), but must have the output's"),
    (dense_backward_params, (np.ones((2, 3)), f32(2, 4)), TypeError, "dout has dtype float64, but must have the dtype"),
    (dropout, (f32(4), f32(4), 0.5), TypeError, "kept has dtype float32, but must have dtype bool"),
    (dropout, (f32(4), [True] * 4, 0.5), TypeError, "kept is a list, but must be {array} of dtype bool"),
    (dropout, (f32(3), KEPT, 0.5), ValueError, r"kept has shape \(4,\), but must have the shape of x, \(3,\)"),
    (dropout, (f32(4), KEPT, 1.0), ValueError, "rate is 1.0, but must be at least 0 and below 1"),
    (dropout_mask, ((3, -1), 0.5, 0), ValueError, "shape is -1, but must be an int >= 0"),
    (dropout_mask, ((3,), 1.5, 0), ValueError, r"rate is 1\.5, but must be at least 0 and below 1"),
    (dropout_mask, ((3,), 0.5, -1), ValueError, "seed is -1, but must be an int >= 0"),
    (
        dropout_mask,
        ((3,), 0.5, 1 << 63),
        ValueError,
        r"seed is 9223372036854775808, but must be an int from 0 to 9223372036854775807",
    ),
    (
        momentum_step,
        ([1], f32(3), f32(3), 1, 0, 0),
        TypeError,
        "w is a list, but must be {array} of dtype float32 or float64",
    ),
    (
        momentum_step,
        (f32(3), np.ones(3), f32(3), 1, 0, 0),
        TypeError,
        "v has dtype float64, but must have the dtype of",
    ),
    (
        momentum_step,
        (f32(3), f32(3), f32(2), 1, 0, 0),
        ValueError,
        r"dw has shape \(2,\), but must have the shape of w",
    ),
    (momentum_step, (f32(3), f32(3), f32(3), np.nan, 0, 0), ValueError, "rate is nan, but must be a finite number"),
    (momentum_step, (f32(3), f32(3), f32(3), 1, np.inf, 0), ValueError, "momentum is inf, but must be a finite number"),
    (momentum_step, (f32(3), f32(3), f32(3), 1, 0, "a"), ValueError, "decay is 'a', but must be a finite number"),
    (softmax_cross_entropy, (f32(4), np.array([0])), ValueError, r"logits has shape \(4,\), but must have the two"),
    (
        softmax_cross_entropy,
        (f32(2, 3), np.array([0])),
        ValueError,
        r"labels has shape \(1,\), but must have one element",
    ),
    (
        softmax_cross_entropy,
        (f32(2, 3), np.array([0.0, 1])),
        TypeError,
        "labels has dtype float64, but must have an integer dtype",
    ),
    (
        softmax_cross_entropy,
        (f32(2, 3), [0, 1]),
        TypeError,
        "labels is a list, but must be {array} of an integer dtype",
    ),
    (l2_loss, ([1, 2],), TypeError, "y is a list, but must be {array} of dtype float32 or float64"),
    (l2_loss, (np.arange(3),), TypeError, "y has dtype int64, but must have dtype float32 or float64"),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), REFUSED)
def test_bad_input_is_refused_in_one_sentence(run, function, arguments, error, message):
    with pytest.raises(error, match=message.replace("{array}", run.device.array_name)) as caught:
        run(function, *arguments)
    assert "\n" not in str(caught.value)


REFUSED_ON_THE_HOST = [
    (relu_forward, (f32(4), f32(8)[::2]), ValueError, "out is strided or read-only, but must be C-contiguous"),
    (relu_forward, (f32(4), READ_ONLY), ValueError, "out is strided or read-only, but must be C-contiguous"),
    (momentum_step, (f32(3), f32(6)[::2], f32(3), 1, 0, 0), ValueError, "v is strided or read-only, but must be C-con"),
    (
        momentum_step,
        (f32(3), f32(3), f32(3), f32(1), 0, 0),
        ValueError,
        r"rate is array\(.*\), but must be a finite number",
    ),
    (momentum_step, (READ_ONLY, f32(4), f32(4), 1, 0, 0), ValueError, "w is strided or read-only, but must be C-con"),
    (
        softmax_cross_entropy,
        (f32(2, 3), np.array([0, 3])),
        ValueError,
        "labels has the element 3, but must have classes from 0 to 2",
    ),
    (
        softmax_cross_entropy,
        (f32(2, 3), np.array([-1, 0])),
        ValueError,
        "labels has the element -1, but must have classes from 0",
    ),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), REFUSED_ON_THE_HOST)
def test_views_and_elements_are_refused_on_the_host(backend, function, arguments, error, message):
    """A GPU has copies that can be written to, and does not wait to look at the elements: devices/test_cuda.py."""
    with pytest.raises(error, match=message):
        function(*arguments, backend=backend)


FUNCTIONS = {row[0] for row in REFUSED}

Y = f32(2, 2, 2, 4)
ACCEPTED = {
    avgpool_backward: {"dout": Y, "x_shape": X.shape, "window": POOL},
    avgpool_forward: {"x": X, "window": POOL},
    conv2d_backward_input: {"dout": DOUT, "w": W, "x_shape": X.shape, "window": WINDOW},
    conv2d_backward_params: {"dout": DOUT, "x": X, "window": WINDOW},
    conv2d_forward: {"x": X, "w": W, "b": B, "window": WINDOW},
    dense_backward_input: {"dout": f32(2, 3), "w": f32(4, 3)},
    dense_backward_params: {"dout": f32(2, 3), "x": f32(2, 4)},
    dense_forward: {"x": f32(2, 4), "w": f32(4, 3), "b": f32(3)},
    dropout: {"x": f32(4), "kept": KEPT, "rate": 0.5},
    l2_loss: {"y": f32(4)},
    lrn_backward: {"dout": X, "x": X, "scale": X, "radius": 2, "alpha": 1.0, "beta": 0.5},
    lrn_forward: {"x": X, "radius": 2, "bias": 1.0, "alpha": 1.0, "beta": 0.5},
    maxpool_backward: {"dout": Y, "argmax": ARGMAX, "x_shape": X.shape, "window": POOL},
    maxpool_forward: {"x": X, "window": POOL},
    momentum_step: {"w": f32(3), "v": f32(3), "dw": f32(3), "rate": 1, "momentum": 0, "decay": 0},
    relu_backward: {"dout": f32(4), "y": f32(4), "out": f32(4)},
    relu_forward: {"x": f32(4), "out": f32(4)},
    softmax_cross_entropy: {"logits": f32(2, 3), "labels": np.array([0, 1])},
}
"""Of each function that takes arrays, arguments that it accepts."""

ARRAYS = [(f, name) for f, given in ACCEPTED.items() for name, value in given.items() if isinstance(value, np.ndarray)]


@pytest.mark.parametrize(("function", "name"), ARRAYS, ids=[f"{f.__name__}-{name}" for f, name in ARRAYS])
def test_each_array_is_checked_alone(backend, function, name):
    """Another dtype would be computed with, in silence, by NumPy or by a kernel that is compiled for it."""
    given = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in ACCEPTED[function].items()}
    function(**given, backend=backend)
    array = given[name]
    for wrong in (array.astype(np.complex64), array.astype(np.float16), array.astype(array.dtype.newbyteorder())):
        if wrong.dtype == array.dtype:  # one byte has no order
            continue
        with pytest.raises(TypeError, match=f"^{name} has dtype .*, but must have "):
            function(**given | {name: wrong}, backend=backend)
    for wrong in (array.tolist(), None if name != "out" else [1.0], memoryview(array)):
        with pytest.raises(TypeError, match=f"^{name} is a {type(wrong).__name__}, but must be a NumPy array of "):
            function(**given | {name: wrong}, backend=backend)


def test_every_function_that_refuses_has_its_arrays_checked():
    assert set(ACCEPTED) == FUNCTIONS - {dropout_mask}


@pytest.mark.parametrize("function", sorted(FUNCTIONS, key=lambda f: f.__name__))
def test_an_unknown_backend_is_refused(function):
    arguments = next(row[1] for row in REFUSED if row[0] is function)
    with pytest.raises(ValueError, match=r"^backend is 'tpu', but must be one of 'reference', 'cpu', 'cuda'$"):
        function(*arguments, backend="tpu")


@pytest.mark.parametrize(
    ("make", "x", "dout"),
    [
        (lambda b: Conv2d(3, 2, 3, backend=b), f32(1, 4, 4, 3), None),
        (lambda b: Dense(3, 2, b), f32(2, 3), [[1.0]]),
        (lambda b: ReLU(backend=b), f32(2), 1.0),
        (lambda b: Dropout(backend=b), f32(2), None),
        (lambda b: Flatten(), f32(2, 3, 3), None),
        (lambda b: MaxPool2d(2, 2, backend=b), f32(1, 4, 4, 3), "dout"),
    ],
)
def test_a_layer_and_a_network_refuse_what_is_no_array(backend, make, x, dout):
    layer = make(backend)
    net = Sequential([("this", layer)])
    for array in (None, [1.0]):
        with pytest.raises(TypeError, match=f"^this: x is a {type(array).__name__}, but must be a"):
            net.forward(array)
    net.forward(x)
    with pytest.raises(TypeError, match=f"^this: dout is a {type(dout).__name__}, but must be a"):
        net.backward(dout)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([ReLU()], r"layers has an object of type ReLU, but must have pairs \(name, layer\)"),
        ({"relu1": ReLU()}, r"layers has an object of type str, but must have pairs \(name, layer\)"),
        ([("relu1", ReLU(), 1)], r"layers has an object of type tuple, but must have pairs \(name, layer\)"),
        ([("relu1", 3)], "layers has an object of type int as 'relu1', but must have a Layer"),
        ([("relu1", ReLU)], "layers has an object of type type as 'relu1', but must have a Layer"),
    ],
)
def test_a_network_refuses_what_is_no_layer(layers, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        Sequential(layers)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(1, 1, 1, rng="a"), "rng is 'a', but must be a generator, an int >= 0 or None"),
        (lambda: Dropout(rng=-1), "rng is -1, but must be a generator"),
        (lambda: Conv2d(1, 1, 1, std=-1.0), r"std is -1\.0, but must be a number from 0 up"),
        (lambda: Dense(1, 1, std=float("nan")), "std is nan, but must be a number from 0 up"),
        (lambda: Dropout("a"), "rate is 'a', but must be at least 0 and below 1"),
        (lambda: LocalResponseNorm(alpha="a"), "alpha is 'a', but must be a number from 0 up"),
        (lambda: LocalResponseNorm(bias=None), "bias is None, but must be a number above 0"),
        (lambda: alexnet("digits", seed=-1), "seed is -1, but must be an int >= 0"),
    ],
)
def test_options_of_another_kind_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_a_layout_that_a_device_cannot_read_is_refused():
    class Strict(Device):
        def check_layout(self, name, array):
            raise ValueError(f"{name} is in Fortran's order")

    with pytest.raises(ValueError, match=r"^w is in Fortran's order$"):
        check_floats(Strict(), w=W)


def test_in_place_a_strided_array_has_the_callers_name():
    relu = ReLU(inplace=True)
    with pytest.raises(ValueError, match=r"^x is strided or read-only, but must be C-contiguous and writeable$"):
        relu.forward(f32(8)[::2])
    relu.forward(f32(4))
    with pytest.raises(ValueError, match=r"^dout is strided or read-only, but must be C-contiguous and writeable$"):
        relu.backward(f32(8)[::2])


NCHW = f32(2, 3, 9, 9)


@pytest.mark.parametrize(
    ("make", "x", "message"),
    [
        (lambda b: Conv2d(3, 6, 3, backend=b), NCHW, r"x has 9 channels, but must have 3 \(N, H, W, C\)"),
        (lambda b: Conv2d(3, 6, 3, groups=3, backend=b), NCHW, r"x has 9 channels, but must have 3 \(N, H, W, C\)"),
        (lambda b: Conv2d(4, 6, 3, groups=2, backend=b), NCHW, r"x has 9 channels, but must have 4 \(N, H, W, C\)"),
        (
            lambda b: Conv2d(3, 6, 3, backend=b),
            f32(2, 9, 9, 3).astype(float),
            "x has dtype float64, but must have the dtype of w",
        ),
        (lambda b: Dense(4, 3, b), f32(2, 5), r"x has 5 channels, but must have 4 \(N, C\)"),
        (lambda b: Dense(4, 3, b), NCHW, r"x has shape \(2, 3, 9, 9\), but must have the two dimensions \(N, C\)"),
        (lambda b: MaxPool2d(3, 2, backend=b), f32(2, 9), r"x has shape \(2, 9\), but must have the four dimensions"),
    ],
    ids=["NCHW", "depthwise", "groups", "dtype", "dense", "dense, images", "pool"],
)
def test_a_layer_says_so_and_a_network_names_the_layer(run, make, x, message):
    layer, x = make(run.name), run.to_device(x)
    net = Sequential([("block", Sequential([("relu1", ReLU(backend=run.name)), ("this", layer)]))])
    with pytest.raises((TypeError, ValueError), match=f"^{message}") as of_layer:
        layer.forward(x)
    with pytest.raises(type(of_layer.value), match=f"^block: this: {message}"):
        net.forward(x)
