"""The benchmark: its exact lines, its statistics, its flags, and every way to end it early."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bench
from tinyalexnet import AvgPool2d, LocalResponseNorm, Sequential, alexnet, benchmark, l2_loss
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.comparison import comparison
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Norm, Pool, Relu
from tinyalexnet.benchmark import Options, legacy_statistics, main, memory_estimate, report, run, statistics
from tinyalexnet.benchmark.options import checked_threads
from tinyalexnet.benchmark.report import write_json
from tinyalexnet.benchmark.timing import BURN_IN_STEPS, TimedRun, Workload
from tinyalexnet.benchmark.versus import Choice
from tinyalexnet.console import Console
from tinyalexnet.devices import device, machine

BENCH = Path(__file__).parents[2] / "bench.py"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?"

TINY = Variant(
    (7, 7, 3),
    (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1"), Conv("conv2", 2, 3), Relu("relu2")),
    weight_std=0.1,
)


@pytest.fixture
def tiny(monkeypatch):
    """A network that takes no time, for what does not depend on the network."""
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    return Options(batch_size=2, num_batches=12, variant="tiny", backend="reference")


def with_options(options, **changes):
    return Options(**{**vars(options), **changes})


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_text(options, err=None):
    out, err = io.StringIO(), err or io.StringIO()
    code = run(options, out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.compiled
def test_standard_output_is_the_page_to_the_letter():
    command = [sys.executable, BENCH, "--batch_size=1", "--num-batches=21", "--seed", "7"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    shapes = """conv1   [1, 55, 55, 64]
pool1   [1, 27, 27, 64]
conv2   [1, 27, 27, 192]
pool2   [1, 13, 13, 192]
conv3   [1, 13, 13, 384]
conv4   [1, 13, 13, 256]
conv5   [1, 13, 13, 256]
pool5   [1, 6, 6, 256]
"""
    assert result.stdout.startswith(shapes)
    seconds = r"\d+\.\d{3}"
    pattern = "".join(
        rf"{TIME}: step 10, duration = {seconds}\n{TIME}: step 20, duration = {seconds}\n"
        rf"{TIME}: {name} across 21 steps, {seconds} \+/- {seconds} sec / batch\n"
        for name in ("Forward", "Forward-backward")
    )
    assert re.fullmatch(pattern, result.stdout.removeprefix(shapes)), result.stdout
    assert result.stderr.startswith("tinyalexnet ")
    used = r": CPU utilisation \d+ % \(process CPU time / wall time x \d+ threads\); "
    assert len(re.findall(used + r"(?:power unknown|\d+ W, \S+ J / image)\n", result.stderr)) == 2


def test_lines_of_a_small_run(tiny):
    code, out, err = run_text(tiny)
    lines = out.splitlines()
    assert code == 0
    assert lines[:3] == ["conv1   [2, 3, 3, 4]", "pool1   [2, 2, 2, 4]", "conv2   [2, 2, 2, 2]"]
    patterns = [r"step 10, duration = \d+\.\d{3}", r"Forward across 12 steps, \d+\.\d{3} \+/- \d+\.\d{3} sec / batch"]
    patterns += [patterns[0], patterns[1].replace("Forward", "Forward-backward")]
    for line, pattern in zip(lines[3:], patterns, strict=True):
        assert re.fullmatch(f"{TIME}: {pattern}", line), line
    header, *rest = err.splitlines()
    assert header.startswith("tinyalexnet 0.")
    for word in ("python", "numpy", "numba", "backend reference", "threads", "BLAS", "float32"):
        assert word in header
    assert [line.split(":")[0] for line in rest] == ["Forward", "Forward-backward"]


def test_a_number_of_threads_is_taken(tiny):
    assert "backend reference, 1 threads" in run_text(with_options(tiny, threads=1))[2]


def test_ten_batches_print_no_step(tiny):
    _, out, _ = run_text(with_options(tiny, num_batches=10, passes=("Forward",)))
    assert "step" not in out.replace("steps", "")


def test_quiet_and_passes(tiny):
    _, out, err = run_text(with_options(tiny, quiet=True, passes=("Forward-backward",)))
    assert err == ""
    assert "Forward across" not in out
    assert "Forward-backward across" in out


def test_burn_in_steps_run_and_do_not_count(tiny, monkeypatch):
    calls = []
    monkeypatch.setattr(Workload, "step", lambda *_: lambda: calls.append(1))
    _, out, _ = run_text(with_options(tiny, num_batches=3, passes=("Forward",)))
    assert len(calls) == 13
    assert "across 3 steps" in out


@pytest.mark.parametrize("graph", [True, False])
def test_the_backward_of_a_step_belongs_to_half_the_sum_of_squares(tiny, graph):
    """The parameters' gradients after a step are those of ½ Σ y²; a forward alone has none."""
    net = alexnet("tiny", "reference")
    x = np.random.default_rng(0).standard_normal((2, 7, 7, 3)).astype(np.float32)
    work = Workload(net, x, l2_loss, device("reference"), graph)
    work.step("Forward")()
    assert net.grads == {}
    work.step("Forward-backward")()
    grad = net.grads["conv2.b"]
    np.testing.assert_allclose(grad, net.forward(x).sum(axis=(0, 1, 2)), rtol=1e-5)
    assert set(net.grads) == set(net.params)


