"""Kernels tell how many multiply-adds their products have: by it ``products`` decides if they are split."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import cpu as conv2d
from tinyalexnet.ops.conv2d import cpu_grey
from tinyalexnet.ops.conv2d.cpu_tasks import rows_per_block
from tinyalexnet.ops.dense import cpu as dense


@pytest.fixture
def told(monkeypatch):
    numbers = []

    def products(multiply_adds):
        numbers.append(multiply_adds)
        return nullcontext()

    for module in (conv2d, cpu_grey, dense):
        monkeypatch.setattr(module, "products", products)
    return numbers


@pytest.mark.parametrize(
    ("out_shape", "rows"), [((128, 13, 13, 9), 34), ((3, 40, 20, 9), 7), ((1, 13, 13, 9), 1), ((2, 500, 500, 9), 1)]
)
def test_a_task_has_448_output_pixels_or_a_sixteenth_of_all(out_shape, rows):
    assert rows_per_block(out_shape) == rows


@pytest.mark.parametrize(("size", "images"), [((8, 20), 2), ((30, 20), 1)])
def test_a_task_of_dx_has_whole_images(monkeypatch, size, images):
    found = []
    monkeypatch.setattr(conv2d, "_backward_input", lambda *arguments: found.append(arguments[5]))
    dout, w = np.ones((3, *size, 5), np.float32), np.ones((1, 1, 2, 5), np.float32)
    conv2d.conv2d_backward_input(dout, w, (3, *size, 2), Window(1), 1)
    assert found == [images]


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (1, 1), (4, 2)])
def test_a_convolution_tells_the_work_of_each_group(told, channels, groups):
    window = Window((2, 3), (1, 2), "VALID")
    x, w = np.ones((5, 7, 9, channels), np.float32), np.ones((2, 3, channels // groups, 8), np.float32)
    out = conv2d.conv2d_forward(x, w, np.zeros(8, np.float32), window, groups)
    conv2d.conv2d_backward_input(out, w, x.shape, window, groups)
    conv2d.conv2d_backward_params(out, x, window, groups)
    of_group = 5 * 6 * 4 * (2 * 3 * channels // groups) * (8 // groups)
    assert told == [of_group] * groups * 3


def test_a_dense_layer_tells_its_work(told):
    x, w, dout = (np.ones(shape, np.float32) for shape in ((5, 6), (6, 7), (5, 7)))
    dense.dense_forward(x, w, w[0])
    dense.dense_backward_input(dout, w)
    dense.dense_backward_params(dout, x)
    assert told == [5 * 6 * 7] * 3
