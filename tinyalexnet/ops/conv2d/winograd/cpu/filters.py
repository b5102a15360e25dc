"""The transforms of filters, compiled: U of filters, and the filters' gradient of dU."""

from typing import Any

import numba
import numpy as np
from numba import types

from .....devices.cpu.by_name import by_name
from .....devices.cpu.compiler import inner, parallel
from .....devices.cpu.copies import copy_elements, fetch_elements
from .....devices.cpu.vectors import empty_in_lines
from .combine import combine
from .plan import Filters
from .transforms import offsets, sides_of

CHANNELS = 8
"""Channels of a block of filters that are transformed at a time: these rows fit the fastest cache."""


@by_name(lambda real: (sides_of(real), *2 * [types.Array(real, 1, "C"), types.intp, types.intp], types.intp))
def _transform_rows(sides, source, source_start, source_pitch, target, target_start, target_pitch, size):  # type: ignore[no-untyped-def]
    """target[a, b] = Σ_ij left[a, i] source[i, j] right[b, j], for rows of ``size`` elements.

    Row [i, j] begins at ``source_start + (i * terms_w + j) * source_pitch``; likewise in the target.
    """
    half = empty_in_lines(sides.terms_w * size, source.dtype)
    down, across = offsets(sides.terms_h, sides.terms_w * source_pitch), offsets(sides.terms_w, size)
    for a in range(sides.rows_h):
        for j in range(sides.terms_w):
            read = source_start + j * source_pitch, 0
            combine(sides.left, a, sides.terms_h, down, source, read, half, (j * size, 0), (1, size))
        for b in range(sides.rows_w):
            place = target_start + (a * sides.rows_w + b) * target_pitch, 0
            combine(sides.right, b, sides.terms_w, across, half, (0, 0), target, place, (1, size))


def _filters(real: Any) -> Any:
    return types.NamedTuple([types.Array(real, 4, "C"), types.boolean, types.intp], Filters)


@by_name(lambda real: (_filters(real), sides_of(real), *4 * [types.intp], types.Array(real, 1, "C"), *2 * [types.intp]))
def transform_filters(filters, sides, block_width, first_filter, first_channel, count, target, start, pitch):  # type: ignore[no-untyped-def]
    """U = G w Gᵀ of ``count`` channels and a block of filters; past the last filter zeros.

    Point p is written to ``target`` from ``start + p * pitch`` on, (count, block_width).
    """
    w, exchanged, _ = filters
    r_h, r_w, rows, columns = w.shape
    all_filters, all_channels = (rows, columns) if exchanged else (columns, rows)
    end = min(first_filter + block_width, all_filters)
    for first in range(first_channel, first_channel + count, CHANNELS):
        channels = min(CHANNELS, first_channel + count - first)
        some = empty_in_lines(r_h * r_w * channels * block_width, w.dtype).reshape(r_h, r_w, channels, block_width)
        some[:] = 0
        for i in range(r_h):
            for j in range(r_w):
                if exchanged:
                    for f in range(end - first_filter):
                        fetch_elements(w[i, j, first_filter + f], first + CHANNELS, CHANNELS)
                        column = w[i, j, first_filter + f, first : first + channels]
                        for c in range(channels):
                            some[i, j, c, f] = column[c]
                else:
                    for c in range(channels):
                        if first + CHANNELS + c < all_channels:
                            fetch_elements(w[i, j, first + CHANNELS + c], first_filter, end - first_filter)
                        copy_elements(w[i, j, first + c], first_filter, some[i, j, c], 0, end - first_filter)
        size, before = channels * block_width, (first - first_channel) * block_width
        _transform_rows(sides, some.reshape(-1), 0, size, target, start + before, pitch, size)


@parallel
def filters_to_points(filters, sides, u):  # type: ignore[no-untyped-def]
    """U of all filters: one task for each block of filters and CHANNELS channels."""
    _, blocks, channels, block_width = u.shape
    slices = (channels + CHANNELS - 1) // CHANNELS
    for task in numba.prange(blocks * slices):
        block, channel_slice = divmod(np.intp(task), slices)
        first = channel_slice * CHANNELS
        start, pitch = (block * channels + first) * block_width, blocks * channels * block_width
        count = min(CHANNELS, channels - first)
        transform_filters(filters, sides, block_width, block * block_width, first, count, u.reshape(-1), start, pitch)


@inner
def restore_filters(du, start, pitch, sides, block_width, first_filter, first_channel, count, dw):  # type: ignore[no-untyped-def]
    """dw = Gᵀ dU G of ``count`` channels and a block of filters: the adjoint of ``transform_filters``.

    Point p of dU is in ``du`` from ``start + p * pitch`` on, (count, block_width).
    """
    r_h, r_w, _, filters = dw.shape
    end = min(first_filter + block_width, filters)
    for first in range(first_channel, first_channel + count, CHANNELS):
        channels = min(CHANNELS, first_channel + count - first)
        some = empty_in_lines(r_h * r_w * channels * block_width, dw.dtype).reshape(r_h, r_w, channels, block_width)
        size, before = channels * block_width, (first - first_channel) * block_width
        _transform_rows(sides, du, start + before, pitch, some.reshape(-1), 0, size, size)
        for i in range(r_h):
            for j in range(r_w):
                for c in range(channels):
                    copy_elements(some[i, j, c], 0, dw[i, j, first + c], first_filter, end - first_filter)


@parallel
def filters_from_points(du, sides, dw):  # type: ignore[no-untyped-def]
    """dw of all filters: one task for each block of filters and CHANNELS channels."""
    _, blocks, channels, block_width = du.shape
    slices = (channels + CHANNELS - 1) // CHANNELS
    for task in numba.prange(blocks * slices):
        block, channel_slice = divmod(np.intp(task), slices)
        first = channel_slice * CHANNELS
        start, pitch = (block * channels + first) * block_width, blocks * channels * block_width
        count = min(CHANNELS, channels - first)
        restore_filters(du.reshape(-1), start, pitch, sides, block_width, block * block_width, first, count, dw)
