"""Stochastic gradient descent with momentum, as AlexNet was trained, and schedules of its learning rate.

The optimizer knows no layers: parameters and gradients are dicts of arrays, named as in ``Sequential.params``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Protocol

import numpy as np

from ..geometry import as_integer
from ..kernels import for_checks, load, placed, to_host, write
from ..kernels.contract import check_floats

BLOCK = 1 << 16
"""Elements that the statistics take at a time, so that no temporary array is as large as a parameter."""

_SCHEDULE_RULE = (
    "'constant', 'step:EVERY:FACTOR' or 'exponential:EVERY:FACTOR' with an int EVERY >= 1 and 0 < FACTOR <= 1"
)


@dataclass(frozen=True)
class Statistics:
    """How far a step moved a parameter: the mean of |w| before the step, and the mean of |v|, which the step added."""

    weight: float
    update: float

    @property
    def ratio(self) -> float:
        """Mean |v| / mean |w|; NaN if every w is 0."""
        return self.update / self.weight if self.weight else math.nan


class SGD:
    """Momentum, weight decay, and a learning rate that multiplies the gradient before it enters the momentum.

    Math
        v <- momentum v - weight_decay rate w - rate grad, then w <- w + v; v begins as 0. For a bias, which is a
        parameter whose last name is "b", rate is ``bias_rate_factor`` times the learning rate and weight_decay is
        ``bias_weight_decay``. PyTorch's SGD has v <- momentum v + weight_decay w + grad, then w <- w - rate v. While
        the rate is constant, both take the same steps. When it falls, PyTorch's steps shrink at once; here the old v
        still acts.
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
        section 5, which gives no rule for biases; ``kernels/reference/momentum.py``. Twice the rate and no decay for
        biases are Caffe's (``bvlc_alexnet/train_val.prototxt``: ``lr_mult: 2``, ``decay_mult: 0``); cuda-convnet2, by
        the paper's first author, has twice the rate too (``epsB`` 0.02, ``epsW`` 0.01).
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
        load(backend)  # An unknown backend is refused before anything else.
        self._backend = backend
        for name, w in params.items():
            check_floats(name, for_checks(name, w, backend))
            on_host = isinstance(w, np.ndarray)
            if not w.size or (on_host and not (w.flags.c_contiguous and w.flags.writeable)):
                raise ValueError(f"{name} is empty, strided or read-only, but must be C-contiguous and writable")
        self.learning_rate = _as_rate("learning_rate", learning_rate)
        self.momentum = _as_rate("momentum", momentum)
        if self.momentum >= 1:
            raise ValueError(f"momentum is {momentum!r}, but must be less than 1")
        self.weight_decay = _as_rate("weight_decay", weight_decay)
        self.bias_rate_factor = _as_rate("bias_rate_factor", bias_rate_factor)
        self.bias_weight_decay = _as_rate("bias_weight_decay", bias_weight_decay)
        self._params = dict(params)
        self._scratch = {w.dtype: np.empty(BLOCK, w.dtype) for w in params.values()}
        self._velocities = {name: placed(np.zeros(w.shape, w.dtype), backend) for name, w in params.items()}

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
        self._check("state", state, "cpu")
        if surplus := sorted(state.keys() - self._params.keys()):
            raise ValueError(f"state has {', '.join(surplus)}, but must hold the names of params alone")
        for name, v in self._velocities.items():
            write(v, state[name])

    def step(
        self, grads: Mapping[str, np.ndarray], learning_rate: float | None = None, statistics: bool = False
    ) -> dict[str, Statistics]:
        """Moves every parameter, or none if a gradient does not fit; ``learning_rate`` replaces the optimizer's rate.

        NaN and infinity are accepted and reach the parameters and the statistics. Gradients of other names are ignored.

        Shapes
            ``grads`` has an array of each parameter's shape and dtype -> the ``Statistics`` of each parameter, or an
            empty dict if ``statistics`` is False.
        Errors
            ValueError if ``grads`` lacks a parameter or has another shape, or the rate is out of range; TypeError for
            another dtype.
        Cost
            Six operations per element. The statistics read w and v once more each, on the host.
        """
        base = self.learning_rate if learning_rate is None else _as_rate("learning_rate", learning_rate)
        self._check("grads", grads, self._backend)
        result, kernels = {}, load(self._backend)
        with np.errstate(over="ignore", invalid="ignore"):
            for name, w in self._params.items():
                weight = self._mean_magnitude(to_host(w)) if statistics else 0.0
                rate, decay = self._rate_and_decay(name, base)
                kernels.momentum_step(w, self._velocities[name], grads[name], rate, self.momentum, decay)
                if statistics:
                    result[name] = Statistics(weight, self._mean_magnitude(to_host(self._velocities[name])))
        return result

    def _rate_and_decay(self, name: str, rate: float) -> tuple[float, float]:
        if name.rpartition(".")[2] == "b":
            return rate * self.bias_rate_factor, self.bias_weight_decay
        return rate, self.weight_decay

    def _mean_magnitude(self, array: np.ndarray) -> float:
        flat, total = array.reshape(-1), 0.0
        for begin in range(0, flat.size, BLOCK):
            block = flat[begin : begin + BLOCK]
            magnitudes = np.abs(block, out=self._scratch[array.dtype][: block.size])
            total += float(magnitudes.sum(dtype=np.float64))
        return total / flat.size

    def _check(self, what: str, arrays: Mapping[str, np.ndarray], backend: str) -> None:
        if missing := [name for name in self._params if name not in arrays]:
            raise ValueError(f"{what} lacks {', '.join(missing)}, but must have an array for every parameter")
        for name, w in self._params.items():
            array = arrays[name]
            check_floats(f"{what}[{name!r}]", for_checks(f"{what}[{name!r}]", array, backend))
            if array.dtype != w.dtype:
                raise TypeError(f"{what}[{name!r}] has dtype {array.dtype}, but must have its parameter's, {w.dtype}")
            if array.shape != w.shape:
                raise ValueError(f"{what}[{name!r}] has shape {array.shape}, but must have its parameter's, {w.shape}")


