"""``diagnose``: all checks of a layer in their order, and for a wrong gradient what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .adapters import Differentiable
from .contract import Breach, breaches, unseen_params
from .explain import Index, factors, index_text, number, ratio_sentence, sum_text, wrong_elements, wrong_part
from .likeness import Likeness
from .report import NOT_CHECKED, RIGHT, WRONG, Finding, Report
from .slopes import Check, Differences, check_request, draw_dout, forward_with, run_backward

MOST_ELEMENTS = 1000
"""A wrong gradient of up to this many elements is compared element by element, each with differences of its own."""

ELEMENT_TOLERANCE = 1e-6
"""An element is wrong if it is off by this, relative to the largest: a difference has fewer digits than a sum."""

STEP_OF_AN_ELEMENT = 6e-6


def diagnose(
    layer: Differentiable,
    x: np.ndarray,
    like: Differentiable | None = None,
    rng: np.random.Generator | int = 0,
    step: float | None = None,
    tolerance: float = 1e-7,
    directions: int = 3,
    needs_dx: bool = True,
) -> Report:
    """Checks a layer's backward against its forward, and explains what is wrong.

    First the contract: the same output for the same x; shapes, dtypes, finite values; nothing changed in place;
    gradients that replace the old ones; parameters that the forward really uses. Then each gradient by
    ``directional_derivatives``. For a wrong one: if it is the right one times a constant, and what that usually means;
    a map of the wrong elements; the first wrong element and the terms of the sum that it should be.

    Shapes
        x of the layer's input shape, float64. ``like`` is a layer of this package that computes what this one should,
        as in ``like=Conv2d(3, 8, 5, stride=2)``: then the forward is compared too, and a known mistake gets its name
        (docs/bestiary.md). Its own parameters do not matter.
    Errors
        Those of ``directional_derivatives`` about its arguments. ValueError if there are no known mistakes of a layer
        like ``like``, or its parameters have other shapes.
    Source
        docs/checking.md.
    """
    if _readable(layer):
        step, tolerance, directions = check_request(layer, x, step, tolerance, directions, needs_dx)
    likeness = None if like is None else Likeness(like, layer, x)
    generator = np.random.default_rng(rng)
    name = _name(layer)
    found = _breaches(breaches(layer, x, lambda shape: draw_dout(generator, shape), needs_dx))
    if found:
        return Report(name, found)
    if likeness is not None:
        found = likeness.findings(needs_dx)
    if any(finding.argument == "forward" for finding in found if finding.verdict == WRONG):
        return Report(name, found)
    named = {finding.argument: finding for finding in found}
    dout, gradients = run_backward(layer, x, lambda shape: draw_dout(generator, shape), needs_dx)
    unseen = _breaches(unseen_params(layer, x, gradients))
    if unseen:
        return Report(name, [*found, *unseen])
    differences = Differences(layer, x, dout, step, tolerance)
    for argument, gradient in gradients.items():
        check = differences.check(argument, gradient, generator, directions)
        if argument not in named or named[argument].verdict != WRONG:
            explanation = _explanation(differences, argument, gradient) if check.wrong else []
            named[argument] = finding_of(check, explanation)
    return Report(name, list(named.values()))


def assert_gradients(
    layer: Differentiable,
    x: np.ndarray,
    rng: np.random.Generator | int = 0,
    step: float | None = None,
    tolerance: float = 1e-7,
    directions: int = 3,
    needs_dx: bool = True,
    like: Differentiable | None = None,
) -> None:
    """AssertionError with the text of ``diagnose``'s report if something is wrong, or nothing was checked."""
    report = diagnose(layer, x, like, rng, step, tolerance, directions, needs_dx)
    if not report.passed:
        raise AssertionError(str(report))


def numeric_gradient(layer: Differentiable, x: np.ndarray, dout: np.ndarray, name: str) -> np.ndarray:
    """The gradient of ⟨dout, F⟩ with respect to one argument, element by element, from the forward alone.

    Cost
        Two forwards for each element.
    """
    value = x if name == "x" else layer.params[name]
    gradient = np.empty(value.shape)
    for index in np.ndindex(*value.shape):
        gradient[index] = np.sum(dout * _column(layer, x, name, index))
    return gradient


def _readable(layer: Differentiable) -> bool:
    """If the layer has ``params`` to look at; if not, the contract says what is wrong with them."""
    params = getattr(layer, "params", None)
    return isinstance(params, dict) and all(isinstance(value, np.ndarray) for value in params.values())


def _breaches(found: Iterable[Breach]) -> list[Finding]:
    return [Finding(breach.where, WRONG, breach.sentence) for breach in found]


