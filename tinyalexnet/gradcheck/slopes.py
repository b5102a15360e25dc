"""The two checks that share no code with the layers: directional derivatives, and adjoint identities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..geometry import as_integer, as_number
from .adapters import Differentiable

STEPS = (1.0, 6e-6, 1e-6, 1e-7, 1e-8, 1e-9)
"""Steps to try, the largest first: 1 for what is linear, ε^(1/3) for what is smooth, smaller ones between kinks."""

DOUT_LARGEST = 4
"""dout is drawn from the integers -4 ... 4 without 0."""


@dataclass(frozen=True)
class Check:
    """One gradient, compared with values that the forward alone gave: the worst of several directions.

    ``argument`` is "x" or a parameter's name; ``analytic`` comes from the gradient, ``numeric`` from the forward. The
    error is relative to ``scale``. Of the directions, ``compared`` were compared; in ``vacuous`` ones both sides are 0,
    and in ``uneven`` ones the forward has a kink, or is too inexact for a slope.
    """

    argument: str
    analytic: float = 0.0
    numeric: float = 0.0
    scale: float = 0.0
    tolerance: float = 0.0
    compared: int = 0
    vacuous: int = 0
    uneven: int = 0

    @property
    def error(self) -> float:
        """|analytic - numeric| / scale; 0 if all three are 0."""
        difference = abs(self.analytic - self.numeric)
        return difference / self.scale if self.scale else difference

    @property
    def passed(self) -> bool:
        """If the error is within the tolerance. A NaN fails; so does nothing compared."""
        return self.compared > 0 and self.error <= self.tolerance

    @property
    def wrong(self) -> bool:
        """If something was compared, and differs."""
        return self.compared > 0 and not self.passed

    @property
    def left_out(self) -> str:
        """The directions that were not compared, as text behind a count."""
        counts = ((self.vacuous, "with 0 on both sides"), (self.uneven, "across a kink"))
        return "".join(f", {count} {how}" for count, how in counts if count)

    def __str__(self) -> str:
        name = f"gradient of {self.argument}"
        if not self.compared:
            return f"{name}: not checked ({self.left_out.removeprefix(', ')})"
        return (
            f"{name}: {'right' if self.passed else 'WRONG'} (backward says {self.analytic:.9g}, forward says "
            f"{self.numeric:.9g}, relative error {self.error:.1e}, allowed {self.tolerance:.1e}; directions: "
            f"{self.compared} compared{self.left_out})"
        )


@dataclass(frozen=True)
class Slope:
    """⟨dout, F⟩'s derivative along a direction, how far two estimates of it differ, and what rounding alone can do."""

    value: float
    uncertainty: float
    rounding: float


@dataclass(frozen=True)
class Differences:
    """Central differences of ⟨dout, F⟩ for a layer at x. ``step`` None tries STEPS."""

    layer: Differentiable
    x: np.ndarray
    dout: np.ndarray
    step: float | None
    tolerance: float

    def check(self, name: str, gradient: np.ndarray, rng: np.random.Generator, directions: int) -> Check:
        """One argument's gradient along random directions: the worst of them."""
        worst = Check(name, tolerance=self.tolerance)
        compared = vacuous = uneven = 0
        norm = float(np.linalg.norm(gradient.ravel()))
        for _ in range(directions):
            v = rng.standard_normal(gradient.shape)
            slope = self.slope(name, v, norm)
            # ⟨da, v⟩ is normal with standard deviation ‖da‖: errors are relative to that, not to its own size.
            scale = max(norm, abs(slope.value))
            if norm == 0 and abs(slope.value) <= slope.rounding:
                vacuous += 1
            elif slope.uncertainty > self.tolerance * scale / 4:
                uneven += 1
            else:
                compared += 1
                found = Check(name, dot(gradient, v), slope.value, scale, self.tolerance, 1)
                # A NaN is the worst of all.
                if compared == 1 or not found.error <= worst.error:
                    worst = found
        return replace(worst, compared=compared, vacuous=vacuous, uneven=uneven)

    def slope(self, name: str, v: np.ndarray, norm: float) -> Slope:
        """The derivative along v at the first step that is certain enough, or else at the most certain one.

        ``norm`` is that of the gradient: with it the value is certain enough to be compared.
        """
        middle = forward_with(self.layer, self.x, name, lambda a: a)
        found = []
        for h in STEPS if self.step is None else (self.step,):
            along = lambda t: forward_with(self.layer, self.x, name, lambda a: a + t * v)  # noqa: E731
            found.append(_slope(along, middle, self.dout, h))
            if not found[-1].uncertainty > self.tolerance * max(norm, abs(found[-1].value)) / 4:
                return found[-1]
        return min(found, key=lambda slope: slope.uncertainty)


