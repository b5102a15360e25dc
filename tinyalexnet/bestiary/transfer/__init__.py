"""Functions that the package does not have, for exercises that transfer what was learned."""

from __future__ import annotations

from . import avgpool_counted, batchnorm, depthwise, dilated, nchw, torch_same, transposed

SUBJECTS = (
    *dilated.SUBJECTS,
    *transposed.SUBJECTS,
    *depthwise.SUBJECTS,
    *torch_same.SUBJECTS,
    *avgpool_counted.SUBJECTS,
    *batchnorm.SUBJECTS,
    *nchw.SUBJECTS,
)
