"""Wrong gradients of the convolution's images."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair
from ..loops import exchanged, products, turned
from ..subject import wrong

Shape = tuple[int, ...]


@wrong(
    "dx",
    "dx slides the kernel over dout as the forward does over x, but the pixel in row h met w[kh] at the output "
    "in row h - kh, so for dx the kernel is turned by 180 degrees.",
    source="soumith.ch, 2014-08-07; BVLC/caffe #5812; pytorch/pytorch #61100",
    shown_by="row",
)
def kernel_not_turned(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        dx[pixel] += dout[output] * w[turned(weight, w.shape)]
    return dx


@wrong(
    "dx",
    "Each output overwrites the gradient of its pixels (=), but windows overlap and filters share pixels, so dx "
    "is a sum (+=).",
    source="CS231n, assignment 2: jariasf/CS231n #14",
    shown_by="row",
)
def dx_assigns(dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        dx[pixel] = dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The stride is left out of dx, so the gradients of neighbouring outputs stand side by side, but they belong "
    "stride pixels apart.",
    source="enggen/Deep-Learning-Coursera #7; ai.stackexchange 5774",
    shown_by="strided",
)
def dx_stride_ignored(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, (1, 1), pads, groups):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The stride of dx is one too large, as when stride zeros are put between the gradients, but stride - 1 zeros "
    "belong between them.",
    source="ai.stackexchange 5774",
    shown_by="row",
)
def dx_stride_off_by_one(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    wide = (stride[0] + 1, stride[1] + 1)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, wide, pads, groups):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The strides of rows and columns are exchanged in the backward, but dx walks through the forward's windows: "
    "stride[0] rows and stride[1] columns apart.",
    source="huggingface/candle #2337",
    shown_by="strided",
)
def dx_strides_exchanged(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride[::-1], pads, groups):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The convolution's padding is not cropped: dx is the top left corner of the padded gradient, but it is the "
    "part from row top and column left.",
    source="CNN-Numpy #2; stats.stackexchange, padding and stride in the backpropagation of a convolution",
    shown_by="padded",
)
def dx_not_cropped(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, ((0, 0), (0, 0)), groups):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The padded gradient is cropped by the padding of the opposite sides, but top rows are cut at the top and "
    "left columns at the left.",
    source="tinygrad/tinygrad #73",
    shown_by="padded",
)
def dx_cropped_on_the_wrong_side(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, exchanged(pads), groups):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The gradients of the groups are crossed: channels of the first group get those of the last group's filters, "
    "but slices belong together in order.",
    source="ml-explore/mlx #1449",
    shown_by="groups",
)
def dx_groups_crossed(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        n, h, i, channel = pixel
        group, c = divmod(channel, w.shape[2])
        dx[n, h, i, (groups - 1 - group) * w.shape[2] + c] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "The axes of channels and filters are not swapped but reshaped for dx, but dx sums over f of dout[..., f] "
    "w[kh, kw, c, f].",
    source="CNN-Numpy #2; rsokl/MyGrad #74",
    shown_by="channels",
)
def dx_channel_axes_exchanged(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    kernel_h, kernel_w, depth, filters = w.shape
    swapped = w.reshape(kernel_h, kernel_w, filters, depth).swapaxes(2, 3)
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        dx[pixel] += dout[output] * swapped[weight]
    return dx


@wrong(
    "dx",
    "dx has the share of one filter of each group, but a pixel has a part in the outputs of all filters, so it is "
    "the sum over f.",
    source="datascience.stackexchange 38896",
    shown_by="channels",
)
def dx_of_one_filter(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        if weight[3] % (w.shape[3] // groups) == 0:
            dx[pixel] += dout[output] * w[weight]
    return dx


BEASTS = (
    kernel_not_turned,
    dx_assigns,
    dx_stride_ignored,
    dx_stride_off_by_one,
    dx_strides_exchanged,
    dx_not_cropped,
    dx_cropped_on_the_wrong_side,
    dx_groups_crossed,
    dx_channel_axes_exchanged,
    dx_of_one_filter,
)
