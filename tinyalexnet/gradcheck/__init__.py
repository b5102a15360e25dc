"""Checks a backward against its forward, for any layer or network that has ``params`` and ``grads``.

Two checks that share no code with the layers. ``directional_derivatives`` compares each gradient with a difference
of two forwards, along random directions. ``adjoint_identities`` needs no step: for a layer that is linear in an
argument both sides are equal.

    for check in directional_derivatives(MyConv(...), x):
        print(check)
    assert_gradients(MyConv(...), x)          # raises and says which gradient is wrong

See docs/checking.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Differentiable(Protocol):
    """A layer to check. ``params`` and ``grads`` hold arrays under the same names, or nothing."""

    @property
    def params(self) -> dict[str, np.ndarray]: ...

    @property
    def grads(self) -> dict[str, np.ndarray]: ...

    def forward(self, x: np.ndarray) -> np.ndarray: ...

    def backward(self, dout: np.ndarray) -> np.ndarray | None: ...


@dataclass(frozen=True)
class Check:
    """One gradient, compared with one value that the forward alone gave.

    ``argument`` is "x" or a parameter's name; ``analytic`` comes from the gradient, ``numeric`` from the forward. An
    error is measured relative to ``scale``.
    """

    argument: str
    analytic: float
    numeric: float
    scale: float
    tolerance: float

    @property
    def error(self) -> float:
        """|analytic - numeric| / scale; 0 if all three are 0."""
        difference = abs(self.analytic - self.numeric)
        return difference / self.scale if self.scale else difference

    @property
    def vacuous(self) -> bool:
        """If nothing was checked: the gradient is all zeros, and the forward does not depend on the argument."""
        return self.scale == 0

    @property
    def passed(self) -> bool:
        """If the error is within the tolerance, and something was checked. A NaN fails."""
        return self.error <= self.tolerance and not self.vacuous

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "says nothing, both are 0" if self.vacuous else "WRONG"
        return (
            f"gradient of {self.argument}: {verdict} (backward says {self.analytic:.9g}, forward says "
            f"{self.numeric:.9g}, relative error {self.error:.1e}, allowed {self.tolerance:.1e})"
        )


def directional_derivatives(
    layer: Differentiable,
    x: np.ndarray,
    rng: np.random.Generator | int = 0,
    step: float = 6e-6,
    tolerance: float = 1e-7,
    directions: int = 3,
    needs_dx: bool = True,
) -> list[Check]:
    """Each gradient against central differences of the forward.

    Math
        For a random dout and a random direction v of each argument a (x and every parameter):

            ⟨dout, F(a + h v) - F(a - h v)⟩ / 2h  =  ⟨da, v⟩

        The left side has an error of about h² from the curvature of F and of about ε / h from rounding (ε = 2.2e-16),
        which h = ε^(1/3) = 6e-6 balances. If F is linear in each argument there is no curvature: use ``step=1`` and
        ``tolerance=1e-11``. If it has kinks (max, ReLU), x must keep clear of them: see ``separated_values``.
    Shapes
        x of the layer's input shape, float64 -> one Check per argument and direction; none of x with
        ``needs_dx=False``, for a first layer that leaves dx out.
    Errors
        TypeError if x or a parameter is not float64: float32 leaves no digits for a difference. ValueError if a
        gradient is missing or does not have the shape of its argument.
    Source
        Random projection: Baydin et al., "Automatic differentiation in machine learning: a survey", 2018, section 2.1.
    """
    for name, value in {"x": x, **layer.params}.items():
        if value.dtype != np.float64:
            raise TypeError(f"{name} has dtype {value.dtype}, but must have dtype float64 for differences to mean much")
    rng = np.random.default_rng(rng)
    dout, gradients = _run_backward(layer, x, rng.standard_normal, needs_dx)
    checks = []
    for name, gradient in gradients.items():
        for _ in range(directions):
            v = rng.standard_normal(gradient.shape)
            plus = _forward_with(layer, x, name, lambda a, v=v: a + step * v)  # type: ignore[misc]
            minus = _forward_with(layer, x, name, lambda a, v=v: a - step * v)  # type: ignore[misc]
            numeric = _dot(dout, plus - minus) / (2 * step)
            analytic = _dot(gradient, v)
            # ⟨da, v⟩ is normal with standard deviation ‖da‖: errors are relative to that, not to its own size.
            scale = float(np.maximum(np.linalg.norm(gradient), abs(numeric)))
            checks.append(Check(name, analytic, numeric, scale, tolerance))
    return checks


def adjoint_identities(
    layer: Differentiable,
    x: np.ndarray,
    rng: np.random.Generator | int = 0,
    tolerance: float = 0.0,
    needs_dx: bool = True,
) -> list[Check]:
    """Each gradient of a layer that is linear in each argument, such as a convolution, as the adjoint of the forward.

    Math
        For a random dout and each argument a:

            ⟨dout, F(a) - F(0)⟩  =  ⟨da, a⟩

        dout is drawn from the integers -4 ... 4. If x and the parameters are small integers too, every sum on both
        sides is exact in float32, in any order, and the two sides are equal to the last bit: hence the tolerance of 0.
        Max-pooling and ReLU satisfy it as well, since F(a) = F'(a) a for both.
    Shapes
        x of the layer's input shape -> one Check per argument; none of x with ``needs_dx=False``.
    Errors
        ValueError if a gradient is missing or does not have the shape of its argument.
    Source
        Claerbout, "Earth soundings analysis: processing versus inversion", 1992, section 5.3, the dot-product test.
    """
    rng = np.random.default_rng(rng)
    out_dtype = x.dtype
    dout, gradients = _run_backward(layer, x, lambda shape: rng.integers(-4, 5, shape).astype(out_dtype), needs_dx)
    checks = []
    for name, gradient in gradients.items():
        value = x if name == "x" else layer.params[name]
        at_a = _forward_with(layer, x, name, lambda a: a)
        at_0 = _forward_with(layer, x, name, np.zeros_like)
        numeric = _dot(dout, at_a - at_0)
        analytic = _dot(gradient, value)
        size = np.sqrt(_dot(gradient, gradient) * _dot(value, value))
        checks.append(Check(name, analytic, numeric, float(np.maximum(size, abs(numeric))), tolerance))
    return checks


def assert_gradients(
    layer: Differentiable,
    x: np.ndarray,
    rng: np.random.Generator | int = 0,
    step: float = 6e-6,
    tolerance: float = 1e-7,
    directions: int = 3,
    needs_dx: bool = True,
) -> None:
    """Raises an AssertionError that names every wrong gradient; the arguments are ``directional_derivatives``'."""
    checks = directional_derivatives(layer, x, rng, step, tolerance, directions, needs_dx)
    wrong = [check for check in checks if not check.passed]
    if wrong:
        raise AssertionError("\n".join(map(str, wrong)))


