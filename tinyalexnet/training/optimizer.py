"""Stochastic gradient descent with momentum, as AlexNet was trained.

The optimizer knows no layers: parameters and gradients are dicts of arrays, named as in ``Sequential.params``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..devices import Device, device, to_host
from ..geometry import as_number
from ..ops.checks import check_floats
from ..ops.momentum import Move, momentum_steps

BLOCK = 1 << 16
"""Elements that the statistics take at a time, so that no temporary array is as large as a parameter."""


@dataclass(frozen=True)
class Statistics:
    """How far a step moved a parameter: the mean of |w| before the step, and the mean of |v|, which the step added."""

    weight: float
    update: float

    @property
    def ratio(self) -> float:
        """Mean |v| / mean |w|; NaN if every w is 0."""
        return self.update / self.weight if self.weight else math.nan


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "b"


class SGD:
    """Momentum, weight decay, and a learning rate that multiplies the gradient before it enters the momentum.

    Math
        v <- momentum v - weight_decay rate w - rate grad, then w <- w + v; v begins as 0. For a bias, which is a
        parameter whose last name is "b", rate is ``bias_rate_factor`` times the learning rate and weight_decay is
        ``bias_weight_decay``. PyTorch's SGD has v <- momentum v + weight_decay w + grad, then w <- w - rate v. While
        the rate is constant, both take the same steps. When it falls, PyTorch's steps shrink at once; here the old v
        still acts. With the momentum correction, if the rate before was last_rate, the first line is
        v <- momentum (rate / last_rate) v - weight_decay rate w - rate grad, and both take the same steps at any rates.
        If last_rate is 0, so is v, and the factor is 1.
    Shapes
        ``params`` is a dict of C-contiguous arrays of any shape, on the device of ``backend``. They are the layers'
        own arrays, and ``step`` writes to them. If you replace an array in a layer, create a new SGD.
    State
        ``state``, the velocities v. A copy or a pickle of an SGD has its own parameters too.
    Errors
        ValueError if an argument is out of range, ``params`` is empty, or one of them is empty, strided or read-only;
        TypeError if one is not float32 or float64.
    Source
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
        section 5, which gives no rule for biases; ``ops/momentum``. Twice the rate and no decay for
        biases are Caffe's (``bvlc_alexnet/train_val.prototxt``: ``lr_mult: 2``, ``decay_mult: 0``); cuda-convnet2, by
        the paper's first author, has twice the rate too (``epsB`` 0.02, ``epsW`` 0.01). Momentum correction: Goyal et
        al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 3, remark 2.
    """

    def __init__(
        self,
        params: Mapping[str, np.ndarray],
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        bias_rate_factor: float = 2.0,
        bias_weight_decay: float = 0.0,
        backend: str = "cpu",
    ) -> None:
        if not params:
            raise ValueError("params is empty, but must hold at least one parameter")
        self._backend = backend
        hardware = device(backend)
        for name, w in params.items():
            check_floats(hardware, **{name: w})
            if not w.size or not hardware.is_writeable(w):
                raise ValueError(f"{name} is empty, strided or read-only, but must be C-contiguous and writeable")
        self.learning_rate = as_number("learning_rate", learning_rate)
        self.momentum = as_number("momentum", momentum)
        if self.momentum >= 1:
            raise ValueError(f"momentum is {momentum!r}, but must be less than 1")
        self.weight_decay = as_number("weight_decay", weight_decay)
        self.bias_rate_factor = as_number("bias_rate_factor", bias_rate_factor)
        self.bias_weight_decay = as_number("bias_weight_decay", bias_weight_decay)
        self._params = dict(params)
        self._scratch = {w.dtype: np.empty(BLOCK, w.dtype) for w in params.values()}
        self._rates: dict[tuple[bool, np.dtype], Any] = {(_is_bias(name), w.dtype): None for name, w in params.items()}
        self._momenta: dict[np.dtype, Any] = {w.dtype: None for w in params.values()}
        self._corrected = math.nan
        self._velocities = {name: hardware.to_device(np.zeros(w.shape, w.dtype)) for name, w in params.items()}

        self.set_rate(self.learning_rate)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The velocities under their parameters' names: SGD's own arrays, which the next step changes."""
        return dict(self._velocities)

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Copies velocities, which are NumPy arrays, into ``state``: all of them, or none if one does not fit.

        Errors
            ValueError if ``state`` lacks a parameter, has one too many, or one of another shape; TypeError for another
            dtype.
        """
        self._check("state", state, device("cpu"))
        if surplus := sorted(state.keys() - self._params.keys()):
            raise ValueError(f"state has {', '.join(surplus)}, but must hold the names of params alone")
        for name, v in self._velocities.items():
            device(self._backend).write(v, state[name])

    def step(
        self,
        grads: Mapping[str, np.ndarray],
        learning_rate: float | None = None,
        statistics: bool = False,
        loss: Any = None,
        last_rate: float | None = None,
    ) -> dict[str, Statistics]:
        """Moves every parameter, or none if a gradient does not fit; ``learning_rate`` replaces the optimizer's rate.

        With ``last_rate``, the rate of the step before, the momentum is corrected.

        NaN and infinity are accepted and reach the parameters and the statistics; but if there is a ``loss`` (a float,
        or a GPU's array of one element) and it is not finite, nothing moves. Gradients of other names are ignored.

        Shapes
            ``grads`` has an array of each parameter's shape and dtype -> the ``Statistics`` of each parameter, or an
            empty dict if ``statistics`` is False.
        Errors
            ValueError if ``grads`` lacks a parameter or has another shape, or the rate is out of range; TypeError for
            another dtype.
        Cost
            Six operations per element. The statistics read w and v once more each, on the host.
        """
        self.set_rate(self.learning_rate if learning_rate is None else learning_rate, last_rate)
        self._check("grads", grads, device(self._backend))
        before = self.weight_magnitudes() if statistics else {}
        self.move(grads, loss)
        return self.statistics(before)

    def set_rate(self, learning_rate: float, last_rate: float | None = None) -> None:
        """The learning rate of the next ``move``, also of one that is captured; ValueError if it is out of range.

        With ``last_rate``, the rate of the step before, the momentum is corrected. It is an argument, and not what was
        set last, so that a run that goes on from a checkpoint needs the schedule alone.
        """
        hardware, rate, correction = device(self._backend), as_number("learning_rate", learning_rate), 1.0
        if last_rate is not None and (last := as_number("last_rate", last_rate)):
            correction = as_number("learning_rate / last_rate", rate / last)
        for (is_bias, dtype), held in self._rates.items():
            value = rate * self.bias_rate_factor if is_bias else rate
            self._rates[is_bias, dtype] = hardware.number(value, dtype, held)
        corrected = self.momentum * correction
        if corrected != self._corrected:  # else a GPU has it already
            self._corrected = corrected
            self._momenta = {dtype: hardware.number(corrected, dtype, held) for dtype, held in self._momenta.items()}

    def move(self, grads: Mapping[str, np.ndarray], loss: Any = None) -> None:
        """The arithmetic of ``step`` alone, with the rate and the momentum of ``set_rate``."""
        moves = []
        for name, w in self._params.items():
            is_bias = _is_bias(name)
            rate, decay = self._rates[is_bias, w.dtype], self.bias_weight_decay if is_bias else self.weight_decay
            moves.append(Move(w, self._velocities[name], grads[name], rate, self._momenta[w.dtype], decay))
        with np.errstate(over="ignore", invalid="ignore"):
            momentum_steps(moves, self._backend, loss=loss)

    def weight_magnitudes(self) -> dict[str, float]:
        """The mean of |w| of every parameter, for ``statistics``."""
        return {name: self._mean_magnitude(to_host(w)) for name, w in self._params.items()}

    def statistics(self, before: Mapping[str, float]) -> dict[str, Statistics]:
        """How far the last ``move`` moved the parameters whose ``weight_magnitudes`` were taken ``before`` it."""
        return {
            name: Statistics(weight, self._mean_magnitude(to_host(self._velocities[name])))
            for name, weight in before.items()
        }

    def _mean_magnitude(self, array: np.ndarray) -> float:
        flat, total = array.reshape(-1), 0.0
        for begin in range(0, flat.size, BLOCK):
            block = flat[begin : begin + BLOCK]
            magnitudes = np.abs(block, out=self._scratch[array.dtype][: block.size])
            total += float(magnitudes.sum(dtype=np.float64))
        return total / flat.size

    def _check(self, what: str, arrays: Mapping[str, np.ndarray], hardware: Device) -> None:
        if missing := [name for name in self._params if name not in arrays]:
            raise ValueError(f"{what} lacks {', '.join(missing)}, but must have an array for every parameter")
        for name, w in self._params.items():
            array = arrays[name]
            check_floats(hardware, **{f"{what}[{name!r}]": array})
            if array.dtype != w.dtype:
                raise TypeError(f"{what}[{name!r}] has dtype {array.dtype}, but must have its parameter's, {w.dtype}")
            if array.shape != w.shape:
                raise ValueError(f"{what}[{name!r}] has shape {array.shape}, but must have its parameter's, {w.shape}")
