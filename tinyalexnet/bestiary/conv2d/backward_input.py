"""Wrong gradients of the convolution's images."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair
from ..loops import by_position, exchanged, meetings, products, turned
from ..subject import wrong

Shape = tuple[int, ...]


@wrong(
    "dx",
    "dx slides the kernel over dout as the forward does over x, but the pixel in row h met w[kh] at the output in "
    "row h - kh, so the kernel must be turned by 180 degrees.",
    source="asked in BVLC/caffe #5812, pytorch/pytorch #61100 and ddbourgin/numpy-ml #27",
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
    "must be a sum (+=).",
    source="no public sighting known",
    shown_by="row",
)
def dx_assigns(dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        dx[pixel] = dout[output] * w[weight]
    return dx


def _at(dout: np.ndarray, w: np.ndarray, groups: int, output: Pair, position: Pair) -> np.ndarray:
    """The share that one output pixel hands to the pixel at one kernel position: (N, C), summed over the filters."""
    (oh, ow), (kh, kw) = output, position
    depth, filters = w.shape[2], w.shape[3] // groups
    share = np.zeros((len(dout), groups * depth))
    for f in range(w.shape[3]):
        channels = slice(f // filters * depth, (f // filters + 1) * depth)
        share[:, channels] += np.outer(dout[:, oh, ow, f], w[kh, kw, :, f])
    return share


@wrong(
    "dx",
    "Each window overwrites what earlier windows wrote into dx (=), but windows overlap, so their shares must be "
    "added (+=).",
    source="no public sighting known",
    shown_by="row",
)
def dx_assigns_windows(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, position, (h, i) in meetings(x_shape[1:3], dout.shape[1:3], w.shape[:2], stride, pads):
        dx[:, h, i] = _at(dout, w, groups, output, position)
    return dx


@wrong(
    "dx",
    "Each kernel position overwrites what earlier ones wrote into dx (=), but a pixel lies under several positions, "
    "whose shares must be added (+=).",
    source="no public sighting known",
    shown_by="row",
)
def dx_assigns_positions(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, position, (h, i) in by_position(x_shape[1:3], dout.shape[1:3], w.shape[:2], stride, pads):
        dx[:, h, i] = _at(dout, w, groups, output, position)
    return dx


@wrong(
    "dx",
    "The stride is left out of dx, so the gradients of neighbouring outputs stand side by side, but they must be "
    "stride pixels apart.",
    source="enggen/Deep-Learning-Coursera #7; Kulbear/deep-learning-coursera #34",
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
    "The gradients are stride + 1 pixels apart in dx, as with stride zeros between them, but only stride - 1 "
    "zeros belong between them.",
    source="asked in ai.stackexchange 5774",
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
    "dx takes the stride of columns for rows and that of rows for columns, but it must walk through the forward's "
    "windows: stride[0] rows and stride[1] columns apart.",
    source="mlpack/mlpack #4050",
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
    "The convolution's padding is not cropped: dx is the top left corner of the padded gradient, but it must be "
    "the part from row top and column left on.",
    source="related: PKUFlyingPig/CMU10-714 #6",
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
    "The padded gradient is cropped by bottom at the top and by right at the left, but each side must lose its "
    "own padding.",
    source="related: renmengye/np-conv2d #2",
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
    "The gradients of the groups are crossed, so channels of the first group get those of the last group's "
    "filters, but slices must stay together in order.",
    source="related: ml-explore/mlx #1449",
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
    "The axes of channels and filters are reshaped for dx and not swapped, but dx must sum dout[..., f] w[kh, kw, "
    "c, f] over f.",
    source="wuziheng/CNN-Numpy #2",
    shown_by="groups",
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
    "dx has the share of one filter of each group, but a pixel has a part in the outputs of all filters, so it "
    "must be the sum over f.",
    source="asked in datascience.stackexchange 38896",
    shown_by="groups",
)
def dx_of_one_filter(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        if weight[3] % (w.shape[3] // groups) == 0:
            dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "All groups write their gradients into the first slice of dx's channels, but each group must write into its own.",
    source="no public sighting known",
    shown_by="groups",
)
def dx_groups_in_the_first_slice(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, groups):
        dx[(*pixel[:3], weight[2])] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "h + pad - kh is divided by the stride and rounded down, but if the division has a rest, no output reads the "
    "pixel at this kernel position.",
    source="no public sighting known",
    shown_by="strided",
)
def dx_stride_rounded_down(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for h, i, kh, kw in np.ndindex(*x_shape[1:3], *w.shape[:2]):
        oh, ow = (h + pads[0][0] - kh) // stride[0], (i + pads[1][0] - kw) // stride[1]
        if 0 <= oh < dout.shape[1] and 0 <= ow < dout.shape[2]:
            dx[:, h, i] += _at(dout, w, groups, (oh, ow), (kh, kw))
    return dx


BEASTS = (
    kernel_not_turned,
    dx_assigns,
    dx_assigns_windows,
    dx_assigns_positions,
    dx_stride_ignored,
    dx_stride_off_by_one,
    dx_strides_exchanged,
    dx_not_cropped,
    dx_cropped_on_the_wrong_side,
    dx_groups_crossed,
    dx_channel_axes_exchanged,
    dx_of_one_filter,
    dx_groups_in_the_first_slice,
    dx_stride_rounded_down,
)
