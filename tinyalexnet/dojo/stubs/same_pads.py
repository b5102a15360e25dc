"""The padding of SAME: fill the hole.

TensorFlow's padding "SAME" does not name a number of rows. It names the size of the output, the size divided by the
stride and rounded up:

    OH = ceil(H / stride_h)        OW = ceil(W / stride_w)

It adds as many rows and columns of padding as the windows need for that, and no more. It never removes any. Half of
them are at the top and left. If their number is odd, the one more is at the bottom or at the right.

    size = (H, W)        kernel = (KH, KW)        stride = (stride_h, stride_w)

The function returns ((top, bottom), (left, right)), all ints.

    H = 4, KH = 2, stride_h = 1:    OH = 4, one row is needed, top = 0 and bottom = 1
"""


def same_pads(size, kernel, stride):
    raise NotImplementedError
