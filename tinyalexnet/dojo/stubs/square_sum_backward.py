"""The sum of squares, backward: fill the hole.

The forward squares each element of x, and adds the squares:

    s = the sum of all x[i]²

s is one number, so dout is one number too: the change of the loss for each 1 of s. Write the function that returns dx,
which has the shape of x. By the chain rule, for each element:

    dx[i] = dout · (the slope of s, as x[i] changes)

Only one term of the sum changes with x[i].

    x = 3 -1        s = 9 + 1 = 10        dout = 2        dx = 12 -4

x may have any shape.
"""


def square_sum_backward(dout, x):
    raise NotImplementedError
