"""CUDA graphs: what is recorded, and what cannot be. With --backend cuda; ``test_captured.py`` compares results."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tinyalexnet import alexnet, softmax_cross_entropy, to_device, to_host
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Norm, Pool, Relu
from tinyalexnet.devices import device
from tinyalexnet.devices.cuda import memory, tensor_windows
from tinyalexnet.devices.cuda.driver import DriverError, driver
from tinyalexnet.devices.cuda.graph import REHEARSALS, Graph
from tinyalexnet.geometry import Window
from tinyalexnet.layers import LocalResponseNorm
from tinyalexnet.ops.conv2d import conv2d_forward
from tinyalexnet.ops.relu import relu_forward
from tinyalexnet.training.optimizer import SGD

pytestmark = pytest.mark.cuda

LAYERS = (
    *(Conv("conv1", 8, 5, 2), Norm("norm1", LocalResponseNorm, {"radius": 2}), Pool("pool1"), Relu("relu1")),
    *(Conv("conv2", 8, 3), Flat(), Full("fc3", 6), Drop("drop3"), Full("fc4")),
)


def loss_of(y, labels):
    return softmax_cross_entropy(y, labels, "cuda")


@pytest.fixture
def launches(monkeypatch):
    """The launches so far: kernel, blocks and threads, and if a step was captured meanwhile."""
    noted, gpu = [], driver()
    launch = gpu.launch

    def noting(function, blocks, threads, arguments):
        noted.append(((function.name, tuple(blocks), threads), gpu.is_capturing))
        launch(function, blocks, threads, arguments)

    monkeypatch.setattr(gpu, "launch", noting)
    return noted


def test_a_captured_step_has_the_launches_of_one_that_is_not(monkeypatch, rng, launches):
    monkeypatch.setitem(VARIANTS, "tiny", Variant((20, 20, 3), LAYERS, 5))
    images, labels = rng.standard_normal((2, 20, 20, 3)).astype(np.float32), np.arange(2)
    net = alexnet("tiny", backend="cuda")
    net.train = True
    sgd = SGD(net.params, backend="cuda")
    on_device = to_device(images), to_device(labels)
    launches.clear()
    loss, dout = loss_of(net.forward(on_device[0]), on_device[1])
    net.backward(dout)
    sgd.move(net.grads, loss)
    eager = [launch for launch, _ in launches]
    assert len(eager) > 25
    assert len({name for name, _, _ in eager}) > 10
    launches.clear()
    step = net.captured(loss_of, sgd)
    step(images, labels)
    assert [launch for launch, is_capturing in launches if is_capturing] == eager
    assert [launch for launch, is_capturing in launches if not is_capturing] == REHEARSALS * eager
    launches.clear()
    step(images, labels)
    assert launches == []


def test_replays_read_what_is_in_the_arrays_then(rng):
    x = to_device(rng.standard_normal(1000).astype(np.float32))
    graph = Graph(lambda: relu_forward(relu_forward(x, backend="cuda"), backend="cuda"))
    for _ in range(3):
        values = rng.standard_normal(1000).astype(np.float32)
        memory.send(x, values)
        assert graph.replay() is graph.result
        np.testing.assert_array_equal(to_host(graph.result), np.maximum(values, 0))


def test_the_tables_that_a_graph_reads_are_kept(rng):
    """Those of a convolution, although many others are made since."""
    window = Window(3, 2)
    values = [rng.integers(-4, 5, shape).astype(np.float32) for shape in ((2, 7, 7, 4), (3, 3, 4, 8), (8,))]
    x, w, b = map(to_device, values)
    expected = conv2d_forward(*values, window, backend="reference")
    conv2d_forward(x, w, b, window, backend="cuda")
    graph = Graph(lambda: conv2d_forward(x, w, b, window, backend="cuda"))
    for n in range(3, 300):
        tensor_windows._pixels(n % 5, n, (3, 7), (3, 3))
        tensor_windows._taps((3, 3), n, 4, 1)
    others = [to_device(np.full(128, 7, np.int32)) for _ in range(20)]
    np.testing.assert_array_equal(to_host(graph.replay()), expected)
    assert len(others) == 20


def test_copies_on_the_device_are_recorded(rng):
    source, target = (to_device(rng.standard_normal(50).astype(np.float32)) for _ in range(2))
    graph = Graph(lambda: memory.write(target, source))
    memory.write(target, np.zeros(50, np.float32))
    graph.replay()
    np.testing.assert_array_equal(to_host(target), to_host(source))


def test_memory_that_the_rehearsals_did_not_ask_for_is_refused():
    """It would not be there at the replay."""
    calls = []

    def growing():
        calls.append(len(calls))
        return memory.empty((10_000 * len(calls),), np.float32)

    with pytest.raises(DriverError, match="memory was asked for while a step is captured"):
        Graph(growing)
    assert calls == list(range(REHEARSALS + 1))
    assert not driver().is_capturing
    assert to_host(to_device(np.arange(3))).tolist() == [0, 1, 2]


@pytest.mark.parametrize("wait", [to_host, lambda x: memory.write(x, np.zeros(5)), lambda x: driver().wait()])
def test_a_step_that_waits_cannot_be_captured(wait):
    x = to_device(np.ones(5))
    with pytest.raises(DriverError):
        Graph(lambda: wait(x))
    assert not driver().is_capturing
    assert to_host(to_device(np.arange(3))).tolist() == [0, 1, 2]


def test_an_error_of_the_step_is_that_of_the_graph():
    """Also one that comes only while it is captured."""
    calls = []

    def failing():
        calls.append(1)
        if len(calls) > REHEARSALS:
            raise KeyError("the step's own")

    with pytest.raises(KeyError, match="the step's own"):
        Graph(failing)
    assert not driver().is_capturing
    assert memory.pool() is memory.pool()
    assert to_host(to_device(np.arange(3))).tolist() == [0, 1, 2]


@pytest.fixture
def eager_collector():
    """Cycles are looked for at every other new object."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


