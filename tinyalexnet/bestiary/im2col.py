"""im2col and its adjoint: one row per output pixel, one column per (kh, kw, c).

The package has neither. What is right is a convolution whose filters copy one element each: docs/conv2d.md.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import conv2d
from .loops import by_position, exchanged, meetings
from .pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from .subject import Case, Pool, Subject, wrong


def _im2col(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    filters = _copies(kernel, x.shape[3])
    length = filters.shape[3]
    window = Window(kernel, stride, pads)
    return conv2d.conv2d_forward(x, filters, np.zeros(length), window, 1, "gemm", REFERENCE).reshape(-1, length)


def _col2im(columns: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    filters = _copies(kernel, x_shape[3])
    window = Window(kernel, stride, pads)
    dout = columns.reshape(x_shape[0], *window.output_size((x_shape[1], x_shape[2])), filters.shape[3])
    return conv2d.conv2d_backward_input(dout, filters, x_shape, window, 1, "gemm", REFERENCE)


def _copies(kernel: Pair, channels: int) -> np.ndarray:
    """Filters (KH, KW, C, KH*KW*C), each with one weight of 1."""
    length = kernel[0] * kernel[1] * channels
    return np.eye(length).reshape(*kernel, channels, length)


def _pool(x: np.ndarray, columns: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    options = {"x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}
    return {"x": x, "columns": columns, **options}


def _columns_shape(x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> tuple[int, int]:
    n, h, w, c = x_shape
    out_h, out_w = out_size((h, w), kernel, stride, pads)
    return n * out_h * out_w, kernel[0] * kernel[1] * c


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    columns = integers(seed + 1, *_columns_shape(shape, kernel, stride, pads))
    return _pool(integers(seed, *shape), columns, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(image([1, 2, 3]), array([1, -2], [3, 4]), (1, 2), (1, 1), NONE)),
    Case("padded", _integers(71, (1, 2, 2, 1), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("channels", _integers(72, (1, 2, 2, 2), (2, 2), (1, 1), NONE)),
    Case("two-images", _integers(73, (2, 2, 3, 1), (2, 2), (1, 1), NONE)),
    Case("all", _integers(74, (2, 4, 3, 2), (3, 2), (2, 1), ((0, 2), (1, 0)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng, most=4)
    shape = (int(rng.integers(1, 3)), *size, int(rng.integers(1, 4)))
    return _pool(drawn(rng, *shape), drawn(rng, *_columns_shape(shape, kernel, stride, pads)), kernel, stride, pads)


def _rows(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    """Zeros for the windows: (N, OH, OW, KH, KW, C)."""
    n, h, w, c = x.shape
    return np.zeros((n, *out_size((h, w), kernel, stride, pads), *kernel, c))


@wrong(
    "columns",
    "im2col's columns are in the order (C, KH, KW), as in Caffe and CS231n, but here the channel must come last: "
    "(KH, KW, C).",
    source="the order of CS231n's assignment 2 and of BVLC/caffe, im2col",
    shown_by="channels",
)
def im2col_channels_first(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    rows = _rows(x, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], rows.shape[1:3], kernel, stride, pads):
        rows[:, oh, ow, kh, kw] = x[:, h, i]
    return rows.transpose(0, 1, 2, 5, 3, 4).reshape(-1, kernel[0] * kernel[1] * x.shape[3])


@wrong(
    "columns",
    "im2col's columns are in the order (KW, KH, C), but the kernel's rows must come first: (KH, KW, C).",
    source="no public sighting known",
    shown_by="channels",
)
def im2col_columns_before_rows(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    rows = _rows(x, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], rows.shape[1:3], kernel, stride, pads):
        rows[:, oh, ow, kh, kw] = x[:, h, i]
    return rows.swapaxes(3, 4).reshape(-1, kernel[0] * kernel[1] * x.shape[3])


@wrong(
    "columns",
    "im2col's rows are in the order (OH, OW, N), so the images take turns, but all windows of an image must come "
    "before those of the next: (N, OH, OW).",
    source="the order of CS231n's assignment 2, im2col",
    shown_by="two-images",
)
def im2col_images_last(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    rows = _rows(x, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], rows.shape[1:3], kernel, stride, pads):
        rows[:, oh, ow, kh, kw] = x[:, h, i]
    return rows.transpose(1, 2, 0, 3, 4, 5).reshape(-1, kernel[0] * kernel[1] * x.shape[3])


@wrong(
    "columns",
    "im2col's padding is on the wrong sides, bottom and right exchanged with top and left, but its first window "
    "must start at row -top and column -left.",
    source="no public sighting known",
    shown_by="padded",
)
def im2col_pads_exchanged(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    rows = _rows(x, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], rows.shape[1:3], kernel, stride, exchanged(pads)):
        rows[:, oh, ow, kh, kw] = x[:, h, i]
    return rows.reshape(-1, kernel[0] * kernel[1] * x.shape[3])


Shape = tuple[int, ...]


def _windows_of(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    """The columns as windows: (N, OH, OW, KH, KW, C)."""
    n, h, w, c = x_shape
    return columns.reshape(n, *out_size((h, w), kernel, stride, pads), *kernel, c)


@wrong(
    "dx",
    "col2im overwrites a pixel with its last copy (=), but im2col copied it into several rows, and their "
    "gradients must be added (+=).",
    source="proposed in pjreddie/darknet #2570",
    shown_by="row",
)
def col2im_assigns(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx, rows = np.zeros(x_shape), _windows_of(columns, x_shape, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], rows.shape[1:3], kernel, stride, pads):
        dx[:, h, i] = rows[:, oh, ow, kh, kw]
    return dx


@wrong(
    "dx",
    "col2im adds nothing: each kernel position overwrites what earlier ones wrote (=), but all copies of a pixel must "
    "be added (+=).",
    source="related: pjreddie/darknet #2570, row by row",
    shown_by="row",
)
def col2im_assigns_positions(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx, rows = np.zeros(x_shape), _windows_of(columns, x_shape, kernel, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in by_position(x_shape[1:3], rows.shape[1:3], kernel, stride, pads):
        dx[:, h, i] = rows[:, oh, ow, kh, kw]
    return dx


@wrong(
    "dx",
    "col2im averages the copies of a pixel, as when an image is put together again, but a gradient must be their sum.",
    source="the last step after PyTorch's nn.Fold, if it puts images together",
    shown_by="row",
)
def col2im_averages(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx, rows = np.zeros(x_shape), _windows_of(columns, x_shape, kernel, stride, pads)
    copies = np.zeros(x_shape)
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], rows.shape[1:3], kernel, stride, pads):
        dx[:, h, i] += rows[:, oh, ow, kh, kw]
        copies[:, h, i] += 1
    return dx / np.maximum(copies, 1)


@wrong(
    "dx",
    "col2im reads the columns in the order (C, KH, KW), but im2col wrote them in the order (KH, KW, C).",
    source="the order of CS231n's assignment 2, im2col",
    shown_by="channels",
)
def col2im_channels_first(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x_shape
    dx, rows = np.zeros(x_shape), columns.reshape(n, *out_size((h, w), kernel, stride, pads), c, *kernel)
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], rows.shape[1:3], kernel, stride, pads):
        dx[:, h, i] += rows[:, oh, ow, :, kh, kw]
    return dx


@wrong(
    "dx",
    "col2im reads the rows in the order (OH, OW, N), but im2col wrote them in the order (N, OH, OW).",
    source="the order of CS231n's assignment 2, im2col",
    shown_by="two-images",
)
def col2im_images_last(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x_shape
    dx, rows = np.zeros(x_shape), columns.reshape(*out_size((h, w), kernel, stride, pads), n, *kernel, c)
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], rows.shape[:2], kernel, stride, pads):
        dx[:, h, i] += rows[oh, ow, :, kh, kw]
    return dx


@wrong(
    "dx",
    "col2im does not crop the padding: dx is the top left corner of the padded gradient, but it must be the part "
    "from row top and column left on.",
    source="no public sighting known",
    shown_by="padded",
)
def col2im_not_cropped(columns: np.ndarray, x_shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx, rows = np.zeros(x_shape), _windows_of(columns, x_shape, kernel, stride, pads)
    corner = ((0, 0), (0, 0))
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], rows.shape[1:3], kernel, stride, corner):
        dx[:, h, i] += rows[:, oh, ow, kh, kw]
    return dx


SUBJECTS = (
    Subject(
        "im2col",
        ("x", "kernel", "stride", "pads"),
        ("columns",),
        _im2col,
        CASES,
        _draw,
        beasts=(im2col_channels_first, im2col_columns_before_rows, im2col_images_last, im2col_pads_exchanged),
    ),
    Subject(
        name="col2im",
        parameters=("columns", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_col2im,
        cases=CASES,
        draw=_draw,
        forward="im2col",
        gradients={"dx": "x"},
        upstream="columns",
        beasts=(
            col2im_assigns,
            col2im_assigns_positions,
            col2im_averages,
            col2im_channels_first,
            col2im_images_last,
            col2im_not_cropped,
        ),
    ),
)
