"""The size of the output: fill the hole.

A window of KH x KW pixels goes over a padded image. The first window begins at the top left corner of the padding. The
next ones are stride_h rows lower, or stride_w columns to the right. A window that does not fit is left out.

How many windows are there, one below the other (OH) and side by side (OW)? Each has one output pixel.

    size = (H, W)          stride = (stride_h, stride_w)
    kernel = (KH, KW)      pads = ((top, bottom), (left, right))

The function returns the tuple (OH, OW) of two ints.

    H = 6, KH = 3, stride_h = 2, no padding:    OH = 2, and the last row is in no window
"""


def output_size(size, kernel, stride, pads):
    raise NotImplementedError
