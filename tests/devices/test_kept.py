"""What a convolution's forward keeps of its images for dw: never that of images which have changed since."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinyalexnet import to_device, to_host
from tinyalexnet.devices.cuda import memory
from tinyalexnet.devices.cuda.arrays import DeviceArray, Memory
from tinyalexnet.devices.cuda.driver import driver
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.relu import relu_backward, relu_forward

# --- arrays, without a GPU --------------------------------------------------------------------------------------------


@pytest.fixture
def array():
    return DeviceArray(Memory(512, 512, lambda address, size: None), (4, 6), np.dtype(np.float32), 24)


def test_what_is_kept_is_taken_once(array):
    array.keep("a", 1)
    array.keep("b", 2)
    assert array.kept("a") == 1
    assert array.kept("a") is None
    assert array.kept("b") == 2
    array.keep("a", 3)
    array.keep("a", 4)
    assert array.kept("a") == 4


def test_all_views_forget(array):
    view = array.reshape(24)
    array.keep("a", 1)
    view.keep("b", 2)
    array.reshape(6, 4).forget()
    assert array.kept("a") is view.kept("b") is None


def test_a_view_of_another_shape_keeps_its_own(array):
    """The same elements, as images of another size."""
    array.keep("a", 1)
    assert array.reshape(6, 4).kept("a") is None
    assert array.reshape(24).reshape(4, 6).kept("a") == 1


# --- convolutions -----------------------------------------------------------------------------------------------------

SHAPE = (2, 7, 6, 4)
W_SHAPE = (3, 3, 4, 8)
WINDOW = Window(3, 1, "SAME")
algorithms = pytest.mark.parametrize("algorithm", ["gemm", "winograd"])


def images(rng, low=-4):
    return rng.integers(low, 5, SHAPE).astype(np.float32)


def forward(x, rng, algorithm):
    w, b = (to_device(rng.integers(-4, 5, shape).astype(np.float32)) for shape in (W_SHAPE, W_SHAPE[-1:]))
    return conv2d_forward(x, w, b, WINDOW, 1, algorithm, backend="cuda")


def check_dw(x, values, rng, algorithm):
    """dw of images on the GPU, which have these values, is that of the reference."""
    dout = rng.integers(-4, 5, (*SHAPE[:3], W_SHAPE[-1])).astype(np.float32)
    expected = conv2d_backward_params(dout, values, WINDOW, 1, "gemm", backend="reference")
    found = conv2d_backward_params(to_device(dout), x, WINDOW, 1, algorithm, backend="cuda")
    for one, other in zip(found, expected, strict=True):
        # Integers: exact, but for Winograd's fractions.
        error = np.abs(to_host(one) - other).max()
        assert error <= (0 if algorithm == "gemm" else 1e-5 * np.abs(other).max())


@pytest.fixture
def kernels_of_dw(monkeypatch):
    """The names of the kernels that are launched."""
    names, gpu = [], driver()
    launch = gpu.launch
    monkeypatch.setattr(gpu, "launch", lambda function, *rest: names.append(function.name) or launch(function, *rest))
    return names


@pytest.mark.cuda
@algorithms
def test_dw_takes_what_the_forward_has_kept(rng, algorithm, kernels_of_dw):
    """So its second call, for which nothing is kept, needs one launch more; the bits are the same."""
    x, dout = to_device(images(rng)), to_device(rng.standard_normal((*SHAPE[:3], W_SHAPE[-1])).astype(np.float32))
    forward(x, rng, algorithm)
    found, counts = [], []
    for _ in range(2):
        kernels_of_dw.clear()
        dw, _ = conv2d_backward_params(dout, x, WINDOW, 1, algorithm, backend="cuda")
        found.append(to_host(dw).tobytes())
        counts.append(len(kernels_of_dw))
    assert found[0] == found[1]
    if driver().capability >= (8, 0) or algorithm == "winograd":
        assert counts[1] == counts[0] + 1


def written(x, rng):
    values = images(rng)
    memory.write(x, values)
    return values


def sent(x, rng):
    values = images(rng)
    memory.send(x, values)
    return values


def copied_from_another(x, rng):
    values = images(rng)
    memory.write(x, to_device(values))
    return values


def written_to_a_view(x, rng):
    values = images(rng)
    memory.write(x.reshape(-1), values.reshape(-1))
    return values


def relu_in_place(x, rng):
    values = np.maximum(to_host(x), 0)
    relu_forward(x, x, "cuda")
    return values


def relu_of_a_view_in_place(x, rng):
    values, flat = np.maximum(to_host(x), 0), x.reshape(SHAPE[0], -1)
    relu_forward(flat, flat, "cuda")
    return values


def relu_backward_in_place(x, rng):
    y = images(rng)
    values = to_host(x) * (y > 0)
    relu_backward(x, to_device(y), x, "cuda")
    return values


CHANGES = (written, sent, copied_from_another, written_to_a_view, relu_in_place, relu_of_a_view_in_place)


@pytest.mark.cuda
@algorithms
@pytest.mark.parametrize("change", [*CHANGES, relu_backward_in_place])
def test_dw_is_that_of_images_which_have_changed_since(rng, algorithm, change):
    x = to_device(images(rng))
    forward(x, rng, algorithm)
    values = change(x, rng)
    assert not np.array_equal(values, 0 * values)
    np.testing.assert_array_equal(to_host(x), values)
    check_dw(x, values, rng, algorithm)


@pytest.mark.cuda
@algorithms
def test_dw_of_other_images_with_the_same_memory(rng, algorithm):
    """Those that a forward had are gone, and their memory is used again."""
    x = to_device(images(rng))
    address = x.address
    forward(x, rng, algorithm)
    del x
    held, values = [], images(rng)
    for _ in range(20):
        held.append(to_device(values))
        if held[-1].address == address:
            break
    assert held[-1].address == address
    check_dw(held[-1], values, rng, algorithm)


@pytest.mark.cuda
def test_dw_of_another_window(rng):
    """What was kept is for one kind of padding."""
    values = images(rng)
    x = to_device(values)
    forward(x, rng, "gemm")
    window = Window(3, 1, ((0, 2), (2, 0)))
    dout = rng.integers(-4, 5, (*SHAPE[:3], W_SHAPE[-1])).astype(np.float32)
    expected, _ = conv2d_backward_params(dout, values, window, 1, "gemm", backend="reference")
    found, _ = conv2d_backward_params(to_device(dout), x, window, 1, "gemm", backend="cuda")
    np.testing.assert_array_equal(to_host(found), expected)


@pytest.mark.cuda
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_has_memory_of_its_own_and_keeps_nothing(rng, copied):
    values = images(rng)
    x = to_device(values)
    forward(x, rng, "winograd")
    other = copied(x)
    assert other.memory is not x.memory
    assert (other.shape, other.dtype) == (x.shape, x.dtype)
    assert not other.memory.kept
    assert x.memory.kept
    changed = written(x, rng)
    np.testing.assert_array_equal(to_host(other), values)
    check_dw(other, values, rng, "winograd")
    check_dw(x, changed, rng, "winograd")
