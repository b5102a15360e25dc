"""What an exercise is: its name, its text, its hints, and the task, of one of six kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..bestiary import SUBJECTS
from ..bestiary.subject import Beast, Pool, Subject

STUBS = Path(__file__).parent / "stubs"
"""A file for each exercise: its docstring is the text, and the rest what the learner begins with."""


@dataclass(frozen=True)
class Question:
    """A number to predict. ``meaning`` says in other words what is asked, for whoever was wrong."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Predict:
    """Numbers to work out by hand. ``answers`` computes them by subjects, in the order of the questions."""

    kind: ClassVar[str] = "predict"
    questions: tuple[Question, ...]
    answers: Callable[[], tuple[float, ...]]
    attribute: ClassVar[str] = "answers"


@dataclass(frozen=True)
class Fill:
    """A function with a hole."""

    kind: ClassVar[str] = "fill"
    subject_name: str

    @property
    def subject(self) -> Subject:
        found: Subject = SUBJECTS[self.subject_name]
        return found

    @property
    def attribute(self) -> str:
        """The name that the learner's file defines."""
        return self.subject_name


@dataclass(frozen=True)
class Bug(Fill):
    """A function with a mistake in it."""

    kind: ClassVar[str] = "bug"


@dataclass(frozen=True)
class Speed(Fill):
    """A right function of loops, to be made ``factor`` times as fast. ``large`` makes the arguments that are timed."""

    kind: ClassVar[str] = "speed"
    factor: float
    large: Callable[[], Pool]
    rounds: int = 9
    seconds: float = 0.8


@dataclass(frozen=True)
class Catch(Fill):
    """The smallest input that shows a mistake: ``case()`` returns the arguments in a dict.

    ``counted`` names the array that may have at most ``limit`` elements. ``fixed`` has the arguments that are given.
    """

    kind: ClassVar[str] = "catch"
    beast_name: str
    counted: str
    limit: int
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attribute(self) -> str:
        return "case"

    @property
    def beast(self) -> Beast:
        return next(beast for beast in self.subject.beasts if beast.name == self.beast_name)


@dataclass(frozen=True)
class Derive:
    """A formula as a function, compared with its definition for all arguments that ``cases`` yields.

    ``ordered`` is False if the function returns several things in any order.
    """

    kind: ClassVar[str] = "derive"
    attribute: str
    parameters: tuple[str, ...]
    definition: Callable[..., Any]
    cases: Callable[[], list[dict[str, Any]]]
    returns: str
    """What it returns, in words."""
    ordered: bool = True


Arrays = Mapping[str, np.ndarray]
"""The parameters of a network by name, or their gradients."""


@dataclass(frozen=True)
class Train:
    """The loss and the gradients of a network, with which the check trains it.

    ``data`` makes the parameters before the first step, the images and the labels. ``loss`` is the loss of the same
    network, from these three. ``step`` makes w and v of w, v and dw. After ``steps`` steps the loss is below ``bound``.
    """

    kind: ClassVar[str] = "fill"
    parameters: ClassVar[tuple[str, ...]] = ("params", "images", "labels")
    attribute: str
    data: Callable[[], tuple[Arrays, np.ndarray, np.ndarray]]
    loss: Callable[[Arrays, np.ndarray, np.ndarray], float]
    step: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    steps: int
    bound: float


Task = Predict | Fill | Bug | Speed | Catch | Derive | Train


@dataclass(frozen=True)
class Exercise:
    """One exercise. ``hints`` are a question, a picture in text, and a line of code."""

    name: str
    title: str
    task: Task
    hints: tuple[str, str, str]
    points: int = 1

    @property
    def kind(self) -> str:
        return self.task.kind

    @property
    def stub(self) -> Path:
        return STUBS / f"{self.name}.py"


DO = {
    "predict": "predict the numbers",
    "fill": "fill the hole",
    "bug": "find the bug",
    "catch": "catch the mistake",
    "derive": "derive the formula",
    "speed": "make it fast",
}
"""What a learner does in an exercise of each kind."""
