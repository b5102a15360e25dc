"""Winograd's convolution, compiled: ``plan`` has the sizes, ``transforms`` and ``schedules`` the kernels."""

import math

import numpy as np

from .....devices.cpu.compiler import most_threads
from .....devices.cpu.memory import empty
from .....devices.cpu.panels import DEPTH
from .....devices.cpu.recording import contiguous, done, joined, made, not_again
from .....geometry import Pair, Window
from ...groups import by_groups, group_slices
from ..blocks import filters_from_blocks, filters_to_blocks
from ..kept import are_kept, transformed
from ..matrices import Tile
from . import sides
from .filters import filters_from_points, filters_to_points
from .plan import (
    AccumulationPlan,
    Blocks,
    ConvolutionPlan,
    Filters,
    Images,
    ImageView,
    Limits,
    Sizes,
    image_view,
    plan_accumulation,
    plan_convolution,
)
from .schedules import (
    GRADIENT_DEPTH,
    accumulate_by_filters,
    accumulate_split,
    accumulate_staged,
    convolve_by_filters,
    convolve_fused,
    convolve_staged,
)
from .sides import Sides

LIMITS = Limits()


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> np.ndarray:
    """Schedule: one group after the other, in place, or by filters all at once. Fused: parallel over tasks of one or a
    few chunks of strips, each transformed, multiplied and transformed back while it is in cache; the chunks of a task
    share one reading of U. Tasks read overlapping input and write separate output. For a small batch, whose chunks
    would have too few rows, the images are transformed first, parallel over strips. By filters: then a task makes U of
    its block of filters, a few channels at a time, multiplies by it and transforms back. Staged, if U is there already,
    or blocks of filters are not enough for all threads: products parallel over blocks of filters and points, and then
    over strips again."""
    x = contiguous(x)
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    src, dst = Images(x, window.before(size), window.stride), Images(out, (0, 0), (1, 1))
    _convolve(src, Filters(w, False, groups), b, window.stride, tile, dst, limits)
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
    dout = contiguous(dout)
    dx = empty(x_shape, dout.dtype)
    # Whole blocks of padding need no gradient: the tiles begin behind them, and dout has that much less padding.
    top, left = window.before(x_shape[1:3])
    shift_h, rest_h = divmod(top, window.stride[0])
    shift_w, rest_w = divmod(left, window.stride[1])
    src = Images(dout, (tile.r[0] - 1 - shift_h, tile.r[1] - 1 - shift_w), (1, 1))
    dst = Images(dx, (rest_h, rest_w), window.stride)
    no_bias = made(np.zeros, math.prod(window.stride) * x_shape[3], dout.dtype)
    _convolve(src, Filters(w, True, groups), no_bias, window.stride, tile, dst, limits)
    return dx


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int, tile: Tile, limits: Limits = LIMITS
) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: one group after the other, in place, or by filters all at once. Split, if dU is small: each task has a
    slice of the strips and its own dU[p] += V[p]ᵀ dM[p], one chunk after the other, with dM = A dout Aᵀ; the copies are
    then added in order. By filters, if dU is large and the batch small: V, parallel over strips; then a task makes dM
    of its block of filters, and dU of a few channels at a time, which it transforms back. Staged: as much of V and dM
    as fits the cache, parallel over strips; then, parallel over blocks of filters and points, the same sums. No two
    tasks write the same element, and the order of the additions does not depend on the threads. db is the sum of dM at
    the point where A sums up."""
    dout, x = contiguous(dout), contiguous(x)
    images, gradients = Images(x, window.before(x.shape[1:3]), window.stride), Images(dout, (0, 0), (1, 1))
    threads = most_threads() if _has_neighbours(groups, window.stride) else None
    depth, filters = math.prod(window.stride) * x.shape[3] // groups, dout.shape[3] // groups
    sizes = Sizes(tile, x.shape[0], dout.shape[1:3], depth, filters, groups, x.dtype.itemsize)
    plan = plan_accumulation(sizes, limits, threads)
    db = np.empty(dout.shape[3], x.dtype)

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        views = image_view(images, channels), image_view(gradients, filters)
        dw, of_bias = _accumulate(*views, tile, plan, at_once)
        done(np.copyto, db[filters], of_bias)
        return made(filters_from_blocks, dw, window)

    at_once = groups if plan.schedule == "by_filters" else 1
    return by_groups(of_group, x.shape[3], db.size, groups // at_once, joined), db


def _convolve(
    src: Images, filters: Filters, b: np.ndarray, stride: Pair, tile: Tile, dst: Images, limits: Limits
) -> None:
    """Convolves ``src`` with filters (KH, KW, C, F) and writes ``dst``."""
    (w, exchanged, groups), dtype = filters, filters.w.dtype
    depth = math.prod(src.stride) * src.array.shape[3] // groups
    threads = most_threads() if _has_neighbours(groups, stride) and not are_kept() else None
    if are_kept():
        not_again()
    sizes = Sizes(tile, len(dst.array), dst.size_in_blocks(), depth, b.size // groups, groups, dtype.itemsize)
    plan = plan_convolution(sizes, limits, threads)
    of_images = sides.to_points(tile, dtype), sides.to_pixels(tile, dtype)
    of_w = sides.of_filters(tile, dtype, exchanged)
    if plan.schedule == "by_filters":
        view, target = image_view(src, slice(0, src.array.shape[3])), image_view(dst, slice(0, dst.array.shape[3]))
        whole = Filters(_in_blocks(w, stride), exchanged, groups)
        bias = _padded(b, Blocks(groups * plan.blocks.number, plan.blocks.width))
        tiles = plan.grid.strips * plan.grid.tiles_w
        v = empty((tile.points, tiles, groups * depth), dtype)
        scratch = empty((most_threads(), tile.points * plan.blocks.width * (tiles + min(depth, DEPTH))), dtype)
        convolve_by_filters(view, of_images[0], whole, of_w, bias, of_images[1], plan.grid, v, scratch, target)
        return
    slices = group_slices(src.array.shape[3], dst.array.shape[3], groups)
    for of_group, (read, written) in zip(b.reshape(groups, -1), slices, strict=True):
        chosen = read if exchanged else written

        def transform(chosen: slice = chosen) -> np.ndarray:
            some = Filters(_in_blocks(w[..., chosen], stride), exchanged, 1)
            u = empty((tile.points, plan.blocks.number, depth, plan.blocks.width), dtype)
            filters_to_points(some, of_w, u)
            return u

        u = transformed(w, (chosen.start, chosen.stop, stride, tile, exchanged), transform)
        target = image_view(dst, written)
        _convolve_group(image_view(src, read), u, of_group, plan, of_images, target)
        if target.channels < dst.array.shape[3]:
            done(np.copyto, dst.array[..., written], target.rows.reshape(*dst.array.shape[:3], -1))


def _convolve_group(
    src: ImageView, u: np.ndarray, b: np.ndarray, plan: ConvolutionPlan, of_images: tuple[Sides, Sides], dst: ImageView
) -> None:
    """Convolves a group with its U and writes ``dst``; ``of_images`` are the transforms of ``src`` and of M."""
    points, _, depth, width = u.shape
    tiles, bias = plan.grid.chunk_strips * plan.grid.tiles_w, _padded(b, plan.blocks)
    if plan.schedule == "fused":
        scratch = empty((most_threads(), tiles * points * (depth + bias.size)), u.dtype)
        convolve_fused(src, of_images[0], u, bias, of_images[1], plan.grid, scratch, dst)
    else:
        v = empty((points, tiles, depth), u.dtype)
        m = empty((points, plan.blocks.number, tiles, width), u.dtype)
        convolve_staged(src, of_images[0], u, bias, of_images[1], plan.grid, v, m, dst)


def _has_neighbours(groups: int, stride: Pair) -> bool:
    """If a group's channels are neighbours in a block of pixels, so that all groups can be transformed at once."""
    return groups == 1 or stride == (1, 1)


