"""The ladder of docs/ladder: every rung computes the convolution, and the script that times them ends as it should."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import loops
import numpy as np
import pytest
from backends import Backend, fewer
from hypothesis import assume, example, given
from strategies import Case, cases

from tinyalexnet.devices import device
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd.matrices import MOST_POINTS

LADDER = Path(__file__).parent.parent / "docs" / "ladder"
# At the end, so that no file there hides another module. The rungs import one another by these names, and Numba's cache
# finds a compiled function by them.
sys.path.append(str(LADDER))
DIRECT, WINOGRAD = ("plain", "im2col", "blocked", "threads"), ("stages", "fused")
RUNGS = {name: importlib.import_module(name) for name in (*DIRECT, *WINOGRAD)}

ONE_GROUP = cases().filter(lambda case: case.groups == 1)
# As plain Python a pass of fused takes a second.
examples = fewer(compiled=0.2, otherwise=0.08)
# Two images of 23x23 outputs are three blocks, the last one smaller, and the second has rows of both images.
SEVERAL_BLOCKS = Case(Window(3, 1, "SAME"), (2, 23, 23, 2), 3, 1, 1)
FIRST_LAYER = Case(Window(11, 4), (2, 35, 31, 3), 5, 1, 2)
STRIDED_PADDED = Case(Window((5, 4), (2, 3), ((1, 3), (2, 0))), (2, 17, 19, 3), 2, 1, 3)
UNREACHED_PIXELS = Case(Window(2, 5), (1, 9, 9, 2), 3, 1, 4)


def passes(rung, case, arrays):
    x, w, b, dout = arrays
    out, dx = rung.forward(x, w, b, case.window), rung.backward_input(dout, w, x.shape, case.window)
    return out, dx, *rung.backward_params(dout, x, case.window)


def exact_passes(case, arrays):
    reference = Backend("reference")
    x, w, b, dout = (a.astype(np.float64) for a in arrays)
    out = reference(conv2d_forward, x, w, b, case.window)
    dx = reference(conv2d_backward_input, dout, w, x.shape, case.window)
    return out, dx, *reference(conv2d_backward_params, dout, x, case.window)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@examples
@given(case=ONE_GROUP)
@example(case=SEVERAL_BLOCKS)
@example(case=FIRST_LAYER)
@example(case=STRIDED_PADDED)
@example(case=UNREACHED_PIXELS)
def test_the_direct_rungs_equal_the_loops_to_the_last_bit_on_integers(dtype, case):
    x, w, b, dout = case.integers(dtype)
    out = loops.conv2d_forward(x, w, b, case.window.stride, case.pads, 1, case.out_size)
    expected = (out, *loops.conv2d_backward(x, w, dout, case.window.stride, case.pads, 1))
    for name in DIRECT:
        for got, exact in zip(passes(RUNGS[name], case, (x, w, b, dout)), expected, strict=True):
            np.testing.assert_array_equal(got, exact, strict=True, err_msg=name)
            assert got.flags.c_contiguous


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@examples
@given(case=ONE_GROUP)
@example(case=SEVERAL_BLOCKS)
@example(case=STRIDED_PADDED)
def test_on_normal_numbers_every_rung_is_the_convolution(dtype, bound, case):
    """Relative L2 error. If terms cancel, it is relative to the result without cancellation."""
    sizes = (-(-k // s) for k, s in zip(case.window.kernel, case.window.stride, strict=True))
    assume(max(sizes) <= MOST_POINTS)
    arrays = case.normals(dtype)
    expected, sizes = exact_passes(case, arrays), exact_passes(case, [np.abs(a) for a in arrays])
    for name, rung in RUNGS.items():
        for got, exact, size in zip(passes(rung, case, arrays), expected, sizes, strict=True):
            assert got.dtype == dtype
            assert got.shape == exact.shape
            assert np.linalg.norm((got - exact).ravel()) <= bound * np.linalg.norm(size.ravel()), name


@pytest.mark.compiled
def test_the_bits_do_not_depend_on_the_number_of_threads():
    case = Case(Window(3, 1, "SAME"), (9, 23, 23, 5), 7, 1, 5)
    arrays = case.normals(np.float32)
    with device("cpu").limit_threads(1):
        alone = passes(RUNGS["threads"], case, arrays)
    for got, expected in zip(passes(RUNGS["threads"], case, arrays), alone, strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("name", WINOGRAD)
def test_a_kernel_without_a_tile_is_refused(name):
    x, w, b, dout = Case(Window(9), (1, 10, 10, 1), 1, 1, 6).integers()
    for call in (
        lambda: RUNGS[name].forward(x, w, b, Window(9)),
        lambda: RUNGS[name].backward_input(dout, w, x.shape, Window(9)),
        lambda: RUNGS[name].backward_params(dout, x, Window(9)),
    ):
        with pytest.raises(ValueError, match="at most 8 strides"):
            call()


@pytest.mark.compiled
def test_the_table_has_a_row_for_every_rung():
    command = [sys.executable, LADDER / "run.py", "--layers", "conv1", "conv3", "--batch_size", "1", "--rounds=1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    first, peak, *lines = result.stdout.splitlines()
    assert re.search(r", \d+ cores, tinyalexnet \S+, python \S+, numpy ", first)
    assert re.match(r"peak: \d+ GFLOP/s", peak)
    assert [line.partition(":")[0] for line in lines if " -> " in line] == ["conv1", "conv3"]
    rows = [line.split() for line in lines if re.match(r"\d ", line)]
    assert [row[:2] for row in rows] == [[str(i), name] for i, name in enumerate(RUNGS, 1)] * 2
    assert all(row[3] == "1" and float(row[4]) > 0 and row[6].endswith("%") for row in rows)
    assert [row[7] == "-" for row in rows] == [True] * 6 + [False] * 6


@pytest.mark.parametrize(("seconds_an_image", "batch_size", "images"), [(0.1, 128, 8), (0.1, 6, 6), (9, 128, 1)])
def test_a_slow_rung_gets_fewer_images(monkeypatch, seconds_an_image, batch_size, images):
    measure = importlib.import_module("measure")
    monkeypatch.setattr(measure, "HOST", SimpleNamespace(seconds_of=lambda call: call()))
    layer = SimpleNamespace(calls=lambda rung, arrays, images: {"forward": lambda: seconds_an_image * images})
    found, calls = measure._affordable(layer, None, [np.empty(batch_size)])
    assert found == images
    assert calls["forward"]() == seconds_an_image * images


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "conv9"], r"argument --layers: invalid choice: 'conv9' .*conv1.*ragged.*"),
        (["--rungs", "loops"], r"argument --rungs: invalid choice: 'loops' .*plain.*fused.*"),
        (["--batch-size", "0"], r"argument --batch_size/--batch-size: '0' is not an integer of at least 1"),
    ],
)
def test_a_bad_argument_is_one_line_and_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        importlib.import_module("run").main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert re.fullmatch(rf"run\.py: {message}\n", err)


def test_ctrl_c_ends_it_with_130_and_no_traceback():
    command = [sys.executable, LADDER / "run.py", "--layers", "conv1", "--rungs", "plain", "--rounds", "1000000"]
    # Where SIGINT is ignored, as in a job in the background, a child would ignore it too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
