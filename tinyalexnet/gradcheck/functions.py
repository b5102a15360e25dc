"""``assert_same_function``: somebody's function against the right one, over chosen and random geometries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..bestiary import SUBJECTS
from ..bestiary.subject import Beast, Case, Pool, Subject
from ..geometry import as_integer
from .mismatch import mismatch, sizes


def assert_same_function(function: Callable[..., Any], name: str, examples: int = 100, seed: int = 0) -> None:
    """Raises an AssertionError if a function differs from the one of that name, on small integers.

    It is tried on the chosen cases of the bestiary, smallest first, and then on random geometries; of the random ones
    that differ the smallest is shown. If all its results equal those of a known mistake, the message says which it is.

    Shapes
        ``name`` is one of ``tinyalexnet.bestiary.SUBJECTS``, such as "conv2d_backward_input", or an operation, such as
        "conv2d", for its forward. ``function`` takes that subject's arguments, by name: arrays of float64, and plain
        tuples for stride and pads.
    Errors
        ValueError if the name is unknown or examples is below 0; TypeError if ``function`` cannot be called.
    Source
        docs/bestiary.md has the functions and their arguments.
    """
    subject = SUBJECTS.get(name) or SUBJECTS.get(f"{name}_forward")
    if subject is None:
        raise ValueError(f"name is {name!r}, but must be one of {', '.join(SUBJECTS)}")
    if not callable(function):
        raise TypeError(f"function is {function!r}, but must be a function")
    as_integer("examples", examples, 0)
    failure = first_failure(subject, function, subject.cases) or first_failure(
        subject, function, sorted(drawn_cases(subject, examples, seed), key=elements)
    )
    if failure is not None:
        raise AssertionError("\n".join(failure))


def drawn_cases(subject: Subject, examples: int, seed: int) -> Iterator[Case]:
    """Random geometries, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for number in range(examples):
        yield Case(f"random {number}", subject.draw(rng))


def elements(case: Case) -> int:
    """The size of a case: the elements of its arrays."""
    return sum(np.size(value) for value in case.pool.values() if isinstance(value, np.ndarray))


def first_failure(subject: Subject, function: Callable[..., Any], cases: Iterable[Case]) -> list[str] | None:
    """The explanation of the first case on which the function differs; None if there is none."""
    for case in cases:
        right = subject.outputs_of(subject.right, case.pool)
        found = subject.outputs_of(function, case.pool)
        wrong = [output for output in subject.outputs if not subject.same(found[output], right[output])]
        if wrong:
            beasts = _named(subject, function, wrong)
            # A mistake in one output may make others wrong: it is explained where it was made.
            output = beasts[0].output if beasts else wrong[0]
            explained = mismatch(subject, function, case.pool, output, found[output], right[output])
            return [
                f"{output} of {subject.name} is wrong on the case {case.name!r}: {sizes(_own(subject, case.pool))}",
                *(f"    {beast.sentence}" for beast in beasts),
                *(f"    {line}" for line in explained),
            ]
    return None


def _named(subject: Subject, function: Callable[..., Any], outputs: Iterable[str]) -> list[Beast]:
    try:
        found = {case.name: subject.outputs_of(function, case.pool) for case in subject.cases}
    except Exception:  # the function is somebody else's: one that cannot take some case is no known mistake
        return []
    beasts = (subject.named(found, output) for output in outputs)
    return [beast for beast in beasts if beast is not None]


def _own(subject: Subject, pool: Pool) -> Pool:
    return {name: pool[name] for name in subject.parameters}