def test_the_head_says_how_a_gpu_starts_kernels(tiny, monkeypatch):
    options = with_options(tiny, no_graph=True)
    assert report.head(options, 1).endswith("| float32 NHWC")
    gpu = SimpleNamespace(arithmetic=lambda threads: "GPU Fake", launching=lambda graph: f" | graph {graph}")
    monkeypatch.setattr(report, "device", lambda backend: gpu)
    assert report.head(options, 1).endswith("| GPU Fake | float32 NHWC | graph False")


def clock(durations):
    """Readings of a clock under which the steps take just these durations."""
    readings, now = [], 100.0
    for duration in [0.5] * BURN_IN_STEPS + durations:
        readings += [now, now + duration]
        now += duration + 1
    return iter(readings)


@pytest.mark.parametrize(
    ("legacy", "durations", "expected"),
    [
        (False, [2.0] * 100, "2.000 +/- 0.000"),
        # (N - 1) / N and √(N - 1) / N of 2 seconds: the spread of 10 % on the page, though nothing varies.
        (True, [2.0] * 100, "1.980 +/- 0.199"),
        (False, [1.0, 2.0, 3.0, 6.0], "3.000 +/- 1.871"),
        (True, [1.0, 2.0, 3.0, 6.0], "2.750 +/- 2.165"),
        (True, [5.0], "0.000 +/- 0.000"),
    ],
)
def test_statistics_that_are_printed(tiny, monkeypatch, legacy, durations, expected):
    readings = clock(durations)
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings))
    options = with_options(tiny, num_batches=len(durations), passes=("Forward",), legacy_stats=legacy)
    _, out, _ = run_text(options)
    assert out.splitlines()[-1].endswith(f"Forward across {len(durations)} steps, {expected} sec / batch")
    steps = [line.split(": ")[1] for line in out.splitlines() if ": step" in line]
    assert steps == [f"step {i}, duration = 2.000" for i in range(10, len(durations), 10)]


def test_statistics_by_hand():
    assert statistics([1.0, 2.0, 3.0, 6.0]) == (3.0, pytest.approx(np.std([1, 2, 3, 6])))
    assert legacy_statistics([1.0, 2.0, 3.0, 6.0]) == (11 / 4, pytest.approx((49 / 4 - (11 / 4) ** 2) ** 0.5))
    # Rounding may take the variance below 0; the root of it must not fail.
    assert legacy_statistics([0.0, 0.1])[1] == pytest.approx(0.05)
    assert legacy_statistics([0.0])[1] == 0


