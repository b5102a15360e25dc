"""ReLU, backward: fill the hole.

The forward keeps positive elements and makes the others 0:

    out = max(x, 0)        for each element

dout is the gradient of the loss with respect to out: dout[i] says how much the loss changes for each 1 of out[i].
Write the function that returns dx, the gradient with respect to x. By the chain rule, for each element:

    dx = dout · (the slope of out, as x changes)

At x = 0 there is a kink: the slope is 0 on the left and 1 on the right. Here it counts as 0.

    x = -3  0  2        dout = 5 6 7        dx = 0 0 7

x and dout may have any shape, but both have the same. dx is a new array of that shape.
"""


def relu_backward(dout, x):
    raise NotImplementedError
