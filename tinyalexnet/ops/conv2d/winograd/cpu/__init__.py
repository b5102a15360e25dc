"""Winograd's convolution, compiled: ``plan`` has the sizes, ``transforms`` and ``schedules`` the kernels."""

import numpy as np

from .....devices.cpu.compiler import most_threads
from .....devices.cpu.memory import empty
from .....geometry import Pair, Window
from ...groups import by_groups, group_slices
from ..blocks import filters_from_blocks, filters_to_blocks
from ..kept import transformed
from ..matrices import Matrices, Tile
from .plan import (
    Blocks,
    ImageView,
    Limits,
    blocks_of,
    image_view,
    plan_accumulation,
    plan_convolution,
    sides,
    transposed,
)
from .schedules import accumulate_split, accumulate_staged, convolve_fused, convolve_staged
from .transforms import filters_from_points, filters_to_points

LIMITS = Limits()


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> np.ndarray:
    """Schedule: one group after the other, in place. Fused: parallel over tasks of one or a few chunks of strips, each
    transformed, multiplied and transformed back while it is in cache; the chunks of a task share one reading of U.
    Tasks read overlapping input and write separate output. Staged, for a small batch, whose chunks would have too few
    rows: one stage after the other, parallel over strips, over blocks of filters and points, and over strips."""
    x = np.ascontiguousarray(x)
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        u = _transformed(w, filters, window, tile, exchanged=False)
        src = image_view(x, channels, window.before(size), window.stride)
        _convolve(src, u, b[filters], tile, image_view(out, filters, (0, 0), (1, 1)), limits)
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
        u = _transformed(w, filters, window, tile, exchanged=True)
        no_bias = np.zeros(u.shape[1] * u.shape[3], dout.dtype)
        src = image_view(dout, filters, (tile.r[0] - 1 - shift_h, tile.r[1] - 1 - shift_w), (1, 1))
        dst = image_view(dx, channels, (rest_h, rest_w), window.stride)
        _convolve(src, u, no_bias, tile, dst, limits)
        if dst.channels < dx.shape[3]:
            dx[..., channels] = dst.rows.reshape(*dx.shape[:3], -1)
    return dx


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: one group after the other, in place. Split, if dU is small: each task has a slice of the strips and its
    own dU[p] += V[p]ᵀ dM[p], one chunk after the other, with dM = A dout Aᵀ; the copies are then added in order.
    Staged: as much of V and dM as fits the cache, parallel over strips; then, parallel over blocks of filters and
    points, the same sums. No two tasks write the same element, and the order of the additions does not depend on the
    threads. db is the sum of dM at the point where A sums up."""
    dout, x = np.ascontiguousarray(dout), np.ascontiguousarray(x)
    to_points = sides(tile.bt(x.dtype), tile.smaller.bt(x.dtype))
    from_pixels = sides(transposed(tile.at(x.dtype)), transposed(tile.smaller.at(x.dtype)))
    gt = transposed(tile.g(x.dtype))
    db = np.empty(dout.shape[3], x.dtype)

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        images = image_view(x, channels, window.before(x.shape[1:3]), window.stride)
        gradients = image_view(dout, filters, (0, 0), (1, 1))
        depth, blocks = window.stride[0] * images.row_size, blocks_of(gradients.row_size)
        plan = plan_accumulation(tile, dout.shape[0], dout.shape[1:3], depth, blocks, x.dtype.itemsize, limits)
        du = empty((plan.splits, tile.points, blocks.number, depth, blocks.width), x.dtype)
        sums = np.zeros((plan.splits, *blocks), x.dtype)
        tiles = plan.grid.chunk_strips * plan.grid.tiles_w
        if plan.splits > 1:
            scratch = empty((most_threads(), tiles * tile.points * (depth + blocks.filters)), x.dtype)
            accumulate_split(images, to_points, gradients, from_pixels, plan.grid, scratch, du, sums)
        else:
            v = empty((tile.points, tiles, depth), x.dtype)
            dm = empty((tile.points, blocks.number, tiles, blocks.width), x.dtype)
            accumulate_staged(images, to_points, gradients, from_pixels, plan.grid, v, dm, du[0], sums[0])
        dw = empty((*tile.r, depth, gradients.row_size), x.dtype)
        filters_from_points(du[0], sides(gt, gt), dw)
        db[filters] = sums[0].reshape(-1)[: gradients.row_size]
        return filters_from_blocks(dw, window)

    return by_groups(of_group, x.shape[3], dout.shape[3], groups), db


def _blocks(w: np.ndarray, filters: slice, window: Window) -> np.ndarray:
    return filters_to_blocks(np.ascontiguousarray(w[..., filters]), window.stride)


def _transformed(w: np.ndarray, filters: slice, window: Window, tile: Tile, exchanged: bool) -> np.ndarray:
    """U of a group's filters; of those of the adjoint, turned and with channels and filters ``exchanged``."""

    def transform() -> np.ndarray:
        g = tile.g(w.dtype)
        # Turning the filters is reading the columns of G backwards.
        return _transform_filters(
            _blocks(w, filters, window), (g[0][:, ::-1], g[1][:, ::-1]) if exchanged else g, exchanged
        )

    return transformed(w, (filters.start, filters.stop, window.stride, tile, exchanged), transform)


def _transform_filters(w: np.ndarray, g: Matrices, exchanged: bool) -> np.ndarray:
    """U = G w Gᵀ, (points, blocks, C, width of a block), of w (r_h, r_w, C, F), or (r_h, r_w, F, C) if ``exchanged``.

    The last block is filled up with zeros.
    """
    channels, filters = w.shape[3 if exchanged else 2], w.shape[2 if exchanged else 3]
    blocks = blocks_of(filters)
    u = empty((g[0].shape[0] * g[1].shape[0], blocks.number, channels, blocks.width), w.dtype)
    filters_to_points(w, exchanged, sides(g, g), u)
    return u


def _convolve(src: ImageView, u: np.ndarray, b: np.ndarray, tile: Tile, dst: ImageView, limits: Limits) -> None:
    """Convolves ``src`` with the filters U and writes ``dst``."""
    points, count, depth, width = u.shape
    blocks, dtype = Blocks(count, width), u.dtype
    bias = np.pad(b, (0, blocks.filters - b.size)).reshape(blocks)
    to_points = sides(tile.bt(dtype), tile.smaller.bt(dtype))
    to_pixels = sides(tile.at(dtype), tile.smaller.at(dtype))
    plan = plan_convolution(tile, dst.rows.shape[0], _size_in_blocks(dst), depth, blocks, dtype.itemsize, limits)
    tiles = plan.grid.chunk_strips * plan.grid.tiles_w
    if plan.fused:
        scratch = empty((most_threads(), tiles * points * (depth + blocks.filters)), dtype)
        convolve_fused(src, to_points, u, bias, to_pixels, plan.grid, scratch, dst)
    else:
        v = empty((points, tiles, depth), dtype)
        m = empty((points, count, tiles, width), dtype)
        convolve_staged(src, to_points, u, bias, to_pixels, plan.grid, v, m, dst)


def _size_in_blocks(view: ImageView) -> Pair:
    """Rows and columns of blocks of pixels that cover the images, with their padding."""
    _, height, elements = view.rows.shape
    width = elements // view.channels
    return -(-(height + view.pad_top) // view.stride_h), -(-(width + view.pad_left) // view.stride_w)
