"""Schedules of the learning rate: constant, in steps, exponential, or as a text names them."""

from typing import Protocol

from ..geometry import as_integer, as_number

RULE = "'constant', 'step:EVERY:FACTOR' or 'exponential:EVERY:FACTOR' with an int EVERY >= 1 and 0 < FACTOR <= 1"
"""The texts that ``parse_schedule`` takes."""


class Schedule(Protocol):
    """The learning rate of a step, counted from 0. A pure function, so a checkpoint need not hold it."""

    def __call__(self, step: int) -> float: ...


def constant(rate: float) -> Schedule:
    """``rate`` at every step; ValueError if it is not a finite number >= 0."""
    rate = as_number("rate", rate)

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
    rate, every, factor = as_number("rate", rate), as_integer("every", every, 1), _as_factor(factor)
    return lambda step: rate * factor ** (as_integer("step", step, 0) // every)


def exponential(rate: float, factor: float, every: int) -> Schedule:
    """A smooth decay that equals ``stepped`` at the first step of each stair.

    Math
        rate factor^(step / every)
    Errors
        As ``stepped``.
    """
    rate, factor, every = as_number("rate", rate), _as_factor(factor), as_integer("every", every, 1)
    return lambda step: rate * factor ** (as_integer("step", step, 0) / every)


def parse_schedule(text: str, rate: float) -> Schedule:
    """The schedule that ``text`` names, beginning at ``rate``.

    "constant", "step:EVERY:FACTOR" or "exponential:EVERY:FACTOR"; in "step:1000:0.1" the rate falls to a tenth after
    each 1000 steps.

    Errors
        ValueError if ``text`` is none of these, or ``rate`` is not a finite number >= 0.
    """
    rate = as_number("rate", rate)
    kind, *values = str(text).split(":")
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
    raise ValueError(f"schedule is {text!r}, but must be {RULE}")


def _as_factor(value: object) -> float:
    return as_number("factor", value, "a number above 0 and at most 1", lambda number: 0 < number <= 1)