def _in_blocks(w: np.ndarray, stride: Pair) -> np.ndarray:
    return made(filters_to_blocks, contiguous(w), stride)


def _padded(b: np.ndarray, blocks: Blocks) -> np.ndarray:
    """A bias for each filter of the blocks; those that fill them up have 0."""
    padded = made(np.zeros, blocks, b.dtype)
    done(np.copyto, padded.reshape(-1)[: b.size], b)
    return padded


def _accumulate(
    images: ImageView, gradients: ImageView, tile: Tile, plan: AccumulationPlan, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """dw over blocks of pixels, and db, of the images and the gradients of a group, or by filters of all ``groups``."""
    dtype, channels, filters = images.rows.dtype, images.stride_h * images.row_size, gradients.row_size
    to_points, from_pixels = sides.to_points(tile, dtype), sides.from_pixels(tile, dtype)
    of_filters = sides.to_filters(tile, dtype)
    schedule, grid, blocks, splits = plan
    tiles = grid.chunk_strips * grid.tiles_w
    dw = empty((*tile.r, channels // groups, filters), dtype)
    db = made(np.zeros, (splits, groups * blocks.number, blocks.width), dtype)
    if schedule == "split":
        scratch = empty((most_threads(), tiles * tile.points * (channels + blocks.filters)), dtype)
        du = empty((splits, tile.points, blocks.number, channels, blocks.width), dtype)
        accumulate_split(images, to_points, gradients, from_pixels, grid, scratch, du, db)
        filters_from_points(du[0], of_filters, dw)
        return dw, db[0].reshape(-1)[:filters]
    v = empty((tile.points, tiles, channels), dtype)
    if schedule == "by_filters":
        of_task = tile.points * blocks.width * (tiles + min(channels // groups, GRADIENT_DEPTH))
        scratch = empty((most_threads(), of_task), dtype)
        accumulate_by_filters(images, to_points, gradients, from_pixels, of_filters, grid, v, scratch, dw, db[0])
    else:
        dm = empty((tile.points, blocks.number, tiles, blocks.width), dtype)
        du = empty((1, tile.points, blocks.number, channels, blocks.width), dtype)
        accumulate_staged(images, to_points, gradients, from_pixels, grid, v, dm, du[0], db[0])
        filters_from_points(du[0], of_filters, dw)
    return dw, db[0].reshape(-1)[:filters]
