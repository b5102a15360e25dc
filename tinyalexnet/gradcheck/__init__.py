"""Checks a backward against its forward, and explains what is wrong with it.

For any layer or network that has ``forward(x)``, ``backward(dout)`` and the dicts ``params`` and ``grads``:

    print(diagnose(MyConv(...), x))                          # what is right, what is wrong, and how
    print(diagnose(MyConv(...), x, like=Conv2d(...)))        # also the forward, and known mistakes by their name
    assert_gradients(MyConv(...), x)                         # the same in a test

``as_layer`` makes a layer of two functions, ``as_loss`` of a loss, and ``frozen`` holds the random numbers of dropout.
``directional_derivatives`` and ``adjoint_identities`` are the two checks themselves: they share no code with layers.
See docs/checking.md.
"""

from .adapters import Differentiable, as_layer, as_loss, frozen
from .diagnosis import assert_gradients, diagnose, numeric_gradient
from .functions import assert_same_function
from .report import Finding, Report
from .slopes import Check, adjoint_identities, directional_derivatives, separated_values

__all__ = [
    "Check",
    "Differentiable",
    "Finding",
    "Report",
    "adjoint_identities",
    "as_layer",
    "as_loss",
    "assert_gradients",
    "assert_same_function",
    "diagnose",
    "directional_derivatives",
    "frozen",
    "numeric_gradient",
    "separated_values",
]
