"""The exercises in their order."""

from __future__ import annotations

from ..exercise import Exercise
from . import (
    chain,
    conv1d,
    conv2d,
    dense,
    dropout,
    im2col,
    losses,
    lrn,
    pools,
    relu,
    training,
    transfer,
    windows,
    winograd,
)

PATH: tuple[Exercise, ...] = (
    *chain.EXERCISES,
    *dense.EXERCISES,
    *relu.EXERCISES,
    *pools.EXERCISES,
    *conv1d.EXERCISES,
    *windows.EXERCISES,
    *conv2d.EXERCISES,
    *im2col.EXERCISES,
    *lrn.EXERCISES,
    *dropout.EXERCISES,
    *losses.EXERCISES,
    *training.EXERCISES,
    *transfer.EXERCISES,
    *winograd.EXERCISES,
)

EXERCISES = {exercise.name: exercise for exercise in PATH}
"""By name."""


def number_of(exercise: Exercise) -> int:
    """Its place on the path, from 1."""
    return PATH.index(exercise) + 1


def file_name(exercise: Exercise) -> str:
    """The name of its file in a learner's folder."""
    return f"{number_of(exercise):02}_{exercise.name}.py"
