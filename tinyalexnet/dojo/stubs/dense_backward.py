"""Dense layer, backward: fill the hole.

The forward of a dense layer, for N rows of C inputs and F outputs:

    out[n,f] = b[f] + sum over c of x[n,c] · w[c,f]        x (N, C), w (C, F), b (F,), out (N, F)

dout has the shape of out. Write the backward. It returns three gradients, each of the shape of its argument:

    dx (N, C)        dw (C, F)        db (F,)

For each element, ask which outputs it reaches. x[n,c] reaches the outputs of its row. w[c,f] and b[f] reach the outputs
of column f. A sum over such outputs is a product of matrices, so no loop is needed. (Loops are allowed too.)

    x = 1 2      w = 3  0      dout = 2 -1      dx = 6 3      dw = 2 -1      db = 2 -1
                     1 -1                                          4 -2
"""


def dense_backward(dout, x, w):
    raise NotImplementedError
