"""A case of an exercise: its arrays, the shape of the right answer, and for convolutions and pools the windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bestiary.subject import Case, Pool, Subject
from ..geometry import Pair, Window
from .exercise import Exercise, Fill
from .page import WIDTH, Page
from .words import pool_lines

MOST_ELEMENTS = 200
"""Larger arrays are not printed."""

MOST_WINDOWS = 24

WINDOWED = "maxpool", "avgpool", "conv2d_forward", "conv2d_backward", "im2col", "col2im", "depthwise", "dilated_conv2d"
"""Subjects with windows over images (N, H, W, C): how their names begin."""


def cases_page(exercise: Exercise, subject: Subject) -> Page:
    """The names of the cases, with the shapes of their arrays."""
    page = Page().line(f"{exercise.title}: the cases", "head").line()
    width = max(len(case.name) for case in subject.cases)
    for case in subject.cases:
        sizes = ", ".join(f"{name} {_size(case.pool[name])}" for name in subject.parameters)
        first = f"    {case.name.ljust(width)}  "
        page.say(sizes, len(first), first=first)
    return page


def case_page(subject: Subject, case: Case) -> Page:
    """One case."""
    page = Page().line(f'The case "{case.name}" of {subject.name}', "head").line()
    page.block(pool_lines(case.pool, subject.parameters, MOST_ELEMENTS, subject.channels_first))
    shapes = ", ".join(f"{name} {_size(value)}" for name, value in subject.answers[case.name].items())
    page.line().line(f"The right answer: {shapes}")
    return page.add(_windows_page(subject, case.pool))


def subject_of(exercise: Exercise) -> Subject:
    """The subject whose cases an exercise has. ValueError if it has none."""
    if not isinstance(exercise.task, Fill):
        raise ValueError(f"{exercise.name} has no cases to show: its text says all")
    return exercise.task.subject


def case_of(subject: Subject, name: str) -> Case:
    """The case of that name. ValueError names all."""
    for case in subject.cases:
        if case.name == name:
            return case
    raise ValueError(f"CASE is {name!r}, but must be one of {', '.join(case.name for case in subject.cases)}")


def _size(value: Any) -> str:
    """The shape of an array, a number's word, or the value."""
    if isinstance(value, np.ndarray):
        return str(value.shape)
    return "number" if isinstance(value, float) else str(value)


def _windows_page(subject: Subject, pool: Pool) -> Page:
    """The window of each output pixel; nothing for operations without windows, or for large images."""
    if not subject.name.startswith(WINDOWED):
        return Page()
    steps = pool.get("dilation", (1, 1))
    reach = tuple((length - 1) * step + 1 for length, step in zip(pool["kernel"], steps, strict=True))
    window = Window((reach[0], reach[1]), pool["stride"], pool["pads"])
    size = pool["x_shape"][1:3] if "x_shape" in pool else pool["x"].shape[1:3]
    out_h, out_w = window.output_size(size)
    if out_h * out_w > MOST_WINDOWS:
        return Page()
    blocks = [
        [f"oh={oh} ow={ow}", *_picture(window, size, steps, oh, ow)] for oh in range(out_h) for ow in range(out_w)
    ]
    page = Page().line().line("The windows, by output pixel:  # in the window   . not in it   + padding in the window")
    width = max(len(line) for block in blocks for line in block) + 3
    for first in range(0, len(blocks), max(1, WIDTH // width)):
        row = blocks[first : first + max(1, WIDTH // width)]
        page.line().block("".join(line.ljust(width) for line in lines).rstrip() for lines in zip(*row, strict=True))
    return page


def _picture(window: Window, size: Pair, steps: Pair, oh: int, ow: int) -> list[str]:
    """The padded image with one window."""
    (top, bottom), (left, right) = window.pads(size)
    starts = oh * window.stride[0] - top, ow * window.stride[1] - left
    rows, columns = (
        range(start, start + length, step) for start, length, step in zip(starts, window.kernel, steps, strict=True)
    )
    lines = []
    for h in range(-top, size[0] + bottom):
        line = ""
        for i in range(-left, size[1] + right):
            inside = 0 <= h < size[0] and 0 <= i < size[1]
            line += ("#" if inside else "+") if h in rows and i in columns else ("." if inside else " ")
        lines.append(line)
    return lines
