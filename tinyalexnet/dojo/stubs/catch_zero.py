"""The kink: catch the mistake.

The forward of ReLU is out = max(x, 0). Somebody wrote the backward:

    dx = dout * (x >= 0)        where it should be  x > 0

Tests with random numbers do not find this mistake. Write a test case that does: arguments for which the wrong function
and the right one give different dx. x may have one element.

    x (any shape)        dout (the shape of x)

The case below does not show the mistake. Change it.
"""

import numpy as np


def case():
    return {"dout": np.array([5.0, 6.0]), "x": np.array([-3.0, 2.0])}