def directional_derivatives(
    layer: Differentiable,
    x: np.ndarray,
    rng: np.random.Generator | int = 0,
    step: float | None = None,
    tolerance: float = 1e-7,
    directions: int = 3,
    needs_dx: bool = True,
) -> list[Check]:
    """Each gradient against central differences of the forward.

    Math
        For a random dout and a random direction v of each argument a (x and every parameter):

            ⟨dout, F(a + h v) - F(a - h v)⟩ / 2h  =  ⟨da, v⟩

        The left side has an error of about h² from the curvature of F and of about ε / h from rounding (ε = 2.2e-16).
        If F is linear in a there is no curvature, and h = 1 has the least rounding; if not, h = ε^(1/3) = 6e-6 balances
        the two. So the step is the first of STEPS at which the difference with h and the one with h/2 agree. If they
        agree at none, or the slopes on the two sides of a differ, F has a kink there and no derivative: the direction
        counts as uneven, and is left out. A direction with 0 on both sides counts as vacuous.
    Shapes
        x of the layer's input shape, float64 -> one Check per argument; none of x with ``needs_dx=False``, for a first
        layer that leaves dx out.
    Errors
        TypeError if x or a parameter is no array of float64: float32 leaves no digits for a difference. ValueError if
        step is 0 or not finite, tolerance is not above 0, directions is below 1, nothing is left to check, or a
        gradient is missing or does not have the shape of its argument.
    Source
        Random projection: Baydin et al., "Automatic differentiation in machine learning: a survey", 2018, section 2.1.
    """
    step, tolerance, directions = check_request(layer, x, step, tolerance, directions, needs_dx)
    generator = np.random.default_rng(rng)
    dout, gradients = run_backward(layer, x, lambda shape: draw_dout(generator, shape), needs_dx)
    differences = Differences(layer, x, dout, step, tolerance)
    return [differences.check(name, gradient, generator, directions) for name, gradient in gradients.items()]


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
        ValueError if nothing is left to check, or a gradient is missing or does not have the shape of its argument.
    Source
        Claerbout, "Earth soundings analysis: processing versus inversion", 1992, section 5.3, the dot-product test.
    """
    check_arguments(layer, needs_dx)
    tolerance = as_number("tolerance", tolerance)
    generator = np.random.default_rng(rng)
    dout, gradients = run_backward(layer, x, lambda shape: draw_dout(generator, shape).astype(x.dtype), needs_dx)
    checks = []
    for name, gradient in gradients.items():
        value = x if name == "x" else layer.params[name]
        at_a = forward_with(layer, x, name, lambda a: a)
        at_0 = forward_with(layer, x, name, np.zeros_like)
        numeric = dot(dout, at_a - at_0)
        analytic = dot(gradient, value)
        size = math.sqrt(dot(gradient, gradient) * dot(value, value))
        scale = float(np.maximum(size, abs(numeric)))
        checks.append(
            Check(name, analytic, numeric, scale, tolerance, compared=int(scale != 0), vacuous=int(scale == 0))
        )
    return checks


def separated_values(shape: tuple[int, ...], rng: np.random.Generator | int = 0, gap: float = 0.01) -> np.ndarray:
    """Random float64 values of ``shape``, no two closer than ``gap`` and none closer to 0 than half of it.

    With these a small step crosses no kink: no maximum changes hands, and no ReLU changes sides.
    """
    count = int(np.prod(shape))
    gap = as_number("gap", gap, "a finite number above 0", lambda number: number > 0)
    values = gap * (np.arange(count) - count // 2 + 0.5)
    return np.random.default_rng(rng).permutation(values).reshape(shape)


def check_request(
    layer: Differentiable, x: np.ndarray, step: float | None, tolerance: float, directions: int, needs_dx: bool
) -> tuple[float | None, float, int]:
    """Step, tolerance and directions as Python's numbers; refuses dtypes in which a difference means nothing."""
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x is a {type(x).__name__}, but must be a NumPy array")
    if step is not None:
        step = as_number("step", step, "a number other than 0, or None", lambda number: number != 0)
    directions = as_integer("directions", directions, 1)
    check_arguments(layer, needs_dx)
    tolerance = as_number("tolerance", tolerance, "above 0 and finite", lambda number: number > 0)
    for name, value in {"x": x, **layer.params}.items():
        if value.dtype != np.float64:
            raise TypeError(f"{name} has dtype {value.dtype}, but must have dtype float64 for differences to mean much")
    return step, tolerance, directions


