"""The time, the operations and the memory of layers, as a table and as a picture."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmark.at_once import AtOnce
from tinyalexnet import Conv2d, Dropout, MaxPool2d, ReLU, Sequential, alexnet, l2_loss
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Pool, Relu
from tinyalexnet.benchmark import PASSES, Options, breakdown, plots, run
from tinyalexnet.benchmark.breakdown import LayerRow, measure, table
from tinyalexnet.benchmark.memory import ledger, ledger_line
from tinyalexnet.devices import Peak, device, host
from tinyalexnet.devices.cpu import memory

TINY = Variant(
    (9, 9, 3),
    (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1"), Conv("conv2", 2, 3), Relu("relu2")),
    weight_std=0.1,
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    for module in (breakdown, host):
        monkeypatch.setattr(module, "PEAK_SIZE", 64)
    monkeypatch.setattr(host, "COPY_BYTES", 1 << 16)


def network(**how):
    return Sequential(
        [
            ("conv1", Conv2d(4, 6, 3, 1, "SAME", groups=2, needs_dx=False, **how)),
            ("pool1", MaxPool2d(3, 2, backend="reference")),
            ("relu1", ReLU(inplace=True, backend="reference")),
            ("conv2", Conv2d(6, 5, 2, 2, **how)),
        ]
    )


def measured(net, backward=True, rounds=3):
    images = np.random.default_rng(0).standard_normal((2, 11, 9, 4)).astype(np.float32)
    steps = []
    rows = measure(net, images, l2_loss if backward else None, rounds, lambda: steps.append(1), device("cpu"))
    assert len(steps) == rounds
    return rows, images


def test_rows_count_what_each_layer_does():
    rows, _ = measured(network(backend="reference"))
    conv1, pool1, relu1, conv2 = rows
    assert [row.shape for row in rows] == [(2, 11, 9, 6), (2, 5, 4, 6), (2, 5, 4, 6), (2, 2, 2, 5)]
    assert [sorted(row.seconds) for row in rows] == [["dw", "forward"], ["dx", "forward"], ["dx", "forward"], [
        "dw", "dx", "forward"]]  # fmt: skip
    assert (conv1.multiply_adds, conv1.performed, conv1.algorithm) == (2 * 11 * 9 * 6 * 3 * 3 * 2,) * 2 + ("direct",)
    assert conv1.parameters == 3 * 3 * 2 * 6 + 6
    assert conv1.bytes_moved == 4 * (2 * 11 * 9 * 4 + 2 * 11 * 9 * 6 + conv1.parameters)
    assert (pool1.multiply_adds, pool1.parameters, pool1.algorithm) == (0, 0, "")
    assert (pool1.output_bytes, pool1.cache_bytes) == (4 * 240, 240)
    assert (relu1.output_bytes, relu1.cache_bytes) == (0, 4 * 240)
    assert conv2.cache_bytes == 4 * 240
    assert all(seconds > 0 for row in rows for seconds in row.seconds.values())


def test_winograd_performs_fewer_multiply_adds():
    rows, _ = measured(network(backend="reference", algorithm="winograd"), backward=False)
    conv1, conv2 = rows[0], rows[-1]
    assert [list(row.seconds) for row in rows] == [["forward"]] * 4
    assert conv1.algorithm.startswith("F(")
    assert conv1.performed < conv1.multiply_adds
    assert conv2.algorithm == "F(1x1, 1x1)"
    assert conv2.performed == conv2.multiply_adds == 2 * 2 * 2 * 5 * 2 * 2 * 6
    rows, _ = measured(network(backend="cpu", algorithm="gemm"))
    assert rows[0].algorithm == "gemm"


def test_a_breakdown_computes_what_a_step_computes():
    net, other = network(backend="reference", rng=1), network(backend="reference", rng=1)
    _, images = measured(net)
    other.backward(other.forward(images))
    for name, gradient in other.grads.items():
        np.testing.assert_array_equal(net.grads[name], gradient)


def test_dropout_is_drawn_for_each_step_and_outside_of_its_time():
    done = []

    class Noted(Dropout):
        def draw(self):
            done.append("drawn")
            super().draw()

        def forward(self, x):
            done.append("forward")
            return super().forward(x)

    measured(Sequential([("drop1", Noted(0.5, backend="reference"))]), backward=False, rounds=3)
    assert done == ["drawn", "forward"] * 3


def test_each_pass_has_its_own_seconds_and_the_loss_is_in_none(monkeypatch):
    """By a clock that only the work moves, each piece by another power of two; the median is of the second round."""
    net, clock = network(backend="reference"), [0]
    spent, scale = {}, [1]

    def takes(what, function):
        seconds = spent.setdefault(what, 1 << len(spent))

        def timed(*arguments):
            clock[0] += scale[0] * seconds
            return function(*arguments)

        return timed

    def passes(name, layer):
        halves = layer.backward_passes()
        return lambda: ((what, takes((name, what), half)) for what, half in halves)

    monkeypatch.setattr(host, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for name, layer in net:
        monkeypatch.setattr(layer, "backward_passes", passes(name, layer))
        monkeypatch.setattr(layer, "forward", takes((name, "forward"), layer.forward))
    images = np.random.default_rng(0).standard_normal((2, 11, 9, 4)).astype(np.float32)
    loss = takes("loss", l2_loss)
    rows = measure(net, images, loss, 3, lambda: scale.append(scale.pop() * 4), device("reference"))
    found = {(row.name, what): seconds for row in rows for what, seconds in row.seconds.items()}
    assert len(found) == 9
    assert {**found, "loss": 4 * spent["loss"]} == {what: 4 * seconds for what, seconds in spent.items()}
    rows = measure(net, images, None, 1, lambda: None, device("reference"))
    assert [list(row.seconds) for row in rows] == [["forward"]] * 4


def test_the_table_and_the_ledger_as_text():
    conv1 = LayerRow("conv1", (2, 5, 5, 8), 100, 3_000_000, 1_000_000, 500, "F(5x5, 3x3)")
    conv1.seconds = {"forward": 0.003, "dw": 0.001}
    pool1 = LayerRow("pool1", (2, 2, 2, 8), seconds={"forward": 0.0005, "dx": 0.0005})
    lines = table([conv1, pool1], Peak(2e9, 3e9), ("forward", "dx", "dw"))
    # 2 passes of 2 * 3e6 operations in 4 ms are 3 GFLOP/s; the products' third of that is 1, half of the peak of 2.
    columns = [
        ("layer ", "conv1 ", "pool1 ", "sum   "),
        (" output              ", " [2, 5, 5, 8]        ", " [2, 2, 2, 8]        ", " " * 21),
        (" parameters", "        100", " " * 11, "        100"),
        ("  multiply-adds", "        3000000", " " * 15, "        3000000"),
        (" algorithm    ", " F(5x5, 3x3)  ", " " * 14, " " * 14),
        ("  forward", "     3.00", "     0.50", "     3.50"),
        ("       dx", " " * 9, "     0.50", "     0.50"),
        ("       dw", "     1.00", " " * 9, "     1.00"),
        ("  GFLOP/s", "        3", " " * 9, ""),
        ("  of peak", "      50%", " " * 9, ""),
        ("  of step", "    80.0%", "    20.0%", ""),
    ]
    assert lines[:4] == ["".join(row) for row in zip(*columns, strict=True)]
    assert lines[4] == "peak 2 GFLOP/s, of a product of 64 x 64 matrices; memory 3 GB/s, of a copy"
    held = {"images": 1e6, "parameters": 2e6, "gradients": 3e6, "activations": 4e6, "caches": 5e6, "kernels": 0}
    assert ledger_line(held, None).endswith("all activations 4 MB, of which 5 MB wait for the backward")
    assert ledger_line({**held, "kernels": 6e6}, 7e6).endswith(
        "; the kernels hold 6 MB for activations, gradients and scratch; peak of the process 7 MB"
    )


def test_the_ledger_counts_shared_memory_once():
    net = network(backend="reference")
    rows, images = measured(net)
    held = ledger(net, images, sum(row.output_bytes for row in rows), 17)
    # relu1's output is conv2's input; conv1's input is the images. Beside it a byte for each window of pool1.
    assert held["caches"] == 4 * 240 + 240
    assert held["images"] == images.nbytes
    assert held["parameters"] == held["gradients"] == 4 * (3 * 3 * 2 * 6 + 6 + 2 * 2 * 6 * 5 + 5)
    assert held["activations"] == 4 * (2 * 11 * 9 * 6 + 240 + 2 * 2 * 2 * 5)
    assert held["kernels"] == 17


def test_the_machine_is_measured():
    found = device("reference").peak(1)
    assert found.peak > 1e6
    assert found.bandwidth > 1e6


def options(**changes):
    return Options(
        **{"batch_size": 2, "num_batches": 1, "rounds": 2, "variant": "tiny", "backend": "reference", **changes}
    )


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_benchmark_prints_draws_and_stores_it(tmp_path, backend):
    memory.empty((memory.LEAST_BYTES,), np.uint8)  # so that there is something to report
    out = io.StringIO()
    picture, results = tmp_path / "layers.png", tmp_path / "results.json"
    err = io.StringIO()
    assert run(options(backend=backend, plot=str(picture), json=str(results)), out, err) == 0
    assert err.getvalue().endswith(f"wrote {picture}\nwrote {results}\n")
    lines = out.getvalue().splitlines()
    names = [line.split()[0] for line in lines[-9:]]
    assert names == ["layer", "conv1", "pool1", "relu1", "conv2", "relu2", "sum", "peak", "memory:"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.png", "results.json"]
    stored = json.loads(results.read_text())["layers"]
    assert [row["name"] for row in stored["rows"]] == names[1:6]
    passes = [",".join(row["seconds"]) for row in stored["rows"]]
    assert passes == ["forward,dw", "forward,dx", "forward,dx", "forward,dx,dw", "forward,dx"]
    assert stored["machine"]["peak"] > 0
    assert stored["memory"]["kernels"] == (memory.held() if backend == "cpu" else 0)


def test_every_line_is_shown_at_once():
    with AtOnce() as out:
        assert run(options(num_batches=11, layers=True), out, io.StringIO()) == 0
        assert out.getvalue().count("step 10,") == 2


def test_the_forward_alone_has_one_column_of_times():
    out = io.StringIO()
    assert run(options(passes=PASSES[:1], layers=True), out, io.StringIO()) == 0
    assert " forward  GFLOP/s" in out.getvalue()
    assert " dx " not in out.getvalue()


def test_svg_by_its_ending(tmp_path):
    rows, _ = measured(network(backend="reference"), backward=False)
    plots.breakdown(rows, Peak(1e9, 1e9), "a title", str(tmp_path / "layers.svg"))
    text = (tmp_path / "layers.svg").read_text()
    assert text.startswith("<?xml")
    assert "a title" in text


def test_what_cannot_be_drawn_is_refused_before_anything_is_timed(tmp_path, monkeypatch):
    def refused(error, path):
        out = io.StringIO()
        with pytest.raises(error) as caught:
            run(options(plot=str(path)), out, io.StringIO())
        assert out.getvalue() == ""
        return str(caught.value)

    assert "but must end in .png or .svg" in refused(ValueError, tmp_path / "layers.gif")
    assert "must be a file in a folder that can be written to" in refused(ValueError, tmp_path / "no" / "layers.png")
    with pytest.raises(ValueError, match=r"plot is 'a.svg', but must be another file than json, './a.svg', which it"):
        run(options(json="./a.svg", plot="a.svg"), io.StringIO(), io.StringIO())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert refused(ImportError, tmp_path / "a.png") == "plot needs matplotlib: pip install 'tinyalexnet[plot]'"


def test_a_picture_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "_roofline", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plots.breakdown(measured(network(backend="reference"))[0], Peak(1, 1), "", str(tmp_path / "layers.png"))
    assert list(tmp_path.iterdir()) == []


def test_alexnet_s_multiply_adds():
    """The same sum as in docs/benchmark.md."""
    assert alexnet(backend="reference").cost((1, 227, 227, 3)).multiply_adds == 655_566_528
