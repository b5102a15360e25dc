"""im2col, the window under each output pixel as one row of a matrix, and its adjoint col2im, compiled."""

from ...devices.cpu.compiler import inner


@inner
def _span(ow, stride_w, pad_left, width, kernel_w, channels):  # type: ignore[no-untyped-def]
    """Start of the window of output column ``ow`` in a row of ``width * channels`` elements (it may be negative), and
    the range from ``low`` up to ``high`` of its ``kernel_w * channels`` elements that lies inside the row."""
    start = (ow * stride_w - pad_left) * channels
    length = kernel_w * channels
    low = min(max(-start, 0), length)
    high = max(min(width * channels - start, length), low)
    return start, low, high


@inner
def im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols):  # type: ignore[no-untyped-def]
    """Rows of ``cols``: the windows of output rows ``first`` up to ``last``, with 0 for padding."""
    n, height, width, channels = x.shape
    x_rows = x.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            for ow in range(out_w):
                # The pixels that one kernel row meets are neighbours in memory, so one copy moves them all. Views of
                # source and target spare LLVM the index checks that keep it from vectorising.
                column = cols[(row - first) * out_w + ow, kh * length : (kh + 1) * length]
                start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                if 0 <= h < height:
                    source = x_rows[image, h, start + low : start + high]
                    target = column[low:high]
                    for i in range(low):
                        column[i] = 0
                    for i in range(high - low):
                        target[i] = source[i]
                    for i in range(high, length):
                        column[i] = 0
                else:
                    for i in range(length):
                        column[i] = 0


@inner
def col2im(dcols, first, last, out_h, out_w, kernel, stride, pad, dx):  # type: ignore[no-untyped-def]
    """Adds each element of ``dcols`` to the element that ``im2col`` copied: the adjoint of a copy is an addition."""
    n, height, width, channels = dx.shape
    dx_rows = dx.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            if 0 <= h < height:
                for ow in range(out_w):
                    start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                    source = dcols[(row - first) * out_w + ow, kh * length + low : kh * length + high]
                    target = dx_rows[image, h, start + low : start + high]
                    for i in range(high - low):
                        target[i] += source[i]
