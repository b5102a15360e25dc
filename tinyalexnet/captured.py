"""A step of a network as one function: forward, loss, backward and update. It is recorded once and repeated."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from .devices import Device, device
from .layers.base import Layer
from .recorded import RecordedPasses, circumstances


class Result(NamedTuple):
    """What a step computes: the network's output, and the loss, if there is one (on a GPU an array of one element)."""

    out: Any
    loss: Any


class Optimizer(Protocol):
    """What a step needs of an optimizer: ``training.optimizer.SGD`` has it."""

    @property
    def state(self) -> dict[str, Any]: ...

    def move(self, grads: Any, loss: Any) -> None: ...


class CapturedStep:
    """``step(x, *targets)``: forward, and with a ``loss`` also backward, and with an ``optimizer`` also the update.

    With ``first`` it is a step of a part of a batch, that from image ``first`` on, for which the caller has drawn what
    layers draw at random.

    On a GPU the first call for arrays of these shapes records all launches of the step as a CUDA graph, and every call
    replays it: the step then takes as long as its kernels, and no longer as long as Python needs to launch them. With
    compiled kernels on processors the calls of forward and backward are recorded, if their arrays are not large and all
    layers are the package's own; loss and update run as they are (``RecordedPasses``). The results have the same bits
    as without, which ``graph=False`` is for. NumPy's own passes just run.

    Shapes
        x and each target: host arrays, which are copied to the GPU, into the same place each time; or arrays of the
        GPU, which are read where they are. -> ``Result(out, loss)``: the same arrays each time, which the next call
        overwrites, as it does the gradients in ``net.grads``. The loss is a number on the host.
    State
        A record for each combination of shapes, of ``net.train`` and of the rates of dropout, and for other arrays as
        parameters; each holds the memory of its arrays. Other options of layers are those of the first call.
    Errors
        As those of the network and of the loss.
    Source
        docs/gpu.md; docs/performance.md.
    """

    def __init__(
        self,
        net: Layer,
        leaves: list[Layer],
        loss: Callable[..., tuple[Any, Any]] | None,
        optimizer: Optimizer | None,
        graph: bool = True,
    ) -> None:
        self._net, self._leaves, self._loss, self._optimizer = net, leaves, loss, optimizer
        self._graph = graph
        # That of the layers: the GPU, if one of them computes there.
        devices = (device(layer.backend) for layer in leaves)
        self._hardware: Device = max(devices, key=lambda found: (not found.on_host, found.can_record))
        is_recorded = graph and self._hardware.can_record and net.can_be_recorded()
        self._passes = RecordedPasses(net, leaves, self._hardware) if is_recorded else net
        self._random = [layer for layer in leaves if layer.rng is not None]
        self._recorded: dict[Any, _Recorded] = {}

    def __call__(self, x: Any, *targets: Any, first: int | None = None) -> Result:
        hardware, given = self._hardware, (x, *targets)
        if hardware.on_host or not self._graph:
            if first is not None:
                self._begin(first)
            if not hardware.on_host:
                given = tuple(array if hardware.holds(array) else hardware.to_device(array) for array in given)
            return self._step(given[0], given[1:])
        key = *(_place(hardware, array) for array in given), *circumstances(self._random, self._leaves)
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = self._recorded[key] = self._record(hardware, given, first)
        for array, own in zip(given, recorded.arrays, strict=True):
            if own is not array:
                hardware.send(own, array)
        self._begin(first)
        for layer, saved, grads in recorded.layers:
            layer._saved, layer.grads = saved, grads
        result: Result = recorded.replay()
        self._forget_draws()
        return result

    def _step(self, x: Any, targets: tuple[Any, ...]) -> Result:
        out = self._passes.forward(x)
        if self._loss is None:
            return Result(out, None)
        loss, dout = self._loss(out, *targets)
        self._passes.backward(dout)
        if self._optimizer is not None:
            self._optimizer.move(self._net.grads, loss)
        return Result(out, loss)

    def _record(self, hardware: Device, given: tuple[Any, ...], first: int | None) -> "_Recorded":
        """Records the step. Its rehearsals must leave no trace: in parameters, velocities and random generators."""
        arrays = tuple(array if hardware.holds(array) else hardware.to_device(array) for array in given)
        generators = [layer.rng.bit_generator for layer in self._random if layer.rng is not None]
        states = [generator.state for generator in generators]
        changed = list(self._changed())
        before = [hardware.to_host(array) for array in changed]
        try:
            replay = hardware.captured(lambda: self._step(arrays[0], arrays[1:]), lambda: self._begin(first))
        finally:
            for array, values in zip(changed, before, strict=True):
                hardware.write(array, values)
            for generator, state in zip(generators, states, strict=True):
                generator.state = state
            self._forget_draws()
        layers = [(layer, layer._saved, layer.grads) for layer in self._leaves]
        return _Recorded(arrays, replay, layers, [value for layer in self._leaves for value in layer.params.values()])

    def _changed(self) -> Iterator[Any]:
        """What a step overwrites although the next one reads it."""
        if self._optimizer is not None:
            yield from self._net.params.values()
            yield from self._optimizer.state.values()

    def _begin(self, first: int | None) -> None:
        """What must be said before a forward: of a whole batch, or of a part of one."""
        for layer in self._random:
            if first is None:
                layer.draw()
            else:
                layer.part(first)

    def _forget_draws(self) -> None:
        """A mask is used up: a forward that no graph replays must draw a new one."""
        for layer in self._random:
            layer._is_drawn = False


class _Recorded(NamedTuple):
    """A step for arrays of some shapes, what its layers save and write, and the parameters that it reads."""

    arrays: tuple[Any, ...]
    replay: Callable[[], Any]
    layers: list[tuple[Layer, Any, Any]]
    params: list[Any]


def _place(hardware: Device, array: Any) -> Any:
    """What a graph depends on: shape and dtype of a host array, the address of an array of the device."""
    if hardware.holds(array):
        return array.shape, array.dtype, array.address
    host = np.asarray(array)
    return host.shape, host.dtype
