"""The terms of single elements of a convolution: out, dx, dw and db."""

from collections.abc import Mapping

import numpy as np

from ...geometry import Window
from ..terms import (
    Index,
    Part,
    Terms,
    constant,
    elements,
    filled,
    grid,
    offset,
    one_of,
    outputs_at,
    outputs_over,
    pixels_of,
    product,
)

Arrays = Mapping[str, np.ndarray]


def out_terms(index: Index, arrays: Arrays, window: Window, groups: int) -> Terms:
    """The bias, and a product for each kernel position inside the image and each channel of the group."""
    x, w, b = arrays["x"], arrays["w"], arrays["b"]
    n, oh, ow, f = index
    kh, kw, h, i = pixels_of(window, x.shape[1:3], (oh, ow))
    depth = w.shape[2]
    first = f // (w.shape[3] // groups) * depth
    at = grid(range(len(kh)), range(len(kw)), range(depth))
    c = at[:, 2]
    pixels = _columns(n, h[at[:, 0]], i[at[:, 1]], first + c)
    weights = _columns(kh[at[:, 0]], kw[at[:, 1]], c, f)
    top, left = window.before(x.shape[1:3])
    row = offset(oh * window.stride[0] - top, "kh")
    column = offset(ow * window.stride[1] - left, "kw")
    channel = offset(first, "c")
    return Terms(
        "out[n,oh,ow,f] = b[f] + Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] w[kh,kw,c,f]",
        f"{filled('out', index)} = b[{f}] + Σ x[{n}, {row}, {column}, {channel}] w[kh,kw,c,{f}]",
        (
            product([one_of(b, "b", (f,)), constant("1", 1.0, 1)], "the bias"),
            product([elements("x", x, pixels), elements("w", w, weights)], "the window", ("c", first + c)),
        ),
        notes=_left_out(len(kh) * len(kw), window, "kernel positions are over padding, which is 0"),
    )


def dx_terms(index: Index, arrays: Arrays, window: Window, groups: int) -> Terms:
    """A product for each output pixel whose window has the pixel in it, and each filter of the group."""
    x, w, dout = arrays["x"], arrays["w"], arrays["dout"]
    n, h, i, c = index
    kh, kw, oh, ow = outputs_over(window, x.shape[1:3], (h, i))
    depth, filters = w.shape[2], w.shape[3] // groups
    group = c // depth
    at = grid(range(len(kh)), range(len(kw)), range(group * filters, (group + 1) * filters))
    f = at[:, 2]
    gradients = _columns(n, oh[at[:, 0]], ow[at[:, 1]], f)
    weights = _columns(kh[at[:, 0]], kw[at[:, 1]], c - group * depth, f)
    top, left = window.before(x.shape[1:3])
    return Terms(
        "dx[n,h,i,c] = Σ dout[n,oh,ow,f] w[kh,kw,c,f] over all oh, kh with oh*stride_h + kh - pad_top = h, and all ow, "
        "kw with ow*stride_w + kw - pad_left = i",
        f"{filled('dx', index)} = Σ dout[{n},oh,ow,f] w[kh,kw,{c - group * depth},f] over all oh, kh with "
        f"{_met('oh', window.stride[0], 'kh', h + top)}, and all ow, kw with "
        f"{_met('ow', window.stride[1], 'kw', i + left)}",
        (product([elements("dout", dout, gradients), elements("w", w, weights)], "the windows", ("f", f)),),
        notes=_left_out(len(kh) * len(kw), window, "kernel positions do not meet this pixel, for any output"),
    )


def dw_terms(index: Index, arrays: Arrays, window: Window, groups: int) -> Terms:
    """A product for each image and each output pixel for which the kernel position is inside the image."""
    x, dout = arrays["x"], arrays["dout"]
    kh, kw, c, f = index
    oh, ow, h, i = outputs_at(window, x.shape[1:3], (kh, kw))
    channel = f // (dout.shape[3] // groups) * (x.shape[3] // groups) + c
    at = grid(range(x.shape[0]), range(len(oh)), range(len(ow)))
    n = at[:, 0]
    pixels = _columns(n, h[at[:, 1]], i[at[:, 2]], channel)
    gradients = _columns(n, oh[at[:, 1]], ow[at[:, 2]], f)
    top, left = window.before(x.shape[1:3])
    row, column = _pixel("oh", window.stride[0], kh - top), _pixel("ow", window.stride[1], kw - left)
    return Terms(
        "dw[kh,kw,c,f] = Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] dout[n,oh,ow,f]",
        f"{filled('dw', index)} = Σ x[n, {row}, {column}, {channel}] dout[n,oh,ow,{f}]",
        (product([elements("x", x, pixels), elements("dout", dout, gradients)], "all outputs", ("n", n)),),
    )


def db_terms(index: Index, arrays: Arrays) -> Terms:
    """The gradient of each output pixel of all images."""
    (f,) = index
    return sum_over_outputs(f, arrays["dout"], "db[f] = Σ dout[n,oh,ow,f]", f"db[{f}] = Σ dout[n,oh,ow,{f}]")


def sum_over_outputs(f: int, dout: np.ndarray, formula: str, filled_in: str) -> Terms:
    """The elements of the last axis' ``f``, which a bias was added to."""
    at = grid(*map(range, dout.shape[:-1]), f)
    part: Part = product([elements("dout", dout, at), constant("1", 1.0, len(at))], "all outputs", ("n", at[:, 0]))
    return Terms(formula, filled_in, (part,))


def _columns(*columns: np.ndarray | int) -> np.ndarray:
    """Indices (T, rank) from one array, or number, for each axis."""
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def _pixel(output: str, stride: int, base: int) -> str:
    return offset(base, f"{stride} {output}" if stride > 1 else output)


def _met(output: str, stride: int, kernel: str, pixel: int) -> str:
    return f"{f'{stride} ' if stride > 1 else ''}{output} + {kernel} = {pixel}"


def _left_out(count: int, window: Window, why: str) -> tuple[str, ...]:
    missing = window.kernel[0] * window.kernel[1] - count
    return (f"{missing} of {window.kernel[0] * window.kernel[1]} {why}",) if missing else ()
