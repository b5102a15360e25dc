"""The functions that learners write, with right answers, cases and beasts: known wrong implementations, each named.

``SUBJECTS`` has them by name. The page of all beasts is docs/bestiary.md, the proof that the cases tell all of them
apart tests/bestiary/test_bestiary.py.
"""

from __future__ import annotations

from . import (
    avgpool,
    chain,
    conv1d,
    conv2d,
    dense,
    dropout,
    im2col,
    lrn,
    maxpool,
    momentum,
    relu,
    softmax_cross_entropy,
    transfer,
    windows,
    winograd,
)
from .subject import Beast, Case, Subject

_OPERATIONS = (
    *(chain, dense, relu, maxpool, avgpool, conv1d, windows, conv2d, im2col, lrn, dropout, softmax_cross_entropy),
    *(momentum, transfer, winograd),
)

SUBJECTS = {subject.name: subject for operation in _OPERATIONS for subject in operation.SUBJECTS}
"""All subjects by name, in the order of the exercises."""

__all__ = ["SUBJECTS", "Beast", "Case", "Subject"]
