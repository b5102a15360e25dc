"""The gates of a network: its loss, its gradients, and what it learns with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .exercise import Arrays, Train
from .gates import GATE, FailedError
from .identities import SLOPE_TOLERANCE, STEP
from .runner import Code, StoppedError, described
from .words import are, listed


@dataclass
class Network:
    """Takes the learner's loss and gradients through the gates, and trains with them."""

    independent: ClassVar[bool] = False
    task: Train
    code: Code
    first_printed: str = ""
    printed: str = ""

    def __post_init__(self) -> None:
        self.params, self.images, self.labels = self.task.data()

    def gates(self) -> list[GATE]:
        return [
            ("contract", self.contract),
            ("loss", self.loss),
            ("derivative", self.derivative),
            ("training", self.training),
            ("same bits", self.same_bits),
        ]

    def contract(self) -> str:
        name, wanted = self.task.attribute, ", ".join(self.task.parameters)
        signature = self.code.about(name)
        if not signature.takes(self.task.parameters):
            own = ", ".join(parameter for parameter, _ in signature.parameters)
            raise FailedError(f"{name} takes ({own}), but must take ({wanted}).")
        self.found_loss, self.found = self._asked(self.params)
        self.first_printed = self.printed
        return f"{name} takes ({wanted}) and returns the loss and the gradients of {listed(list(self.params))}."

    def loss(self) -> str:
        right = self.task.loss(self.params, self.images, self.labels)
        if not abs(self.found_loss - right) <= 1e-9 * abs(right):
            raise FailedError(f"Before the first step the loss is {self.found_loss:.6g}, but must be {right:.6g}.")
        return f"Before the first step the loss is {right:.4g}."

    def derivative(self) -> str:
        """The slope of the loss along a random direction of one parameter, from its last one to its first."""
        rng = np.random.default_rng(20151126)
        right: list[str] = []
        for name in reversed(list(self.params)):
            v = rng.standard_normal(self.params[name].shape)
            plus, minus = (
                self.task.loss({**self.params, name: self.params[name] + step * v}, self.images, self.labels)
                for step in (STEP, -STEP)
            )
            slope, found = (plus - minus) / (2 * STEP), float(np.sum(self.found[name] * v))
            if not abs(slope - found) <= SLOPE_TOLERANCE * max(float(np.linalg.norm(self.found[name])), abs(slope)):
                raise FailedError(
                    f"Along a random direction v of {name}, the slope of the loss is {slope:.6g}, but "
                    f"⟨d{name}, v⟩ is {found:.6g}: the gradient of {name} is wrong."
                    f"{self._ratio(found, slope)}{_right(right)}"
                )
            right.append(name)
        return (
            f"For each of {listed(list(self.params))}, the slope of the loss along a random direction is ⟨gradient, v⟩."
        )

    def _ratio(self, found: float, slope: float) -> str:
        """A sentence if the gradient is the right one times a factor that tells something."""
        rows = len(self.images)
        meanings = {
            -1.0: "It has the opposite sign.",
            rows: f"It is {rows} times the right one, and there are {rows} pictures: the loss is a mean over them.",
            1 / rows: f"It is 1/{rows} of the right one, and there are {rows} pictures: divide by {rows} only once.",
        }
        told = [text for factor, text in meanings.items() if abs(found - factor * slope) <= 1e-6 * abs(factor * slope)]
        return f" {told[0]}" if told else ""

    def training(self) -> str:
        self.trained = self._trained()
        first, last = self.trained[0], self.trained[-1]
        if not last < self.task.bound:
            raise FailedError(
                f"In {self.task.steps} steps the loss went from {first:.4g} to {last:.4g}, but must fall below "
                f"{self.task.bound:g}."
            )
        return f"In {self.task.steps} steps the loss fell from {first:.4g} to {last:.4g}."

    def same_bits(self) -> str:
        if self._trained() != self.trained:
            raise FailedError("A second training gave other losses: leave out what is random or kept between calls.")
        return "A second training gave the same bits."

    def _trained(self) -> list[float]:
        """The loss before each step, and after the last."""
        params, losses = dict(self.params), []
        velocities = {name: np.zeros_like(array) for name, array in params.items()}
        for _ in range(self.task.steps):
            loss, gradients = self._asked(params)
            losses.append(loss)
            for name in params:
                params[name], velocities[name] = self.task.step(params[name], velocities[name], gradients[name])
        return [*losses, self._asked(params)[0]]

    def _asked(self, params: Arrays) -> tuple[float, dict[str, np.ndarray]]:
        """The learner's loss and gradients, if they have the right form."""
        name = self.task.attribute
        arguments = {"params": params, "images": self.images, "labels": self.labels}
        try:
            call = self.code.call(name, arguments)
        except StoppedError as stopped:
            self.printed = stopped.printed
            raise
        self.printed = call.printed
        if call.changed:
            names = listed(list(call.changed))
            raise FailedError(f"Your code changes {names}, which the check still needs: make new arrays instead.")
        returned = call.returned
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise FailedError(f"{name} returns {described(returned)}, but must return two values: loss, gradients.")
        loss, gradients = returned
        if np.ndim(loss) or np.asarray(loss).dtype.kind != "f" or not np.isfinite(loss):
            raise FailedError(f"The loss is {described(loss)}, but must be a finite float.")
        if not isinstance(gradients, dict) or set(gradients) != set(params):
            has = f"a dict of {listed(list(map(str, gradients)))}" if isinstance(gradients, dict) else None
            raise FailedError(
                f"The gradients are {has or described(gradients)}, but must be a dict of {listed(list(params))}."
            )
        for each, param in params.items():
            _refuse_gradient(each, gradients[each], param)
        return float(loss), gradients


def _right(names: list[str]) -> str:
    """A sentence on the gradients that were right before, nearer to the loss."""
    if not names:
        return ""
    return f" {'That' if len(names) == 1 else 'Those'} of {listed(names)} {are(names)} right."


def _refuse_gradient(name: str, gradient: Any, param: np.ndarray) -> None:
    """FailedError if it is no array of float64 of the parameter's shape, with finite elements."""
    if not isinstance(gradient, np.ndarray) or gradient.shape != param.shape:
        raise FailedError(f"The gradient of {name} is {described(gradient)}, but must have its shape {param.shape}.")
    if gradient.dtype != np.float64:
        raise FailedError(f"The gradient of {name} has dtype {gradient.dtype}, but must have float64.")
    if not np.isfinite(gradient).all():
        raise FailedError(f"The gradient of {name} has elements that are not finite.")
