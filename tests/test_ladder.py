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
measure, mine, run = map(importlib.import_module, ("measure", "mine", "run"))

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
    assert re.fullmatch(r"(run\.py: busy machine: .*\n)?", result.stderr)
    first, peak, *lines = result.stdout.splitlines()
    assert re.search(r", \d+ cores, tinyalexnet \S+, python \S+, numpy ", first)
    assert re.match(r"peak: \d+ GFLOP/s", peak)
    assert [line.partition(":")[0] for line in lines if " -> " in line] == ["conv1", "conv3"]
    rows = [line.split() for line in lines if re.match(r"\d ", line)]
    # Two passes of conv1, whose dx nobody needs, and three of conv3.
    assert [row[:2] for row in rows] == [[str(i), name] for i, name in enumerate(RUNGS, 1)] * 5
    assert [line.split()[0] for line in lines if "quartiles" in line] == ["forward", "dw", "forward", "dx", "dw"]
    for _, _, _, images, median, low, _, high, rate, peak, share in rows:
        # One round: all quartiles are its time.
        assert images == "1"
        assert float(low) == float(median) == float(high) > 0
        assert float(rate) > 0
        assert peak.endswith("%")
        assert re.fullmatch(r"-|\d+%", share)


# --- a busy machine ---------------------------------------------------------------------------------------------------


def queues(folder, **threads):
    """A folder as Linux has one, with the nanoseconds that each thread ran and waited."""
    for name, (ran, waited) in threads.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "schedstat").write_text(f"{ran} {waited} 7\n")


@pytest.mark.parametrize(
    ("after", "share"),
    [
        ({"a": (600, 50), "b": (400, 70)}, 1.0),
        ({"a": (600, 550), "b": (400, 70)}, 0.5),
        ({"a": (600, 150), "b": (500, 70), "new": (200, 300)}, 800 / 1200),
        ({"a": (100, 50), "b": (400, 70)}, 1.0),
    ],
)
def test_the_share_is_what_the_threads_ran_of_what_they_ran_and_waited(tmp_path, after, share):
    queues(tmp_path, a=(100, 50), b=(400, 70))
    found = measure.timed(lambda: queues(tmp_path, **after), 2, lambda call: call() or 3.0, tmp_path)
    assert found == (3.0, share)


def test_a_thread_that_ends_is_left_out(tmp_path):
    queues(tmp_path, a=(100, 50), b=(400, 70))

    def call():
        queues(tmp_path, a=(300, 150))
        (tmp_path / "b" / "schedstat").unlink()

    assert measure.timed(call, 2, lambda call: call() or 3.0, tmp_path)[1] == 2 / 3


@pytest.mark.parametrize(("threads", "clock", "share"), [(1, 4.0, 0.5), (1, 1.0, 1.0), (2, 4.0, None)])
def test_without_queues_one_thread_has_its_cpu_time(tmp_path, monkeypatch, threads, clock, share):
    now = iter([10.0, 12.0])
    monkeypatch.setattr("share.time.process_time", lambda: next(now))
    assert measure.timed(lambda: None, threads, lambda call: clock, tmp_path) == (clock, share)


def test_the_warning_counts_the_timings_and_has_the_least_share():
    assert measure.starved([]) is measure.starved([0.8, 1.0]) is None
    one = measure.starved([0.9, 0.34, 1.0])
    assert "in 1 of 3 timings" in one
    assert "once 34%: conclude nothing" in one
    assert "in all timings" in measure.starved([0.79])


def test_the_median_round_decides():
    assert measure._timing(4, [(1.0, 0.1), (2.0, 0.9), (9.0, 1.0)]) == measure.Timing(4, [1.0, 2.0, 9.0], 0.9)
    assert measure._timing(4, [(1.0, None)]).share is None


def test_the_warning_is_on_standard_error_and_below_each_table(monkeypatch, capsys):
    monkeypatch.setattr(measure, "HOST", SimpleNamespace(peak=lambda threads: SimpleNamespace(peak=1e9)))
    timing = measure.Timing(2, [0.1, 0.2, 0.3], 0.34)
    monkeypatch.setattr(measure, "_measure", lambda *_: {("im2col", name): timing for name in ("forward", "dw")})
    assert run.main(["--layers", "conv1", "conv2", "--rungs", "im2col"]) == 0
    out, err = capsys.readouterr()
    *_, forward, row, dw, _, warning = out.split("\n\n")[1].splitlines()
    assert (forward.split()[0], dw.split()[0]) == ("forward", "dw")
    # 70.3 million multiply-adds of an image in 100 ms.
    assert row.split() == ["2", "im2col", "1", "2", "100.000", "75.000", "-", "125.000", "1.4", "141%", "34%"]
    assert warning.startswith("busy machine: in all timings")
    assert out.count(warning) == 2
    assert err == f"run.py: {warning}\n"


# --- the reader's own rung --------------------------------------------------------------------------------------------

