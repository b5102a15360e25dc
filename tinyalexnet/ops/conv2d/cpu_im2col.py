"""im2col, the window under each output pixel as one row of a matrix, and its adjoint col2im, compiled."""

from ...devices.cpu.compiler import inner


@inner
def _span(ow, stride_w, pad_left, width, channels, skipped, length):  # type: ignore[no-untyped-def]
    """Of ``length`` elements of the window of output column ``ow``, without the first ``skipped``: where they start in
    a row of ``width * channels`` elements (it may be negative), and the range from ``low`` up to ``high`` of those that
    lie inside the row."""
    start = (ow * stride_w - pad_left) * channels + skipped
    low = min(max(-start, 0), length)
    high = max(min(width * channels - start, length), low)
    return start, low, high


@inner
def im2col(x, windows, columns, out_size, kernel, stride, pad, cols):  # type: ignore[no-untyped-def]
    """A part of the im2col matrix, with 0 for padding: the rows ``windows`` and the ``columns``, each from the first up
    to the last. Row (n * OH + oh) * OW + ow is the window of output pixel (oh, ow) of image n."""
    n, height, width, channels = x.shape
    (begin, end), (left, right), (out_h, out_w) = windows, columns, out_size
    x_rows = x.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for window in range(begin, end):
        row, ow = divmod(window, out_w)
        image, oh = divmod(row, out_h)
        for kh in range(left // length, (right + length - 1) // length):
            h = oh * stride[0] + kh - pad[0]
            # The pixels that one kernel row meets are neighbours in memory, so one copy moves them all. Views of
            # source and target spare LLVM the index checks that keep it from vectorising.
            top, bottom = max(left, kh * length), min(right, (kh + 1) * length)
            column = cols[window - begin, top - left : bottom - left]
            start, low, high = _span(ow, stride[1], pad[1], width, channels, top - kh * length, bottom - top)
            if 0 <= h < height:
                source = x_rows[image, h, start + low : start + high]
                target = column[low:high]
                for i in range(low):
                    column[i] = 0
                for i in range(high - low):
                    target[i] = source[i]
                for i in range(high, column.size):
                    column[i] = 0
            else:
                for i in range(column.size):
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
                    start, low, high = _span(ow, stride[1], pad[1], width, channels, 0, length)
                    source = dcols[(row - first) * out_w + ow, kh * length + low : kh * length + high]
                    target = dx_rows[image, h, start + low : start + high]
                    for i in range(high - low):
                        target[i] += source[i]
