"""The known mistakes that the page can put in place of a gradient: their sentences."""

from __future__ import annotations

from ..bestiary import SUBJECTS

BACKWARDS = (
    *("conv2d_backward_input", "conv2d_backward_params", "maxpool_backward", "avgpool_backward", "relu_backward"),
    *("lrn_backward", "dropout_backward", "dense_backward", "softmax_cross_entropy"),
)
"""The subjects of the bestiary that belong to the layers. ``page/beasts.js`` computes some of their beasts."""


def sentences() -> dict[str, str]:
    """What is wrong, and what is right, by the beast's name."""
    return {beast.name: beast.sentence for name in BACKWARDS for beast in SUBJECTS[name].beasts}
