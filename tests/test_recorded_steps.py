"""What a captured step asks of a GPU, by a device that is not there: it records, and replays what it has recorded.

``test_captured.py`` compares results; here is what happens in between.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet import Dropout, Flatten, captured, devices
from tinyalexnet.layers.base import Layer

LOSS = "loss"


class There:
    """An array of the device."""

    def __init__(self, values):
        self.values = np.array(values)

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    @property
    def address(self):
        return id(self.values)


class Recorder:
    """A device whose launches are recorded while a step is captured. ``asked`` lists what it was asked for."""

    on_host, can_record = False, False
    rehearsals = 2

    def __init__(self):
        self.asked, self._recorded = [], None

    def holds(self, array):
        return isinstance(array, There)

    def to_device(self, array):
        self.asked.append("to_device")
        return There(array)

    def to_host(self, array):
        return array.values.copy()

    def write(self, array, values):
        self.asked.append("write")
        assert self._recorded is None
        array.values[...] = values

    def send(self, array, values):
        self.asked.append("send")
        assert self._recorded is None
        array.values[...] = values

    def launch(self, name, work):
        """Runs ``work``, or records it."""
        self.asked.append(name)
        if self._recorded is None:
            work()
        else:
            self._recorded.append(work)

    def captured(self, step, prepare):
        for _ in range(self.rehearsals):
            prepare()
            step()
        prepare()
        self._recorded = launches = []
        self.asked.append("begin")
        try:
            result = step()
        finally:
            self._recorded = None
            self.asked.append("end")

        def replay():
            self.asked.append("replay")
            for work in launches:
                work()
            return result

        return replay


class Scale(Layer):
    """y = w x, for a number w."""

    def __init__(self, gpu, w):
        super().__init__("reference")
        self.backend, self._gpu, self.params = "there", gpu, {"w": There(np.float64([w]))}

    def forward(self, x):
        if x.shape[-1] == 13:
            raise ValueError("thirteen columns")
        y, w = There(np.zeros(x.shape)), self.params["w"]
        self._save(x)
        self._gpu.launch("forward", lambda: np.multiply(w.values, x.values, out=y.values))
        return y

    def backward(self, dout):
        (x,), dw, dx = self._restored(), There(np.zeros(1)), There(np.zeros(dout.shape))
        self.grads = {"w": dw}
        self._gpu.launch("dw", lambda: dw.values.__setitem__(0, (x.values * dout.values).sum()))
        w = self.params["w"]
        self._gpu.launch("dx", lambda: np.multiply(w.values, dout.values, out=dx.values))
        return dx


class Noise(Layer):
    """In training y = x + r, for a new number r each time; drawn as Dropout draws its seeds."""

    def __init__(self, gpu, seed):
        super().__init__("reference")
        self.backend, self._gpu, self.train = "there", gpu, True
        self.rng, self._number = np.random.default_rng(seed), There(np.zeros(1))

    def draw(self):
        if self.train:
            self._gpu.asked.append("draw")
            self._drawn = self.rng.integers(1000)
            self._number.values[0] = self._drawn
            self._is_drawn = True

    def part(self, first):
        self._gpu.asked.append(f"part {first}")
        self._number.values[0] = self._drawn + first
        self._is_drawn = True

    def forward(self, x):
        if not self.train:
            return x
        if not self._is_drawn:
            self.draw()
        self._is_drawn = False
        y, r = There(np.zeros(x.shape)), self._number
        self._gpu.launch("noise", lambda: np.add(x.values, r.values, out=y.values))
        return y

    def backward(self, dout):
        return dout


class Network(Layer):
    """Noise, then Scale."""

    def __init__(self, gpu, w=2.0, seed=5):
        super().__init__("reference")
        self.noise, self.scale = Noise(gpu, seed), Scale(gpu, w)
        self.params = self.scale.params

    @property
    def grads(self):
        return self.scale.grads

    @grads.setter
    def grads(self, value):
        assert value == {}

    def forward(self, x):
        return self.scale.forward(self.noise.forward(x))

    def backward(self, dout):
        return self.noise.backward(self.scale.backward(dout))


class Descent:
    """w <- w + v, for v <- v - dw."""

    def __init__(self, gpu, net):
        self._gpu, self._w, self.state = gpu, net.params["w"], {"w": There(np.zeros(1))}

    def move(self, grads, loss):
        v, w, dw = self.state["w"], self._w, grads["w"]

        def update():
            v.values -= dw.values
            w.values += v.values

        self._gpu.launch("update", update)


@pytest.fixture
def gpu(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(captured, "device", lambda name: recorder if name == "there" else devices.device(name))
    return recorder


def step_of(gpu, net, with_update=True):
    """The loss is the sum of y t; so dout is t."""

    def loss(y, targets):
        total = There(np.zeros(1))
        gpu.launch(LOSS, lambda: total.values.__setitem__(0, (y.values * targets.values).sum()))
        return total, targets

    optimizer = Descent(gpu, net) if with_update else None
    return captured.CapturedStep(net, [net.noise, net.scale], loss, optimizer), optimizer


def batch(rng, *shape):
    return tuple(rng.integers(-9, 10, (2, *shape)).astype(np.float64))


ONE_STEP = ["noise", "forward", LOSS, "dw", "dx", "update"]


def test_a_step_is_rehearsed_recorded_and_then_replayed_alone(gpu, rng):
    step, _ = step_of(gpu, Network(gpu))
    step(*batch(rng, 4, 3))
    assert gpu.asked == [
        *["to_device", "to_device"],
        *["draw", *ONE_STEP] * 2,
        *["draw", "begin", *ONE_STEP, "end"],
        *["write", "write"],  # w and v, as they were
        *["send", "send", "draw", "replay"],
    ]
    for _ in range(2):
        gpu.asked.clear()
        step(*batch(rng, 4, 3))
        assert gpu.asked == ["send", "send", "draw", "replay"]


def test_every_step_is_that_of_the_formula(gpu, rng):
    """Also the first: its rehearsals left parameters, velocities and the generator as they were."""
    net = Network(gpu, w=2.0, seed=5)
    step, optimizer = step_of(gpu, net)
    w, v, draws = 2.0, 0.0, np.random.default_rng(5)
    results = []
    for shape in ((4, 3), (4, 3), (2, 3), (4, 3), (2, 3)):
        x, targets = batch(rng, *shape)
        result = step(x, targets)
        noisy = x + draws.integers(1000)
        np.testing.assert_array_equal(result.out.values, w * noisy)
        assert result.loss.values == (w * noisy * targets).sum()
        dw = (noisy * targets).sum()
        assert net.grads["w"].values == dw
        v -= dw
        w += v
        assert (net.params["w"].values, optimizer.state["w"].values) == (w, v)
        results.append(result)
    assert net.noise.rng.bit_generator.state == draws.bit_generator.state
    # The same arrays each time, for each shape.
    assert results[0].out is results[1].out is results[3].out
    assert results[2].out is results[4].out is not results[0].out


def test_what_layers_save_and_write_is_that_of_the_step_that_ran_last(gpu, rng):
    net = Network(gpu)
    step, _ = step_of(gpu, net, with_update=False)
    seen = {}
    for shape in ((4, 3), (2, 3), (4, 3), (2, 3)):
        step(*batch(rng, *shape))
        (saved,) = net.scale._saved
        assert saved.shape == shape
        assert seen.setdefault(shape, (saved, net.scale.grads)) == (saved, net.scale.grads)
    assert seen[4, 3][1]["w"] is not seen[2, 3][1]["w"]


def records(gpu):
    return gpu.asked.count("begin")


def test_a_new_record_for_another_shape_dtype_or_train(gpu, rng):
    net = Network(gpu)
    step = captured.CapturedStep(net, [net.noise, net.scale], None, None)
    x, other = batch(rng, 4, 3)
    for count, images in ((1, x), (1, other), (2, x[:2]), (3, x.astype(np.float32)), (3, x), (3, x[:2])):
        step(images)
        assert records(gpu) == count
    net.noise.train = False
    assert step(x).loss is None
    assert records(gpu) == 4
    np.testing.assert_array_equal(step(other).out.values, 2 * other)
    net.noise.train = True
    step(x)
    assert records(gpu) == 4


def test_arrays_of_the_device_are_read_where_they_are_and_not_sent(gpu, rng):
    net = Network(gpu)
    net.noise.train = False
    step = captured.CapturedStep(net, [net.noise, net.scale], None, None)
    x, other = (There(values) for values in batch(rng, 4, 3))
    np.testing.assert_array_equal(step(x).out.values, 2 * x.values)
    assert not {"to_device", "send"} & set(gpu.asked)
    x.values += 1
    np.testing.assert_array_equal(step(x).out.values, 2 * x.values)
    assert records(gpu) == 1
    np.testing.assert_array_equal(step(other).out.values, 2 * other.values)
    assert records(gpu) == 2


def test_without_a_graph_each_call_runs_the_step(gpu, rng):
    """Host arrays are moved, arrays of the device are read where they are, and the results are the same."""
    nets = [Network(gpu) for _ in range(2)]
    steps = [
        captured.CapturedStep(net, [net.noise, net.scale], None, None, graph)
        for net, graph in zip(nets, (True, False), strict=True)
    ]
    x, other = batch(rng, 4, 3)
    for images in (x, other):
        expected = steps[0](images).out.values
        gpu.asked.clear()
        np.testing.assert_array_equal(steps[1](images).out.values, expected)
        assert gpu.asked == ["to_device", "draw", "noise", "forward"]
    gpu.asked.clear()
    steps[1](There(x))
    assert gpu.asked == ["draw", "noise", "forward"]


@pytest.mark.parametrize(("graph", "asked"), [(True, ["send", "part 3", "replay"]), (False, ["part 3", "to_device"])])
def test_parts_of_a_batch_share_what_was_drawn_for_all(gpu, rng, graph, asked):
    """Each says where it begins, and nothing is drawn. The first of them is recorded, and changes nothing either."""
    net = Network(gpu)
    step = captured.CapturedStep(net, [net.noise, net.scale], None, None, graph)
    x, _ = batch(rng, 4, 3)
    for _ in range(2):
        net.noise.draw()
        state = net.noise.rng.bit_generator.state
        for first in (5, 0, 3):
            gpu.asked.clear()
            np.testing.assert_array_equal(step(x, first=first).out.values, 2 * (x + net.noise._drawn + first))
            assert net.noise.rng.bit_generator.state == state
        assert gpu.asked[: len(asked)] == asked


def test_a_forward_that_is_not_captured_draws_anew(gpu, rng):
    """Between two captured ones, it takes the number between theirs."""
    net = Network(gpu)
    step = captured.CapturedStep(net, [net.noise, net.scale], None, None)
    x, _ = batch(rng, 4, 3)
    found = [step(x).out.values.copy(), net.forward(There(x)).values, step(x).out.values.copy()]
    draws = np.random.default_rng(5)
    for out in found:
        np.testing.assert_array_equal(out, 2 * (x + draws.integers(1000)))


def test_a_step_that_fails_is_not_recorded_and_leaves_no_trace(gpu, rng):
    net = Network(gpu)
    step, _ = step_of(gpu, net)
    with pytest.raises(ValueError, match="thirteen columns"):
        step(*batch(rng, 4, 13))
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        step(batch(rng, 4, 3)[0], batch(rng, 4, 2)[0])
    assert records(gpu) == 0
    assert net.params["w"].values == 2
    x, targets = batch(rng, 4, 3)
    np.testing.assert_array_equal(step(x, targets).out.values, 2 * (x + np.random.default_rng(5).integers(1000)))


def test_what_was_drawn_for_a_record_that_failed_is_not_used(gpu, rng, monkeypatch):
    """Else the next two forwards would have the same number: the generator is as it was."""

    def fails(step, prepare):
        prepare()
        raise RuntimeError("no graph")

    net = Network(gpu)
    step = captured.CapturedStep(net, [net.noise, net.scale], None, None)
    x, _ = batch(rng, 4, 3)
    monkeypatch.setattr(gpu, "captured", fails)
    with pytest.raises(RuntimeError, match="no graph"):
        step(x)
    draws = np.random.default_rng(5)
    for _ in range(2):
        np.testing.assert_array_equal(net.forward(There(x)).values, 2 * (x + draws.integers(1000)))


def test_the_gpu_is_that_of_any_layer(gpu, rng):
    """A layer without arrays of its own, as Flatten, is of the host."""
    net = Network(gpu)
    step = captured.CapturedStep(net, [Flatten(), net.noise, net.scale], None, None)
    step(batch(rng, 4, 3)[0])
    assert records(gpu) == 1


def test_on_the_host_a_call_runs_the_step(gpu, rng):
    flatten = Flatten()
    moved = []
    optimizer = SimpleNamespace(state={}, move=lambda grads, loss: moved.append((grads, loss)))
    step = captured.CapturedStep(flatten, [flatten], lambda y, targets: (7.0, targets), optimizer)
    x, targets = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 12))
    result = step(x, targets)
    np.testing.assert_array_equal(result.out, x.reshape(2, 12))
    assert result.loss == 7.0
    assert moved == [({}, 7.0)]
    assert captured.CapturedStep(flatten, [flatten], None, None)(x).loss is None
    assert gpu.asked == []


def test_dropout_draws_for_its_next_forward_alone(rng):
    """Once for each forward, by itself or before; and nothing if it is not in training."""
    x = rng.standard_normal((20, 30)).astype(np.float32)
    first, second = (Dropout(0.5, rng=3, backend="reference") for _ in range(2))
    first.draw()
    for _ in range(2):
        np.testing.assert_array_equal(first.forward(x), second.forward(x))
    first.train = False
    before = first.rng.bit_generator.state
    first.draw()
    assert first.forward(x) is x
    assert first.rng.bit_generator.state == before
    first.train = True
    np.testing.assert_array_equal(first.forward(x), second.forward(x))