def test_the_end_of_another_graph_does_not_disturb(rng, eager_collector):
    """It waits for the GPU, which ends a capture; in a cycle, the end may come at any new object."""
    x = to_device(rng.standard_normal(100).astype(np.float32))
    expected, calls = np.maximum(to_host(x), 0), []

    def step():
        calls.append(1)
        if len(calls) > REHEARSALS:
            cycle = [Ending()]
            cycle.append(cycle)
            del cycle
        return relu_forward(x, backend="cuda")

    class Ending:
        def __del__(self):
            driver().wait()

    graph = Graph(step)
    assert gc.isenabled()
    np.testing.assert_array_equal(to_host(graph.replay()), expected)


def test_a_device_that_cannot_capture_runs_the_step():
    calls = []

    def waiting():
        calls.append(1)
        driver().wait()
        return len(calls)

    with pytest.warns(UserWarning, match="no CUDA graph, so each step launches its kernels one by one: "):
        step = device("cuda").captured(waiting, lambda: None)
    assert step is waiting
    assert step() == len(calls)


def test_the_arrays_of_a_graph_are_no_others(rng, monkeypatch):
    """Between replays other arrays are made, which must not get its memory; and its results survive it."""
    x = to_device(rng.standard_normal(300).astype(np.float32))
    expected = np.maximum(to_host(x), 0)
    graph = Graph(lambda: relu_forward(relu_forward(x, backend="cuda"), backend="cuda"))
    graph.replay()
    others = [memory.empty((300,), np.float32) for _ in range(20)]
    assert graph.result.address not in {other.address for other in others}
    for other in others:
        memory.write(other, np.full(300, 7, np.float32))
    np.testing.assert_array_equal(to_host(graph.result), expected)
    freed, free = [], driver().free
    monkeypatch.setattr(driver(), "free", lambda address: freed.append(address) or free(address))
    result = graph.result
    del graph
    gc.collect()
    assert result.address not in freed
    np.testing.assert_array_equal(to_host(result), expected)
    address = result.address
    del result
    assert freed[-1] == address