def separated_values(shape: tuple[int, ...], rng: np.random.Generator | int = 0, gap: float = 0.01) -> np.ndarray:
    """Random float64 values of ``shape``, no two closer than ``gap`` and none closer to 0 than half of it.

    With these a small step crosses no kink: no maximum changes hands, and no ReLU changes sides.
    """
    count = int(np.prod(shape))
    values = gap * (np.arange(count) - count // 2 + 0.5)
    return np.random.default_rng(rng).permutation(values).reshape(shape)


def _run_backward(
    layer: Differentiable, x: np.ndarray, draw: Callable[[tuple[int, ...]], np.ndarray], needs_dx: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A random dout, and copies of the gradients that the layer's backward computes from it."""
    # Copies, because a layer may work in place.
    dout = draw(layer.forward(x.copy()).shape)
    dx = layer.backward(dout.copy())
    found = {name: (layer.grads.get(name), value) for name, value in layer.params.items()}
    if needs_dx:
        found["x"] = dx, x
    gradients = {}
    for name, (gradient, value) in found.items():
        if gradient is None:
            raise ValueError(f"gradient of {name} is missing, but backward must give it (or needs_dx=False, for dx)")
        # Checked, because broadcasting would let a sum over the batch pass for a gradient.
        if np.shape(gradient) != value.shape:
            raise ValueError(f"gradient of {name} has shape {np.shape(gradient)}, but must have shape {value.shape}")
        gradients[name] = gradient.copy()
    return dout, gradients


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """⟨a, b⟩ in float64: products and sums of small integers are exact."""
    return float(np.sum(a.astype(np.float64) * b.astype(np.float64)))


def _forward_with(
    layer: Differentiable, x: np.ndarray, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The forward with one argument changed, and then changed back."""
    if name == "x":
        return layer.forward(change(x.copy())).copy()
    value = layer.params[name]
    before = value.copy()
    value[...] = change(before)
    try:
        return layer.forward(x.copy()).copy()
    finally:
        value[...] = before
