"""The passes of a network on processors, recorded once and repeated: a step then costs little Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from .devices import Device
from .devices.host import Recorder
from .layers.base import Layer

RECORDS = 4
"""Records that are kept, with their arrays: those made last."""


class Passes(Protocol):
    """What has a forward and a backward: a network, or a run of several shards through one."""

    @property
    def forward(self) -> Callable[[Any], Any]: ...

    @property
    def backward(self) -> Callable[[Any], Any]: ...


class RecordedPasses:
    """``forward`` and ``backward`` of a network, with the same bits, in less time from the second call on.

    The first call for inputs of a shape notes which kernels it calls, and with which arrays
    (``devices/cpu/recording.py``); later calls repeat these. All layers must be such that they ``can_be_recorded``.

    ``keepers`` have as ``_saved`` what the forward saves for the backward: the layers, or who calls them.

    Shapes
        As those of the network; x and dout are copied. The output and the gradients are the same arrays each time, and
        the next call overwrites them.
    State
        A record for each shape, dtype, value of ``train`` and rate of dropout, and for other arrays as parameters.
        There is none of passes that would have to hold too many bytes of arrays: then the network runs.
    Errors
        As those of the network.
    Source
        docs/performance.md.
    """

    def __init__(
        self, net: Passes, leaves: list[Layer], hardware: Device, keepers: Sequence[object] | None = None
    ) -> None:
        self._net, self._leaves, self._hardware = net, leaves, hardware
        self._keepers = leaves if keepers is None else keepers
        self._random = [layer for layer in leaves if layer.rng is not None]
        self._records: dict[Any, _Record] = {}
        self._last: _Record | None = None

    def forward(self, x: Any) -> Any:
        """The output for input x."""
        self._last = None
        if not isinstance(x, np.ndarray):
            return self._net.forward(x)  # which says what is wrong
        key = x.shape, x.dtype, *circumstances(self._random, self._leaves)
        record = self._records.get(key) or _Record(self._net, self._leaves, self._keepers, self._hardware)
        for layer in self._random:
            if not layer._is_drawn:
                layer.draw()
        out = record.forward(x)
        for layer in self._random:
            layer._is_drawn = False
        if key not in self._records:
            while len(self._records) >= RECORDS:
                del self._records[next(iter(self._records))]
            self._records[key] = record
        self._last = record
        return out

    def backward(self, dout: Any) -> Any:
        """Writes the gradients, for the last forward; returns what the network's backward does."""
        return (self._net if self._last is None else self._last).backward(dout)


class _Record:
    """The forward for inputs of one shape, and its backward."""

    def __init__(self, net: Passes, leaves: list[Layer], keepers: Sequence[object], hardware: Device) -> None:
        recorder = hardware.recorder()
        self._params = [value for layer in leaves for value in layer.params.values()]
        # The gradients of the parameters are held in any case.
        size = sum(value.nbytes for value in self._params)
        self.forward = _Pass(net.forward, recorder, keepers, "_saved")
        self._backward, self._live = _Pass(net.backward, recorder, leaves, "grads", size), net.backward

    def backward(self, dout: Any) -> Any:
        """As that of the network."""
        if not self.forward.is_repeated:
            return self._live(dout)
        self.forward.restore()  # a loss may have called the network in between
        return self._backward(dout)


class _Pass:
    """``run``, recorded at the first call, and repeated for arguments of that shape and dtype.

    ``keepers`` have as the attribute ``kept`` what they keep of it.
    """

    def __init__(
        self, run: Callable[[Any], Any], recorder: Recorder, keepers: Sequence[object], kept: str, more_bytes: int = 0
    ) -> None:
        self._run, self._recorder, self._keepers, self._kept = run, recorder, keepers, kept
        self._more_bytes = more_bytes
        self._is_new = True
        self._recorded: tuple[np.ndarray, Callable[[], None], Any, list[Any]] | None = None

    @property
    def is_repeated(self) -> bool:
        """If the pass has been recorded."""
        return self._recorded is not None

    def __call__(self, argument: Any) -> Any:
        if self._recorded is not None:
            own, repeat, result, _ = self._recorded
            if isinstance(argument, np.ndarray) and argument.shape == own.shape and argument.dtype == own.dtype:
                np.copyto(own, argument)
                repeat()
                self.restore()
                return result
        if self._is_new and isinstance(argument, np.ndarray):
            return self._record(np.array(argument, order="C"))
        return self._run(argument)

    def restore(self) -> None:
        """Gives the keepers what they have kept of the pass."""
        assert self._recorded is not None
        for keeper, value in zip(self._keepers, self._recorded[3], strict=True):
            setattr(keeper, self._kept, value)

    def _record(self, own: np.ndarray) -> Any:
        result, repeat = self._recorder.recorded(lambda: self._run(own), self._more_bytes)
        self._is_new = False
        if repeat is not None:
            self._recorded = own, repeat, result, [getattr(keeper, self._kept) for keeper in self._keepers]
        return result


def circumstances(random: Iterable[Layer], leaves: Iterable[Layer]) -> Iterator[Any]:
    """What a record depends on beside the arrays that are given: what is dropped, and where parameters are."""
    for layer in random:
        yield getattr(layer, "train", None)
        yield getattr(layer, "rate", None)
    for layer in leaves:
        for value in layer.params.values():
            yield id(value)
