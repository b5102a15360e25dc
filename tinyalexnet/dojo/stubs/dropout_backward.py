"""Dropout, backward: fill the hole.

The forward, with a mask that was drawn before:

    out = x / (1 - rate)   where kept is True
    out = 0                where kept is False

dout is the gradient of the loss with respect to out. Write the function that returns dx. It uses the mask of the
forward: nothing is drawn again.

    kept = True False        rate = 0.75        dout = 3 4        dx = 12 0

dout and kept have the same shape, which may be any. kept is an array of bool. rate is a number, 0 <= rate < 1.
"""


def dropout_backward(dout, kept, rate):
    raise NotImplementedError
