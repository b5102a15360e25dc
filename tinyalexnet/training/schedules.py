"""Schedules of the learning rate: constant, in steps, exponential, or as a text names them; and large batches."""

from typing import Protocol

from ..geometry import as_integer, as_number
from .settings import Settings

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


def scaled_rate(learning_rate: float, batch_size: int, reference_batch: int) -> float:
    """The rate for a batch of another size than the one that ``learning_rate`` is for: the linear scaling rule.

    Math
        learning_rate batch_size / reference_batch
    Errors
        ValueError if learning_rate is not a finite number >= 0, a size not an int >= 1, or the result is infinite.
    Source
        Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.1.
    """
    ratio = as_integer("batch_size", batch_size, 1) / as_integer("reference_batch", reference_batch, 1)
    rate = as_number("learning_rate", learning_rate) * ratio
    return as_number("learning_rate * batch_size / reference_batch", rate)


def warmed_up(schedule: Schedule, warmup: int, start: float | None = None) -> Schedule:
    """A gradual warm-up: a straight line up to the schedule's rate at step ``warmup``, and from there the schedule.

    Math
        With end = schedule(warmup): first + (end - first) step / warmup if step < warmup, else schedule(step). first is
        the smaller of start and end, so the line never falls; without a start it is end / (warmup + 1), so that each
        rate is (step + 1) of these.
    Errors
        ValueError if warmup is not an int >= 0, or start not a finite number >= 0.
    Source
        Goyal et al., 2017, section 2.2: from the rate of the small batch to that of the large one, by a constant amount
        at each step, in 5 epochs. It has no line without a start.
    """
    end = schedule(as_integer("warmup", warmup, 0))
    first = end / (warmup + 1) if start is None else min(as_number("start", start), end)

    def warmed(step: int) -> float:
        if as_integer("step", step, 0) >= warmup:
            return schedule(step)
        return first + (end - first) * (step / warmup)

    return warmed


def schedule_of(settings: Settings) -> Schedule:
    """The learning rate of each step of a run: its schedule, for its batch, after its warm-up.

    Errors
        As ``parse_schedule``, ``scaled_rate`` and ``warmed_up``.
    """
    rate, start = settings.learning_rate, None
    if settings.reference_batch:
        rate, start = scaled_rate(rate, settings.batch_size, settings.reference_batch), rate
    return warmed_up(parse_schedule(settings.schedule, rate), settings.warmup, start)


def _as_factor(value: object) -> float:
    return as_number("factor", value, "a number above 0 and at most 1", lambda number: 0 < number <= 1)