def test_json(tiny, tmp_path):
    file = tmp_path / "run.json"
    run_text(with_options(tiny, json=str(file)))
    result = json.loads(file.read_text())
    assert file.read_text() == json.dumps(result, indent=2) + "\n"
    assert result["options"]["batch_size"] == 2
    assert result["options"]["threads"] == machine.cores()
    assert set(result["versions"]) == {"tinyalexnet", "code", "python", "numpy", "numba"}
    assert result["cpu"]["name"]
    assert result["shapes"]["conv1"] == [2, 3, 3, 4]
    assert result["interrupted"] is False
    for item, name in zip(result["runs"], ("Forward", "Forward-backward"), strict=True):
        assert item["name"] == name
        assert len(item["durations"]) == 12
        assert item["statistics"]["mean"] == pytest.approx(np.mean(item["durations"]))
        assert item["statistics"]["std"] == pytest.approx(np.std(item["durations"]))
        assert item["legacy_statistics"]["mean"] < item["statistics"]["mean"]
        assert item["cpu_utilisation"] > 0
    assert os.listdir(tmp_path) == ["run.json"]


def test_json_leaves_the_old_file_where_writing_fails(tmp_path):
    file = tmp_path / "run.json"
    file.write_text("old")
    with pytest.raises(TypeError):
        write_json(file, {"not json": object()})
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize("count", [1, 5])
def test_the_first_step_after_an_interrupt_counts_what_was_finished(tiny, monkeypatch, tmp_path, count):
    steps = iter(range(BURN_IN_STEPS + count))
    caught = []
    monkeypatch.setattr("tinyalexnet.interrupts.caught", lambda: caught.append(1))

    def step():
        if next(steps, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(Workload, "step", lambda *_: step)
    file = tmp_path / "run.json"
    code, out, err = run_text(with_options(tiny, json=str(file)))
    assert code == 130
    assert f"Forward across {count} steps" in out.splitlines()[-1]
    assert caught == [1]
    assert err.splitlines()[-1] == f"wrote {file}"
    result = json.loads(file.read_text())
    assert result["interrupted"] is True
    assert [len(item["durations"]) for item in result["runs"]] == [count]


def test_an_interrupt_before_any_step_prints_no_statistics(tiny, monkeypatch):
    def step():
        raise KeyboardInterrupt

    monkeypatch.setattr(Workload, "step", lambda *_: step)
    code, out, _ = run_text(tiny)
    assert code == 130
    assert "across" not in out


def test_progress_bar_on_a_terminal_only(tiny, monkeypatch):
    _, out, err = run_text(tiny, Terminal())
    assert "Forward: " in err
    assert "/22 [" in err
    assert "\r" not in out
    _, _, err = run_text(tiny)
    assert "\r" not in err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    _, _, err = run_text(tiny, Terminal())
    assert "pip install 'tinyalexnet[progress]'" in err
    assert "/22 [" not in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, but must be an int >= 1"),
        ({"num_batches": -1}, "num_batches is -1, but must be an int >= 1"),
        ({"seed": -1}, "seed is -1, but must be an int >= 0"),
        ({"threads": 0}, "threads is 0, but must be an int >= 1"),
        ({"threads": 10**6}, "threads is 1000000, but must be at most"),
        ({"variant": "vgg"}, "variant is 'vgg', but must be one of"),
        ({"backend": "gpu"}, "backend is 'gpu', but must be one of"),
        ({"batch_size": 10**9}, r"batch_size is 1000000000, but needs about .* GB of memory, and .* GB is available"),
        ({"json": "/no/such/folder/file.json"}, "json is '/no/such/folder/file.json', but must be a file in a folder"),
        ({"images": "/no/such/folder"}, "images is '/no/such/folder', but must be a folder that exists"),
    ],
)
def test_options_that_are_refused(tiny, changes, message):
    out = io.StringIO()
    with pytest.raises(ValueError, match=message):
        run(with_options(tiny, **changes), out, io.StringIO())
    assert out.getvalue() == ""


def test_json_refuses_a_folder(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"json is .*, but must be a file in a folder"):
        run_text(with_options(tiny, json=str(tmp_path)))


