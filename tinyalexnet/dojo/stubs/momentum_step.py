"""A step with momentum: find the bug.

w is a parameter, dw its gradient, and v its velocity, all of the same shape. A step of gradient descent with momentum
and weight decay computes the new v first, and then the new w:

    v  <-  momentum · v  -  rate · (decay · w + dw)
    w  <-  w + v

By hand, with w = 4, v = 0, dw = 8, rate = 1/4, momentum = 1/2 and decay = 0:

    v = 0 - 8/4 = -2        w = 4 - 2 = 2

The function below returns the new w and the new v. It agrees with the example, and yet there is one mistake in it. Find
it and mend it. (The old arrays stay as they are.)
"""


def momentum_step(w, v, dw, rate, momentum, decay):
    v = momentum * v - rate * dw - decay * w
    w = w + v
    return w, v
