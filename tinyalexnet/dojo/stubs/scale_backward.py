"""A gain for each column, backward: fill the hole.

The forward multiplies each column of x by a number of its own, the gain:

    out[n,c] = x[n,c] · gain[c]        x (N, C), gain (C,), out (N, C)

dout has the shape of out. dout[n,c] says how much the loss changes for each 1 of out[n,c].

Write the backward. It returns two gradients, each of the shape of its argument:

    dx (N, C)        dgain (C,)

The chain rule on arrays: an element may reach several outputs. Its gradient is a sum over these outputs. Each term is
dout there, times the change of this output for each 1 of the element. Here x[n,c] reaches one output, and gain[c]
reaches N of them.

    x = 1 2      gain = 2 3      dout = 1 -1      dx =  2 -3      dgain = 21 -2
        4 0                             5  2           10  6
"""


def scale_backward(dout, x, gain):
    raise NotImplementedError
