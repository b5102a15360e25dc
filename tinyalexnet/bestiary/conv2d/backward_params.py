"""Wrong gradients of the convolution's filters and bias."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair
from ..loops import products, turned
from ..subject import wrong
from .right import backward_params

Shape = tuple[int, ...]


@wrong(
    "dw",
    "dw comes out turned by 180 degrees, as from a convolution of mathematics, but dw[kh, kw] must belong to "
    "w[kh, kw].",
    source="asked in Site1997/LeNet-python #2 and rasmusbergpalm/DeepLearnToolbox #169",
    shown_by="row",
)
def dw_flipped(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        dw[turned(weight, w_shape)] += dout[output] * x[pixel]
    return dw, db


@wrong(
    "dw",
    "dw is the mean over the images, but each image used the filters, so it must be the sum; only the loss may "
    "divide by N.",
    source="proposed in apache/mxnet #2427 and hunkim/DeepLearningZeroToAll #173",
    shown_by="channels",
)
def dw_mean_over_images(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        dw[weight] += dout[output] * x[pixel] / len(x)
    return dw, db


@wrong(
    "dw",
    "dw is the mean over all output pixels, N OH OW of them, but the filters were used at each, so it must be the sum.",
    source="sebgao/cTensor #3; Oneflow-Inc/oneflow #255",
    shown_by="row",
)
def dw_mean_over_pixels(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        dw[weight] += dout[output] * x[pixel] / dout[..., 0].size
    return dw, db


@wrong(
    "dw",
    "Each image overwrites dw (=), but dw must be the sum over all images (+=).",
    source="related: arrayfire/arrayfire-ml #39, right for one image alone",
    shown_by="channels",
)
def dw_of_the_last_image(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        if output[0] == len(x) - 1:
            dw[weight] += dout[output] * x[pixel]
    return dw, db


@wrong(
    "dw",
    "Each output pixel overwrites dw (=), but the filters were used at all of them, so all shares must be added (+=).",
    source="no public sighting known",
    shown_by="row",
)
def dw_of_the_last_pixel(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, padded.shape, w_shape, stride, ((0, 0), (0, 0)), groups):
        dw[weight] = dout[output] * padded[pixel]
    return dw, db


@wrong(
    "dw",
    "dw reads x without its padding, so every window is shifted by (top, left), but it must read the same padded "
    "windows as the forward.",
    source="related: HomericIntelligence/Odyssey #3868, which asks for this test",
    shown_by="padded",
)
def dw_padding_ignored(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, ((0, 0), (0, 0)), groups):
        dw[weight] += dout[output] * x[pixel]
    return dw, db


@wrong(
    "dw",
    "The stride is left out of dw, so output (oh, ow) meets the window at (oh, ow), but its window is at (oh "
    "stride_h, ow stride_w).",
    source="enggen/Deep-Learning-Coursera #7; Kulbear/deep-learning-coursera #34",
    shown_by="strided",
)
def dw_stride_ignored(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, (1, 1), pads, groups):
        dw[weight] += dout[output] * x[pixel]
    return dw, db


@wrong(
    "dw",
    "dw takes the channels of another group, but the filters of a group saw the channels of their own slice alone.",
    source="pytorch/pytorch #51430; tracel-ai/burn #1891",
    shown_by="groups",
)
def dw_groups_crossed(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        n, h, i, channel = pixel
        group, c = divmod(channel, w_shape[2])
        dw[weight] += dout[output] * x[n, h, i, (groups - 1 - group) * w_shape[2] + c]
    return dw, db


@wrong(
    "dw",
    "dw of every group takes the first slice of channels, but each group's filters saw the slice of their own group.",
    source="no public sighting known",
    shown_by="groups",
)
def dw_groups_of_the_first_slice(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    _, db = backward_params(dout, x, w_shape, stride, pads, groups)
    dw = np.zeros(w_shape)
    for output, pixel, weight in products(dout.shape, x.shape, w_shape, stride, pads, groups):
        dw[weight] += dout[output] * x[(*pixel[:3], weight[2])]
    return dw, db


@wrong(
    "db",
    "db of the convolution is the mean over the images, but the bias was added to every image, so it must be the sum.",
    source="proposed in heyxhh/nnet-numpy #1; Stack Overflow 58036461",
    shown_by="channels",
)
def db_mean_over_images(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    dw, _ = backward_params(dout, x, w_shape, stride, pads, groups)
    return dw, dout.sum(axis=(1, 2)).mean(axis=0)


@wrong(
    "db",
    "db of the convolution is the mean over all output pixels, but the bias was added to each of them, so it must "
    "be the sum.",
    source="Oneflow-Inc/oneflow #255",
    shown_by="row",
)
def db_mean_over_pixels(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    dw, _ = backward_params(dout, x, w_shape, stride, pads, groups)
    return dw, dout.mean(axis=(0, 1, 2))


@wrong(
    "db",
    "db sums the rows of dout reshaped to (F, N OH OW), which mixes the filters, but the filter is the last axis "
    "of dout, and db must sum over the others.",
    source="snuspl/cruise #800; related: kraiskil/onnx2c #7",
    shown_by="channels",
)
def db_wrong_axis(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    dw, _ = backward_params(dout, x, w_shape, stride, pads, groups)
    return dw, dout.reshape(dout.shape[3], -1).sum(axis=1)


@wrong(
    "db",
    "db of the convolution has the gradients of one image, but it must be the sum over the batch too.",
    source="related: mlpack/mlpack #3679, right for a batch of one alone",
    shown_by="channels",
)
def db_of_the_last_image(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    dw, _ = backward_params(dout, x, w_shape, stride, pads, groups)
    return dw, dout[-1].sum(axis=(0, 1))


BEASTS = (
    dw_flipped,
    dw_mean_over_images,
    dw_mean_over_pixels,
    dw_of_the_last_image,
    dw_of_the_last_pixel,
    dw_padding_ignored,
    dw_stride_ignored,
    dw_groups_crossed,
    dw_groups_of_the_first_slice,
    db_mean_over_images,
    db_mean_over_pixels,
    db_wrong_axis,
    db_of_the_last_image,
)