EXAMPLE = re.search(r"^```python\n(.*?)^```", (LADDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
SMALL = measure.Layer("small", (7, 8, 2), 3, Window(3, padding="SAME"))


def mine_of(folder, text):
    path = folder / "my.py"
    path.write_text(text)
    return mine.Mine(path)


@pytest.mark.compiled
def test_the_example_of_the_page_is_equal_and_gets_its_row(tmp_path):
    (tmp_path / "my.py").write_text(EXAMPLE)
    command = [
        sys.executable,
        LADDER / "run.py",
        "--layers",
        "conv3",
        "--batch_size=1",
        "--rounds=1",
        "--rungs",
        "blocked",
    ]
    result = subprocess.run([*command, "--mine", tmp_path / "my.py"], capture_output=True, text=True, check=True)
    assert "my.py, equal to rung 1 on integers, to the last bit\n" in result.stdout
    rows = [line.split()[:2] for line in result.stdout.splitlines() if re.match(r"\d ", line)]
    assert rows == [["3", "blocked"], ["7", "mine"]] * 3


@pytest.mark.parametrize("layer", [SMALL, measure.Layer("strided", (9, 12, 3), 2, Window((5, 4), (2, 3)), False)])
def test_the_example_is_rung_1_to_the_last_bit(tmp_path, layer):
    assert mine.compare(mine_of(tmp_path, EXAMPLE), [layer]) == 0


def test_a_rung_that_rounds_may_have_the_error_of_winograd(tmp_path):
    text = "from stages import forward, backward_input, backward_params"
    assert 0 < mine.compare(mine_of(tmp_path, text), [SMALL]) < mine.BOUND


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "w[kh, kw].T",
            "w[-1 - kh, -1 - kw].T",
            r"backward_input of .*my\.py on small with x of the shape \(2, 15, 14, 3\), kernel 3 x 3, stride 1 x 1 "
            r"is not rung 1: dx\[\d, \d+, \d+, \d\] is -?\d+, and not -?\d+",
        ),
        ("+ b", "+ b + 1e-3", r"forward .* is not rung 1: out\[.*"),
        ("+ b", "* np.float32(np.nan)", r"forward .* is not rung 1: out\[0, 0, 0, 0\] is nan, and not .*"),
        ("return dx", "return dx.astype(np.float64)", r"backward_input .*: dx is float64 .*, and not float32 .*"),
        ("return dx", "return dx[:, 1:]", r"backward_input .*: dx is float32 \(2, 14, .*, and not float32 \(2, 15, .*"),
        ("return dx", "return None", r"backward_input .*: dx is NoneType, and not float32 .*"),
        ("return dw, ", "return dw + ", r"backward_params .*: it returns ndarray, and not the pair \(dw, db\)"),
        ("return dx", "dout[0] = 0\n    return dx", r"backward_input .*: it changes its argument dout"),
        ("return dx", "return dx[3]\n", r"backward_input of .* raised IndexError: index 3 is out .* \(line 20\)"),
    ],
)
def test_what_is_not_rung_1_is_named(tmp_path, old, new, message):
    assert old in EXAMPLE
    with pytest.raises(mine.MineError, match=rf"^{message}$"):
        mine.compare(mine_of(tmp_path, EXAMPLE.replace(old, new)), [SMALL])


def test_on_the_small_images_one_element_that_is_off_by_one_is_seen():
    """Of an error by 1 in one element the relative L2 error is above the bound, whatever the window."""
    for layer in measure.LAYERS.values():
        for name, arguments in mine._arguments(mine._small(layer), mine.SMALL[0][0]).items():
            results = getattr(RUNGS["im2col"], name)(*arguments)
            for exact in results if isinstance(results, tuple) else (results,):
                assert 1 / np.linalg.norm(exact.ravel()) > mine.BOUND


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r".*my\.py is not a file"),
        (EXAMPLE.replace("def forward", "def forwards"), r".*my\.py has no function forward\(x, w, b, window\)"),
        (EXAMPLE + "forward = 3\n", r".*my\.py has no function forward\(x, w, b, window\)"),
        (
            EXAMPLE.replace("(dout, x, window)", "(dout, x)"),
            r".*my\.py has backward_params\(dout, x\), and not backward_params\(dout, x, window\)",
        ),
        ("\n\n1 / 0\n", r".*my\.py cannot be loaded: ZeroDivisionError: division by zero \(line 3\)"),
        ("raise SystemExit\n", r".*my\.py cannot be loaded: SystemExit: without a message \(line 1\)"),
        ("def forward(:\n", r".*my\.py cannot be loaded: SyntaxError: .*"),
        ("import a_module_that_nobody_has\n", r".* ModuleNotFoundError: No module named .* \(line 1\)"),
    ],
)
def test_a_file_that_is_no_rung_is_one_line_and_code_2(tmp_path, capsys, text, message):
    path = tmp_path / "my.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as end:
        run.main(["--mine", str(path)])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert re.fullmatch(rf"run\.py: {message}\n", err)


def test_a_name_without_py_is_no_python_file(tmp_path):
    (tmp_path / "my.txt").write_text(EXAMPLE)
    with pytest.raises(mine.MineError, match="its name must end in"):
        mine.Mine(tmp_path / "my.txt")


def test_a_lack_of_memory_is_told_as_for_the_other_rungs(tmp_path):
    rung = mine_of(tmp_path, EXAMPLE.replace("return dx", "raise MemoryError"))
    with pytest.raises(MemoryError):
        mine.compare(rung, [SMALL])


@pytest.mark.parametrize(("seconds_an_image", "batch_size", "images"), [(0.1, 128, 8), (0.1, 6, 6), (9, 128, 1)])
def test_a_slow_rung_gets_fewer_images(monkeypatch, seconds_an_image, batch_size, images):
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
        run.main(arguments)
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
