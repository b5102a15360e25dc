"""Wrong forwards of the convolution."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair
from ..loops import exchanged, products, turned
from ..pools import out_size
from ..subject import wrong


def _biases(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    """(N, OH, OW, F), each output its bias: the products are still to be added."""
    out = np.zeros((len(x), *out_size(x.shape[1:3], w.shape[:2], stride, pads), w.shape[3]))
    return out + b


@wrong(
    "out",
    "The kernel is flipped, the convolution of mathematics, but here as in all frameworks w[0, 0] must meet the "
    "top left pixel of the window.",
    source="expected in pytorch/pytorch #117534; keras-team/keras #3015, Theano",
    shown_by="row",
)
def kernel_flipped(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[pixel] * w[turned(weight, w.shape)]
    return out


@wrong(
    "out",
    "The convolution's bias is not added, but each output of filter f must get b[f].",
    source="VigneshSrinivasan10/interprettensor #2",
    shown_by="row",
)
def bias_forgotten(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads) - b
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[pixel] * w[weight]
    return out


@wrong(
    "out",
    "The convolution's bias is added with every product, but it must be added once for each output.",
    source="Kulbear/deep-learning-coursera #45; related: LeelaChessZero/lc0 #130",
    shown_by="row",
)
def bias_in_each_term(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads) - b
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[pixel] * w[weight] + b[weight[3]]
    return out


@wrong(
    "out",
    "The forward takes the stride of columns for rows and that of rows for columns, but windows must be stride[0] "
    "rows and stride[1] columns apart.",
    source="mlpack/mlpack #4050; related: torch/cunn #470",
    shown_by="strided",
)
def strides_exchanged(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride[::-1], pads, groups):
        out[output] += x[pixel] * w[weight]
    return out


@wrong(
    "out",
    "The convolution's padding is on the wrong sides, bottom and right exchanged with top and left, but its first "
    "window must start at row -top and column -left.",
    source="tensorflow/tensorflow #7969; onnx/tensorflow-onnx #4",
    shown_by="padded",
)
def pads_exchanged(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, exchanged(pads), groups):
        out[output] += x[pixel] * w[weight]
    return out


@wrong(
    "out",
    "The padding repeats the pixels of the edge, but a convolution's padding must be 0.",
    source="no public sighting known",
    shown_by="padded",
)
def padding_repeats_the_edge(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), mode="edge")
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, padded.shape, w.shape, stride, ((0, 0), (0, 0)), groups):
        out[output] += padded[pixel] * w[weight]
    return out


@wrong(
    "out",
    "The groups are crossed, so filters of the first group see the channels of the last, but slices of filters "
    "and of channels must belong together in order.",
    source="related: pytorch/pytorch #19912",
    shown_by="groups",
)
def groups_crossed(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        n, h, i, channel = pixel
        group, c = divmod(channel, w.shape[2])
        out[output] += x[n, h, i, (groups - 1 - group) * w.shape[2] + c] * w[weight]
    return out


@wrong(
    "out",
    "The groups take channels in turn, one each, but a group must be a slice of neighbouring channels.",
    source="meant so as ShuffleNet's shuffle, Zhang et al., 2018",
    shown_by="groups",
)
def groups_interleaved(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        n, h, i, channel = pixel
        group, c = divmod(channel, w.shape[2])
        out[output] += x[n, h, i, c * groups + group] * w[weight]
    return out


@wrong(
    "out",
    "All groups read the first slice of channels, but each group must read its own.",
    source="no public sighting known",
    shown_by="groups",
)
def groups_read_the_first_slice(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[(*pixel[:3], weight[2])] * w[weight]
    return out


@wrong(
    "out",
    "The elements of w are read in the order (KH, KW, F, C), but the input's channel must come before the filter: "
    "(KH, KW, C, F).",
    source="asked in lmb-freiburg/flownet2 #214; apache/systemds #541",
    shown_by="groups",
)
def channel_axes_exchanged(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    kernel_h, kernel_w, depth, filters = w.shape
    swapped = w.reshape(kernel_h, kernel_w, filters, depth).swapaxes(2, 3)
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[pixel] * swapped[weight]
    return out


@wrong(
    "out",
    "The elements of w are read in the order (KW, KH, C, F), but the kernel's rows must come first: (KH, KW, C, F).",
    source="related: mlpack/mlpack #3376",
    shown_by="square",
)
def kernel_axes_exchanged(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    kernel_h, kernel_w, depth, filters = w.shape
    swapped = w.reshape(kernel_w, kernel_h, depth, filters).swapaxes(0, 1)
    out = _biases(x, w, b, stride, pads)
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, groups):
        out[output] += x[pixel] * swapped[weight]
    return out


BEASTS = (
    kernel_flipped,
    bias_forgotten,
    bias_in_each_term,
    strides_exchanged,
    pads_exchanged,
    padding_repeats_the_edge,
    groups_crossed,
    groups_interleaved,
    groups_read_the_first_slice,
    channel_axes_exchanged,
    kernel_axes_exchanged,
)
