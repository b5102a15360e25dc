"""Winograd's convolution, compiled: ``plan`` has the sizes, ``transforms`` and ``schedules`` the kernels."""

import numpy as np

from .....devices.cpu.compiler import most_threads
from .....devices.cpu.memory import empty
from .....devices.cpu.panels import DEPTH
from .....geometry import Pair, Window
from ...groups import by_groups, group_slices
from ..blocks import filters_from_blocks, filters_to_blocks
from ..kept import are_kept, transformed
from ..matrices import Tile
from .filters import filters_from_points, filters_to_points
from .plan import Filters, ImageView, Limits, image_view, plan_accumulation, plan_convolution, sides, transposed
from .schedules import (
    GRADIENT_DEPTH,
    accumulate_by_filters,
    accumulate_split,
    accumulate_staged,
    convolve_by_filters,
    convolve_fused,
    convolve_staged,
)

LIMITS = Limits()


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> np.ndarray:
    """Schedule: one group after the other, in place. Fused: parallel over tasks of one or a few chunks of strips, each
    transformed, multiplied and transformed back while it is in cache; the chunks of a task share one reading of U.
    Tasks read overlapping input and write separate output. For a small batch, whose chunks would have too few rows, the
    images are transformed first, parallel over strips. By filters: then a task makes U of its block of filters, a few
    channels at a time, multiplies by it and transforms back. Staged, if U is there already, or blocks of filters are
    not enough for all threads: products parallel over blocks of filters and points, and then over strips again."""
    x = np.ascontiguousarray(x)
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        src = image_view(x, channels, window.before(size), window.stride)
        dst = image_view(out, filters, (0, 0), (1, 1))
        _convolve(src, w, filters, window, tile, False, b[filters], dst, limits)
    return out