def finding_of(check: Check, explanation: list[str]) -> Finding:
    """A check as a finding, with the lines that explain it."""
    counts = {"compared": check.compared, "vacuous": check.vacuous, "uneven": check.uneven}
    if not check.compared:
        reasons = []
        if check.vacuous:
            reasons.append("the gradient is 0, and the output does not depend on it")
        if check.uneven:
            reasons.append("the forward has a kink at this x, or is too inexact; try separated_values")
        return Finding(check.argument, NOT_CHECKED, f"{' and '.join(reasons).capitalize()}.", directions=counts)
    compared = f"{check.compared} direction{'s' * (check.compared > 1)}{check.left_out}"
    sentence = f"Relative error {check.error:.1e}, allowed {check.tolerance:.0e} ({compared})."
    verdict = WRONG if check.wrong else RIGHT
    return Finding(check.argument, verdict, sentence, explanation, check.error, check.tolerance, counts)


def _explanation(differences: Differences, argument: str, gradient: np.ndarray) -> list[str]:
    """Ratio, map, first wrong element; short for a gradient that is too large to be compared element by element."""
    layer, x, dout = differences.layer, differences.x, differences.dout
    if gradient.size > MOST_ELEMENTS:
        return [
            f"d{argument} has {gradient.size:,} elements; for a map of the wrong ones, check a smaller layer with at "
            f"most {MOST_ELEMENTS:,}."
        ]
    right = numeric_gradient(layer, x, dout, argument)
    lines = []
    ratio = ratio_sentence(_rounded(gradient), _rounded(right), factors(x.shape, dout.shape), ELEMENT_TOLERANCE)
    if ratio:
        lines.append(ratio)
    wrong = wrong_elements(gradient, right, ELEMENT_TOLERANCE)
    if not wrong.any():
        return [*lines, "No single element is off by more than the error of a difference: the mistake is a small one."]
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return [*lines, *wrong_part(f"d{argument}", wrong, index), *_terms(differences, argument, gradient, right, index)]


def _terms(differences: Differences, argument: str, gradient: np.ndarray, right: np.ndarray, index: Index) -> list[str]:
    """The first wrong element: its value, and the sum over the outputs that it should be."""
    layer, x, dout = differences.layer, differences.x, differences.dout
    column = _rounded(dout * _column(layer, x, argument, index))
    shares = [(at, float(column[at])) for at in np.ndindex(*column.shape) if column[at]]
    name = index_text(f"d{argument}", index)
    lines = [
        f"{name} is {number(_near(gradient[index]))}, but should be {number(_near(right[index]))}"
        f" = {sum_text('dout', shares, dout)}"
    ]
    mine = _own_terms(layer, x, dout, argument, index)
    missing = [at for at, share in shares if not mine.get(at)]
    extra = [at for at in mine if not column[at]]
    for what, places in (("lacks the terms of", missing), ("has terms that do not belong to it, of", extra)):
        if places and len(shares) > 1:
            few = ", ".join(index_text("dout", at) for at in places[:4]) + ", ..." * (len(places) > 4)
            lines.append(f"Yours {what} {few}.")
    return lines


def _own_terms(
    layer: Differentiable, x: np.ndarray, dout: np.ndarray, argument: str, index: Index
) -> dict[Index, float]:
    """The share that each element of dout has in this element of the layer's own gradient: a backward is linear."""
    found = {}
    if dout.size <= MOST_ELEMENTS:
        for at in np.ndindex(*dout.shape):
            one = np.zeros_like(dout)
            one[at] = dout[at]
            layer.forward(x.copy())
            dx = layer.backward(one)
            share = float((dx if argument == "x" else layer.grads[argument])[index])  # type: ignore[index]
            if share:
                found[at] = share
    return found


def _column(layer: Differentiable, x: np.ndarray, name: str, index: Index) -> np.ndarray:
    """The derivative of every output with respect to one element."""
    value = x if name == "x" else layer.params[name]
    one = np.zeros(value.shape)
    one[index] = STEP_OF_AN_ELEMENT
    ahead, behind = (forward_with(layer, x, name, lambda a, t=t: a + t * one) for t in (1, -1))  # type: ignore[misc]
    return np.asarray((ahead - behind) / (2 * STEP_OF_AN_ELEMENT))


def _rounded(array: np.ndarray) -> np.ndarray:
    """Without the digits that a difference does not have: what is 0 is exactly 0 then."""
    size = float(np.max(np.abs(array), initial=0.0))
    if not 0 < size < math.inf:
        return array
    return np.round(array, 8 - math.ceil(math.log10(size)))


def _near(value: float) -> float:
    """The integer that a value is, but for the error of a difference; else the value."""
    return round(value) if math.isfinite(value) and abs(value - round(value)) < 1e-7 else value


def _name(layer: object) -> str:
    """The layer in few characters: its repr if it has one of its own, else its class."""
    own = type(layer).__repr__ is not object.__repr__
    return repr(layer) if own and "\n" not in repr(layer) else type(layer).__name__