def check_arguments(layer: Differentiable, needs_dx: bool) -> None:
    """ValueError if there is no argument to check."""
    if not needs_dx and not layer.params:
        raise ValueError("needs_dx is False, but must be True for a layer without params: else nothing is checked")


def draw_dout(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A random dout of small integers, none of them 0: products with it are easy to follow, and often exact."""
    return np.asarray(rng.integers(1, DOUT_LARGEST + 1, shape) * rng.choice([-1.0, 1.0], shape))


def run_backward(
    layer: Differentiable, x: np.ndarray, draw: Callable[[tuple[int, ...]], np.ndarray], needs_dx: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A random dout, and copies of the gradients that the layer's backward computes from it, x's first."""
    # Copies, because a layer may work in place.
    dout = draw(np.shape(layer.forward(x.copy())))
    dx = layer.backward(dout.copy())
    gradients = {}
    for name, gradient, value in gradients_of(layer, dx, x, needs_dx):
        if gradient is None:
            raise ValueError(f"gradient of {name} is missing, but backward must give it (or needs_dx=False, for dx)")
        # Checked, because broadcasting would let a sum over the batch pass for a gradient.
        if np.shape(gradient) != value.shape:
            raise ValueError(f"gradient of {name} has shape {np.shape(gradient)}, but must have shape {value.shape}")
        gradients[name] = np.array(gradient)
    return dout, gradients


def gradients_of(
    layer: Differentiable, dx: np.ndarray | None, x: np.ndarray, needs_dx: bool
) -> Iterator[tuple[str, np.ndarray | None, np.ndarray]]:
    """Each argument with the gradient that backward gave it, None without one, and its value."""
    if needs_dx:
        yield "x", dx, x
    for name, value in layer.params.items():
        yield name, layer.grads.get(name), value


def forward_with(
    layer: Differentiable, x: np.ndarray, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The forward with one argument changed, and then changed back."""
    if name == "x":
        return np.array(layer.forward(change(x.copy())))
    value = layer.params[name]
    before = value.copy()
    value[...] = change(before)
    try:
        return np.array(layer.forward(x.copy()))
    finally:
        value[...] = before


def _slope(along: Callable[[float], np.ndarray], middle: np.ndarray, dout: np.ndarray, h: float) -> Slope:
    """Central differences with h and h/2. The slopes of the two sides differ by about h at a smooth point."""
    ahead, behind = along(h), along(-h)
    near_ahead, near_behind = along(h / 2), along(-h / 2)
    wide, narrow = dot(dout, ahead - behind) / (2 * h), dot(dout, near_ahead - near_behind) / h
    bend = abs(dot(dout, ahead + behind - 2 * middle)) / h
    near_bend = abs(dot(dout, near_ahead + near_behind - 2 * middle)) / (h / 2)
    uncertainty = abs(wide - narrow)
    # With h halved the bend of a smooth function halves; that of a kink at this very point stays.
    if near_bend > 0.75 * bend and near_bend > 1e-4 * max(abs(wide), abs(narrow)):
        uncertainty = max(uncertainty, near_bend)
    rounding = 2 * np.finfo(float).eps * dot(np.abs(dout), np.abs(ahead) + np.abs(behind)) / abs(h)
    return Slope(wide, uncertainty, rounding)


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """⟨a, b⟩ in float64: products and sums of small integers are exact."""
    return float(np.sum(a.astype(np.float64) * b.astype(np.float64)))
