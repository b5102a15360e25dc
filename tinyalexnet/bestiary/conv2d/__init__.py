"""The convolution and its two backwards: docs/conv2d.md."""

from __future__ import annotations

from ..subject import Subject
from . import backward_input, backward_params, forward, right
from .cases import CASES, draw

SUBJECTS = (
    Subject(
        name="conv2d_forward",
        parameters=("x", "w", "b", "stride", "pads", "groups"),
        outputs=("out",),
        right=right.forward,
        cases=CASES,
        draw=draw,
        beasts=forward.BEASTS,
    ),
    Subject(
        name="conv2d_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads", "groups"),
        outputs=("dx",),
        right=right.backward_input,
        cases=CASES,
        draw=draw,
        beasts=backward_input.BEASTS,
        forward="conv2d_forward",
        gradients={"dx": "x"},
    ),
    Subject(
        name="conv2d_backward_params",
        parameters=("dout", "x", "w_shape", "stride", "pads", "groups"),
        outputs=("dw", "db"),
        right=right.backward_params,
        cases=CASES,
        draw=draw,
        beasts=backward_params.BEASTS,
        forward="conv2d_forward",
        gradients={"dw": "w", "db": "b"},
    ),
)
