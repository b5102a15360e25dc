"""Which windows meet a row: derive the formula.

In the forward of a convolution or a pool, output row oh and kernel row kh read this row of the image:

    h = oh·stride_h + kh - pad_top        oh = 0 ... out_h - 1,   kh = 0 ... kernel_h - 1

The backward asks the other way round: which pairs (oh, kh) read a given row h? To them belong the gradients that row h
gets. Write the function that returns these pairs as a list, in any order.

    h = 2, kernel_h = 2, stride_h = 1, pad_top = 0, out_h = 3:    [(1, 1), (2, 0)]

Solve the equation for oh. Then one loop over kh is enough.
"""


def which_windows(h, kernel_h, stride_h, pad_top, out_h):
    raise NotImplementedError