class Schedule(Protocol):
    """The learning rate of a step, counted from 0. A pure function, so a checkpoint need not hold it."""

    def __call__(self, step: int) -> float: ...


def constant(rate: float) -> Schedule:
    """``rate`` at every step; ValueError if it is not a finite number >= 0."""
    rate = _as_rate("rate", rate)

    def schedule(step: int) -> float:
        as_integer("step", step, 0)
        return rate

    return schedule


def stepped(rate: float, every: int, factor: float) -> Schedule:
    """A staircase: ``rate``, multiplied by ``factor`` after every ``every`` steps.

    Math
        rate factor^⌊step / every⌋
    Errors
        ValueError if rate is not a finite number >= 0, every not an int >= 1, or factor not above 0 and at most 1.
    Source
        Krizhevsky et al., 2012, section 5: divided by 10 three times, each time the validation error stopped falling.
    """
    rate, every, factor = _as_rate("rate", rate), as_integer("every", every, 1), _as_factor(factor)
    return lambda step: rate * factor ** (as_integer("step", step, 0) // every)


def exponential(rate: float, factor: float, every: int) -> Schedule:
    """A smooth decay that equals ``stepped`` at the first step of each stair.

    Math
        rate factor^(step / every)
    Errors
        As ``stepped``.
    """
    rate, factor, every = _as_rate("rate", rate), _as_factor(factor), as_integer("every", every, 1)
    return lambda step: rate * factor ** (as_integer("step", step, 0) / every)


def parse_schedule(text: str, rate: float) -> Schedule:
    """The schedule that ``text`` names, beginning at ``rate``.

    "constant", "step:EVERY:FACTOR" or "exponential:EVERY:FACTOR"; in "step:1000:0.1" the rate falls to a tenth after
    each 1000 steps.

    Errors
        ValueError if ``text`` is none of these, or ``rate`` is not a finite number >= 0.
    """
    rate = _as_rate("rate", rate)
    kind, *values = text.split(":")
    try:
        if kind == "constant" and not values:
            return constant(rate)
        every, factor = int(values[0]), float(values[1])
        if kind == "step" and len(values) == 2:
            return stepped(rate, every, factor)
        if kind == "exponential" and len(values) == 2:
            return exponential(rate, factor, every)
    except (IndexError, ValueError):
        pass
    raise ValueError(f"schedule is {text!r}, but must be {_SCHEDULE_RULE}")


def _as_rate(name: str, value: object) -> float:
    # Python's float: a float64 of NumPy would make float32 arrays compute in float64.
    number = float(value) if isinstance(value, Real) else math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} is {value!r}, but must be a finite number >= 0")
    return number


def _as_factor(value: object) -> float:
    number = float(value) if isinstance(value, Real) else math.nan
    if not 0 < number <= 1:
        raise ValueError(f"factor is {value!r}, but must be a number above 0 and at most 1")
    return number
