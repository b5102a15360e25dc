"""im2col, the window under each output pixel as one row of a matrix, and its adjoint col2im, compiled."""

from numba import types

from ...devices.cpu.by_name import by_name
from ...devices.cpu.compiler import inner
from ...devices.cpu.copies import clear_elements, copy_elements

_PAIR = types.UniTuple(types.intp, 2)


@by_name(lambda real: (types.Array(real, 4, "C"), *6 * [_PAIR], types.Array(real, 2, "C")))
def im2col(x, windows, columns, out_size, kernel, stride, pad, cols):  # type: ignore[no-untyped-def]
    """A part of the im2col matrix, with 0 for padding: the rows ``windows`` and the ``columns``, each from the first up
    to the last. Row (n * OH + oh) * OW + ow is the window of output pixel (oh, ow) of image n."""
    _, height, width, channels = x.shape
    (begin, end), (left, right), (out_h, out_w) = windows, columns, out_size
    # The pixels that one kernel row meets are neighbours in memory, so one copy moves them all.
    elements, rows, length = x.reshape(-1), cols.reshape(-1), kernel[1] * channels
    first_row, behind_row = left // length, (right + length - 1) // length
    for window in range(begin, end):
        row, ow = divmod(window, out_w)
        image, oh = divmod(row, out_h)
        h, start = oh * stride[0] - pad[0], (ow * stride[1] - pad[1]) * channels
        # Of a kernel row the elements before ``outside`` are left of the image, those from ``behind`` on right of it.
        outside, behind = -start, width * channels - start
        source = (image * height + h) * width * channels + start
        target = (window - begin) * cols.shape[1] - left
        if 0 <= h <= height - kernel[0] and outside <= 0 and length <= behind and right - left == kernel[0] * length:
            for kh in range(kernel[0]):
                copy_elements(elements, source + kh * width * channels, rows, target + kh * length, length)
            continue
        for kh in range(first_row, behind_row):
            top, bottom = max(left - kh * length, 0), min(right - kh * length, length)
            low = min(max(outside, top), bottom) if 0 <= h + kh < height else bottom
            high = max(min(behind, bottom), low)
            at = target + kh * length
            clear_elements(rows, at + top, low - top)
            copy_elements(elements, source + kh * width * channels + low, rows, at + low, high - low)
            clear_elements(rows, at + high, bottom - high)


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
                    # Of a kernel row the elements from low up to high are inside the image.
                    start = (ow * stride[1] - pad[1]) * channels
                    low = min(max(-start, 0), length)
                    high = max(min(width * channels - start, length), low)
                    source = dcols[(row - first) * out_w + ow, kh * length + low : kh * length + high]
                    target = dx_rows[image, h, start + low : start + high]
                    for i in range(high - low):
                        target[i] += source[i]