def conv2d_backward_input(
    dout: np.ndarray,
    w: np.ndarray,
    x_shape: tuple[int, ...],
    window: Window,
    groups: int,
    tile: Tile,
    limits: Limits = LIMITS,
) -> np.ndarray:
    """Schedule: the forward's. The adjoint of a convolution with stride 1 is a convolution of dout, padded by r - 1
    less the forward's padding, with the filters turned by 180° and channels and filters exchanged. So tasks need not
    add to each other's output."""
    dout = np.ascontiguousarray(dout)
    dx = empty(x_shape, dout.dtype)
    # Whole blocks of padding need no gradient: the tiles begin behind them, and dout has that much less padding.
    top, left = window.before(x_shape[1:3])
    shift_h, rest_h = divmod(top, window.stride[0])
    shift_w, rest_w = divmod(left, window.stride[1])
    for channels, filters in group_slices(x_shape[3], w.shape[3], groups):
        src = image_view(dout, filters, (tile.r[0] - 1 - shift_h, tile.r[1] - 1 - shift_w), (1, 1))
        dst = image_view(dx, channels, (rest_h, rest_w), window.stride)
        no_bias = np.zeros(dst.stride_h * dst.row_size, dout.dtype)
        _convolve(src, w, filters, window, tile, True, no_bias, dst, limits)
        if dst.channels < dx.shape[3]:
            dx[..., channels] = dst.rows.reshape(*dx.shape[:3], -1)
    return dx


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: one group after the other, in place. Split, if dU is small: each task has a slice of the strips and its
    own dU[p] += V[p]ᵀ dM[p], one chunk after the other, with dM = A dout Aᵀ; the copies are then added in order.
    By filters, if dU is large and the batch small: V, parallel over strips; then a task makes dM of its block of
    filters, and dU of a few channels at a time, which it transforms back. Staged: as much of V and dM as fits the
    cache, parallel over strips; then, parallel over blocks of filters and points, the same sums. No two tasks write the
    same element, and the order of the additions does not depend on the threads. db is the sum of dM at the point where
    A sums up."""
    dout, x = np.ascontiguousarray(dout), np.ascontiguousarray(x)
    db = np.empty(dout.shape[3], x.dtype)

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        images = image_view(x, channels, window.before(x.shape[1:3]), window.stride)
        dw, db[filters] = _accumulate(images, image_view(dout, filters, (0, 0), (1, 1)), dout.shape[1:3], tile, limits)
        return filters_from_blocks(dw, window)

    return by_groups(of_group, x.shape[3], dout.shape[3], groups), db


def _convolve(
    src: ImageView,
    w: np.ndarray,
    filters: slice,
    window: Window,
    tile: Tile,
    exchanged: bool,
    b: np.ndarray,
    dst: ImageView,
    limits: Limits,
) -> None:
    """Convolves ``src`` with a group's ``filters`` and writes ``dst``. ``exchanged``: the adjoint's filters, turned and
    with channels and filters exchanged."""
    dtype, depth, n = w.dtype, src.stride_h * src.row_size, dst.rows.shape[0]
    threads = None if are_kept() else most_threads()
    plan = plan_convolution(tile, n, _size_in_blocks(dst), depth, b.size, dtype.itemsize, limits, threads)
    blocks, tiles = plan.blocks, plan.grid.chunk_strips * plan.grid.tiles_w
    bias = np.pad(b, (0, blocks.filters - b.size)).reshape(blocks)
    to_points = sides(tile.bt(dtype), tile.smaller.bt(dtype))
    to_pixels = sides(tile.at(dtype), tile.smaller.at(dtype))

    g = tile.g(dtype)
    if exchanged:  # Turning the filters is reading the columns of G backwards.
        g = g[0][:, ::-1], g[1][:, ::-1]
    of_filters = sides(g, g)

    def made_of() -> Filters:
        of_group = filters_to_blocks(np.ascontiguousarray(w[..., filters]), window.stride)
        return Filters(np.ascontiguousarray(of_group), exchanged)

    if plan.schedule == "by_filters":
        v = empty((tile.points, tiles, depth), dtype)
        scratch = empty((most_threads(), tile.points * blocks.width * (tiles + min(depth, DEPTH))), dtype)
        convolve_by_filters(src, to_points, made_of(), of_filters, bias, to_pixels, plan.grid, v, scratch, dst)
        return

    def transform() -> np.ndarray:
        u = empty((tile.points, blocks.number, depth, blocks.width), dtype)
        filters_to_points(made_of(), of_filters, u)
        return u

    u = transformed(w, (filters.start, filters.stop, window.stride, tile, exchanged), transform)
    if plan.schedule == "fused":
        scratch = empty((most_threads(), tiles * tile.points * (depth + blocks.filters)), dtype)
        convolve_fused(src, to_points, u, bias, to_pixels, plan.grid, scratch, dst)
    else:
        v = empty((tile.points, tiles, depth), dtype)
        m = empty((tile.points, blocks.number, tiles, blocks.width), dtype)
        convolve_staged(src, to_points, u, bias, to_pixels, plan.grid, v, m, dst)


def _accumulate(
    images: ImageView, gradients: ImageView, size: Pair, tile: Tile, limits: Limits
) -> tuple[np.ndarray, np.ndarray]:
    """dw over blocks of pixels, and db, of a group's images and gradients, which have ``size``."""
    dtype, depth, filters = images.rows.dtype, images.stride_h * images.row_size, gradients.row_size
    to_points = sides(tile.bt(dtype), tile.smaller.bt(dtype))
    from_pixels = sides(transposed(tile.at(dtype)), transposed(tile.smaller.at(dtype)))
    gt = transposed(tile.g(dtype))
    n = images.rows.shape[0]
    schedule, grid, blocks, splits = plan_accumulation(
        tile, n, size, depth, filters, dtype.itemsize, limits, most_threads()
    )
    tiles = grid.chunk_strips * grid.tiles_w
    db = np.zeros((splits, *blocks), dtype)
    dw = empty((*tile.r, depth, filters), dtype)
    if schedule == "by_filters":
        v = empty((tile.points, tiles, depth), dtype)
        scratch = empty((most_threads(), tile.points * blocks.width * (tiles + min(depth, GRADIENT_DEPTH))), dtype)
        accumulate_by_filters(images, to_points, gradients, from_pixels, sides(gt, gt), grid, v, scratch, dw, db[0])
        return dw, db[0].reshape(-1)[:filters]
    du = empty((splits, tile.points, blocks.number, depth, blocks.width), dtype)
    if schedule == "split":
        scratch = empty((most_threads(), tiles * tile.points * (depth + blocks.filters)), dtype)
        accumulate_split(images, to_points, gradients, from_pixels, grid, scratch, du, db)
    else:
        v = empty((tile.points, tiles, depth), dtype)
        dm = empty((tile.points, blocks.number, tiles, blocks.width), dtype)
        accumulate_staged(images, to_points, gradients, from_pixels, grid, v, dm, du[0], db[0])
    filters_from_points(du[0], sides(gt, gt), dw)
    return dw, db[0].reshape(-1)[:filters]


def _size_in_blocks(view: ImageView) -> Pair:
    """Rows and columns of blocks of pixels that cover the images, with their padding."""
    _, height, elements = view.rows.shape
    width = elements // view.channels
    return -(-(height + view.pad_top) // view.stride_h), -(-(width + view.pad_left) // view.stride_w)