def test_an_unknown_amount_of_memory_refuses_nothing(tiny, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    assert run_text(tiny)[0] == 0
    monkeypatch.setattr(machine, "available_memory", lambda: 10)
    with pytest.raises(ValueError, match="batch_size is 2, but needs about"):
        run_text(tiny)


def test_the_images_are_normal_with_a_deviation_of_a_tenth(tiny):
    net = alexnet("tiny", "reference")
    work = main.workload(with_options(tiny, seed=3), net, (2, 7, 7, 3), None, None)
    drawn = np.random.default_rng(3).standard_normal((2, 7, 7, 3), dtype=np.float32)
    np.testing.assert_array_equal(work.images, drawn * np.float32(0.1))


@pytest.mark.parametrize("no_graph", [True, False])
def test_a_step_is_a_graph_unless_it_must_not_be(tiny, no_graph):
    net = alexnet("tiny", "reference")
    assert main.workload(with_options(tiny, no_graph=no_graph), net, (2, 7, 7, 3), None, None).graph is not no_graph


def test_labels_are_drawn_from_all_classes(monkeypatch):
    monkeypatch.setitem(VARIANTS, "classes", Variant((7, 7, 3), (Flat(), Full("fc1")), num_classes=3))
    drawn = np.random.default_rng(5).integers(0, 3, 50)
    np.testing.assert_array_equal(main.labels_of(Options(variant="classes", seed=5), (50, 3)), drawn)
    assert set(drawn.tolist()) == {0, 1, 2}


def test_energy_is_told_by_the_second_and_by_the_image(tiny):
    """80 J in 10 s, of four steps with two images each."""
    timed, err = TimedRun("Forward", [1.0] * 4, 3.0, 80.0, 10.0), io.StringIO()
    report.report_run(timed, tiny, 1, io.StringIO(), Console(err, False))
    assert err.getvalue() == (
        "Forward: CPU utilisation 75 % (process CPU time / wall time x 1 threads); 8 W, 10 J / image\n"
    )


def test_memory_may_be_needed_to_the_last_byte(tiny):
    hardware = SimpleNamespace(free_memory=lambda: 2_000_000_000)
    main.refuse_too_large(2_000_000_000, tiny, hardware)
    with pytest.raises(
        ValueError, match=r"^batch_size is 2, but needs about 2.0 GB of memory, and 2.0 GB is available$"
    ):
        main.refuse_too_large(2_000_000_001, tiny, hardware)


def test_the_page_s_large_batch_is_estimated_below_what_tensorflow_took():
    net = alexnet(backend="reference")
    assert memory_estimate(net, (512, 227, 227, 3), "cpu", backward=True) < 2.3e9
    assert memory_estimate(net, (128, 227, 227, 3), "cpu", backward=True) < 1.2e9


@pytest.mark.compiled
def test_every_step_of_the_compiled_backend(tiny, monkeypatch):
    code, _, err = run_text(with_options(tiny, backend="cpu", threads=1, num_batches=1))
    assert code == 0
    assert "backend cpu, 1 threads" in err
    assert re.search(r"\d+ functions compiled.*; ready after \d", err)


def test_the_cpu_backend_without_the_jit(tiny, monkeypatch):
    """And what is missing would be compiled ahead, for all passes."""
    ahead = []
    monkeypatch.setattr(Console, "compile_ahead", lambda say, device, run: ahead.append(device.compiles) or ["a"])
    code, _, err = run_text(with_options(tiny, backend="cpu", num_batches=1))
    assert (code, ahead) == (0, [True])
    assert re.search(r"^\d+ functions compiled; ready after ", err, flags=re.MULTILINE)


@pytest.mark.compiled
def test_compilation_is_told_the_first_time_and_cached_the_second(tmp_path):
    command = [sys.executable, BENCH, "--batch_size", "1", "--num_batches", "1", "--forward_only"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    texts = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr for _ in range(2)
    ]
    # By two processes, of which either may be done first.
    told = re.findall(r"^compiled ([\w.]+): \d+\.\d s$", texts[0], flags=re.MULTILINE)
    assert sorted(told) == [
        "conv2d.winograd.cpu.filters._transform_rows",
        "conv2d.winograd.cpu.filters.filters_to_points",
        "conv2d.winograd.cpu.filters.transform_filters",
        "conv2d.winograd.cpu.schedules.convolve_by_filters",
        "conv2d.winograd.cpu.schedules.convolve_staged",
        "conv2d.winograd.cpu.transforms.restore_strip",
        "conv2d.winograd.cpu.transforms.transform_strip",
        "cpu.panels._product",
        "maxpool.cpu._forward",
        "relu.cpu._forward",
    ]
    assert "10 functions compiled; ready after" in texts[0]
    assert "compiled for the first time" not in texts[1]
    assert "compiled relu" not in texts[1]
    assert "0 functions compiled, all from the cache; ready after" in texts[1]


# --- the command line ------------------------------------------------------------------------------------------------


def call(*arguments, **how):
    return subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, check=False, timeout=120, **how
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size", "x"], "argument --batch_size/--batch-size: invalid int value: 'x'"),
        (["--batch_size", "0"], "batch_size is 0, but must be an int >= 1"),
        (["--backend", "gpu"], "argument --backend: invalid choice: 'gpu'"),
        (["--batch", "3"], "unrecognized arguments: --batch 3"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (
            ["--forward_only", "--forward-backward-only"],
            "--forward_only and --forward_backward_only exclude each other",
        ),
        (["--images", "nowhere"], "images is 'nowhere', but must be a folder that exists"),
        (["--batch_size", "100000000"], "batch_size is 100000000, but needs about"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        bench.main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"bench.py: {message}")
    assert captured.err.count("\n") == 1


def test_every_flag_reaches_its_option(monkeypatch):
    seen = []
    monkeypatch.setattr(benchmark, "run", lambda options, out, err: seen.append(options) or 0)
    assert bench.main([]) == 0
    assert seen[-1] == Options()
    flags = "--batch-size 3 --num-batches 4 --backend reference --algorithm gemm --precision tf32 --threads 1 --seed 5"
    flags += " --legacy-stats --images i --json j"
    assert bench.main([*flags.split(), "--quiet", "--forward_only"]) == 0
    assert seen[-1] == Options(
        3, 4, "tf2015", "reference", "gemm", "tf32", 1, 5, True, images="i", json="j", quiet=True, passes=("Forward",)
    )
    bench.main(["--forward_backward_only"])
    assert seen[-1].passes == ("Forward-backward",)
    bench.main(
        [
            "--versus",
            "torch",
            "--graph",
            "--versus",
            "tensorflow",
            "--tf32",
            "--versus",
            "jax",
            "--python",
            "p",
            "--layers",
        ]
    )
    assert seen[-1].versus == (Choice("torch", graph=True), Choice("tensorflow", tf32=True), Choice("jax", "p"))
    assert seen[-1].layers
    assert checked_threads(Options(threads=device("cpu").most_threads())) == device("cpu").most_threads()


def test_a_closed_pipe_is_not_an_error(monkeypatch, tmp_path):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr(benchmark, "run", closed)
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert bench.main([]) == 141
        file.write("what was still in the buffer")
    assert (tmp_path / "out").read_text() == ""


def test_wrong_use_in_a_process_of_its_own():
    result = call("--batch_size", "none")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "bench.py: argument --batch_size/--batch-size: invalid int value: 'none'\n"


@contextmanager
def started(*arguments):
    """A process that heeds Ctrl-C, though a shell may have started the tests in the background; killed in the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.kill()


LONG = (BENCH, "--batch_size", "1", "--num_batches", "100000")


@pytest.mark.compiled
def test_ctrl_c_prints_the_finished_steps_and_exits_130():
    with started(*LONG) as process:
        for line in process.stdout:
            if ": step 10," in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(rf"({TIME}: step \d+.*\n)*{TIME}: Forward across \d+ steps, \S+ \+/- \S+ sec / batch\n", out), (
        out
    )
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


def test_ctrl_c_while_it_loads_is_quiet():
    with started("-X", "importtime", BENCH) as process:
        # -X importtime tells on standard error when NumPy is being loaded, which is after main has begun.
        for line in process.stderr:
            if "numpy" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.compiled
def test_a_closed_pipe_ends_quietly():
    with started(*LONG) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 141
    assert lines[2].startswith("conv2")
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_variants_are_compared_and_nothing_is_timed(capsys):
    assert bench.main(["--compare-variants"]) == 0
    out, err = capsys.readouterr()
    assert out == "\n".join(comparison()) + "\n"
    assert err == ""


def test_a_network_that_classifies(monkeypatch):
    """Its dense layers have lines too, and its loss is the cross-entropy."""
    table = Variant(
        (7, 7, 3), (Conv("conv1", 4, 3, 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")), num_classes=3
    )
    monkeypatch.setitem(VARIANTS, "classes", table)
    losses = []
    loss = main.softmax_cross_entropy
    monkeypatch.setattr(main, "softmax_cross_entropy", lambda *given: losses.append(loss(*given)) or losses[-1])
    options = Options(batch_size=2, num_batches=1, variant="classes", backend="reference", layers=True, rounds=1)
    code, out, _ = run_text(options)
    assert code == 0
    assert out.startswith("conv1   [2, 4, 4, 4]\nfc2   [2, 3]\n")
    assert len(losses) == 12
    assert all(0 < value < 20 and gradient.shape == (2, 3) for value, gradient in losses)
    assert re.search(r"^fc2 +\[2, 3\] +195 +384 +product +\d", out, flags=re.MULTILINE)


def test_the_memory_estimate_counts_what_layers_keep():
    """By hand, in elements: conv1 4*4*4*2 = 128, kept once by ReLU and dense; LRN keeps its divisors, dropout bytes."""
    rows = (Conv("conv1", 4, 3, 2), Relu("relu1"), Norm("norm1", LocalResponseNorm), Flat(), Drop("drop2"), Full("fc2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "kept", Variant((8, 8, 3), rows, num_classes=2))
        net = alexnet("kept", backend="reference")
    images, parameters, kept = 2 * 8 * 8 * 3, 28 * 4 + 65 * 2, 128 + 128 + 128 // 4 + 128
    largest = 128 + 128
    expected = 200_000_000 + 4 * (3 * parameters + images + 2 * kept + largest)
    assert memory_estimate(net, (2, 8, 8, 3), "cpu", backward=True) == expected


def test_memory_that_is_used_again_by_size_is_counted_once_for_each_size(monkeypatch):
    """As on a GPU. The pools keep nothing: of what lies between them, two arrays of one size share their memory."""
    pools = [("pool1", AvgPool2d(3, 1, 1, "reference")), ("pool2", AvgPool2d(3, 1, 1, "reference"))]
    net = Sequential([*pools, ("pool3", AvgPool2d(2, 2, backend="reference"))])
    monkeypatch.setattr(type(device("cpu")), "reuses_by_size", True)
    images = 4 * 2 * 8 * 8 * 4
    assert memory_estimate(net, (2, 8, 8, 4), "cpu", backward=False) == 200_000_000 + images + images


def test_a_run_on_photographs(tiny, tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.arange(9 * 9 * 3, dtype=np.uint8).reshape(9, 9, 3)).save(tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    options = with_options(tiny, images=str(tmp_path), num_batches=1, batch_size=3)
    code, out, err = run_text(options)
    assert code == 0
    assert "Forward across 1 steps" in out
    assert "not read" not in err
    (tmp_path / "d.webp").touch()
    _, _, err = run_text(with_options(options, batch_size=2))
    expected = (
        f"2 files are not read in '{tmp_path}': 'c.png', 'd.webp' (.jpg, .jpeg, .png are, as many as the batch has"
    )
    assert err.startswith(expected)
    assert run_text(with_options(options, quiet=True, batch_size=2))[2] == ""
