"""A layer compared with one of this package on small integers, where every sum is exact and a mistake has its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..bestiary import SUBJECTS
from ..bestiary.subject import Pool, Subject
from ..layers import Layer
from .adapters import Differentiable
from .mismatch import beasts_like, mismatch
from .report import RIGHT, WRONG, Finding
from .slopes import draw_dout, gradients_of

FUNCTIONS = {
    "conv": ("conv2d_forward", "conv2d_backward_input", "conv2d_backward_params"),
    "pool": ("maxpool_forward", "maxpool_backward"),
    "avgpool": ("avgpool_forward", "avgpool_backward"),
    "relu": ("relu_forward", "relu_backward"),
    "lrn": ("lrn_forward", "lrn_backward"),
    "dense": ("dense_forward", "dense_backward"),
    "dropout": ("dropout_forward", "dropout_backward"),
}
"""For each kind of layer the forward and the backwards of the bestiary."""

OPTIONS = ("kernel", "stride", "pads", "groups", "radius", "bias", "alpha", "beta", "rate")
"""The options in a layer's description that are arguments of these functions."""


class Likeness:
    """What the layer should compute: the function of ``like``, of the layer's own parameters."""

    def __init__(self, like: Any, layer: Differentiable, x: np.ndarray) -> None:
        if not isinstance(like, Layer) or like.kind not in FUNCTIONS:
            raise ValueError(f"like is {like!r}, but must be a layer of one of the kinds {', '.join(FUNCTIONS)}")
        self.like, self.layer, self.x = like, layer, x

    def findings(self, needs_dx: bool) -> list[Finding]:
        """A finding for the forward, and one for each gradient that differs on integers."""
        layer = self.layer
        shapes = {name: value.shape for name, value in layer.params.items()}
        if shapes != {name: value.shape for name, value in self.like.params.items()}:
            wanted = {name: value.shape for name, value in self.like.params.items()}
            return [Finding("forward", WRONG, f"params have the shapes {shapes}, but {self.like!r} has {wanted}.")]
        kept = {name: value.copy() for name, value in layer.params.items()}
        rng = np.random.default_rng(0)
        try:
            # None is 0: dropout's mask is read from the zeros of the output.
            x = draw_dout(rng, self.x.shape)
            for value in layer.params.values():
                value[...] = draw_dout(rng, value.shape)
            return list(self._compared(x, rng, needs_dx))
        finally:
            for name, value in kept.items():
                layer.params[name][...] = value

    def _compared(self, x: np.ndarray, rng: np.random.Generator, needs_dx: bool) -> Iterator[Finding]:
        forward, *backwards = (SUBJECTS[name] for name in FUNCTIONS[self.like.kind])
        out = np.array(self.layer.forward(x.copy()))
        pool = self._pool(x, out)
        right = forward.outputs_of(forward.right, pool)["out"]
        if not forward.same(out, right):
            yield self._wrong("forward", forward, pool, "out", out, right)
            return
        yield Finding("forward", RIGHT, f"Equal to {self.like!r} on small integers.")
        dout = draw_dout(rng, out.shape)
        pool = {**pool, "dout": dout}
        dx = self.layer.backward(dout.copy())
        found = {f"d{name}": gradient for name, gradient, _ in gradients_of(self.layer, dx, x, needs_dx)}
        for subject in backwards:
            answers = subject.outputs_of(subject.right, pool)
            for output in subject.outputs:
                if output in found and not subject.same(found[output], answers[output]):
                    yield self._wrong(output[1:], subject, pool, output, np.array(found[output]), answers[output])

    def _pool(self, x: np.ndarray, out: np.ndarray) -> Pool:
        description = self.like.description(x.shape)
        options = {name: description[name] for name in OPTIONS if name in description}
        shapes = {"x_shape": x.shape} | {f"{name}_shape": value.shape for name, value in self.layer.params.items()}
        return {"x": x, "kept": out != 0, **options, **self.layer.params, **shapes}

    def _wrong(
        self, argument: str, subject: Subject, pool: Pool, output: str, found: np.ndarray, right: np.ndarray
    ) -> Finding:
        beasts = beasts_like(subject, pool, output, found)

        def again(**arguments: Any) -> Any:
            """The subject's outputs by the layer itself, from its last x."""
            if not subject.forward:
                return self.layer.forward(arguments["x"])
            self.layer.forward(pool["x"].copy())
            dx = self.layer.backward(arguments["dout"])
            outputs = tuple(dx if name == "dx" else self.layer.grads[name[1:]] for name in subject.outputs)
            return outputs if len(outputs) > 1 else outputs[0]

        sentence = " Or: ".join(beast.sentence for beast in beasts)
        return Finding(
            argument,
            WRONG,
            sentence or f"Not equal to {self.like!r} on small integers.",
            mismatch(subject, again, pool, output, found, right),
            beasts=[beast.name for beast in beasts],
        )
