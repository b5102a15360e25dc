"""The dense layer of many vectors, compiled: products with panels, into which a kernel copies one of the factors.

The rows of w are far apart in memory, and lines a power of two apart have the same place in a cache. So a tile reads a
copy of PANEL columns, whose rows follow each other; and a task goes through ROWS rows of w or dw at a time. With
enough vectors the copy costs little.
"""

import numba
import numpy as np

from ...devices.cpu.compiler import inner, parallel, slice_bounds
from ...devices.cpu.memory import empty
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.recording import contiguous
from ...devices.cpu.vectors import empty_in_lines
from .cpu_slices import add_slices

PANEL = 64
"""Columns of a panel: those of the widest tile, in float32."""

ROWS, COLUMNS = 48, 1024
"""Rows of w or dw that a task goes through at a time, and columns of w: 192 KB, which stay in a core's second cache."""


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, sums: np.ndarray, out: np.ndarray) -> None:
    """Schedule: parallel over slices of the inputs; each copies its rows of a panel of w, and makes a partial sum of
    all vectors. A second loop, parallel over the vectors, adds the partial sums in order."""
    _forward(x, w, b, sums, out)


def backward_input(dout: np.ndarray, w: np.ndarray, slices: int, dx: np.ndarray) -> None:
    """Schedule: parallel over slices of the inputs; each computes its rows of dxᵀ = w doutᵀ, in which w is read row by
    row, and writes them as columns of dx."""
    _backward_input(contiguous(dout.T), w, slices, dx)


def backward_params(dout: np.ndarray, x: np.ndarray, slices: int, dw: np.ndarray) -> None:
    """Schedule: copies dout, parallel over its panels; then parallel over slices of the inputs, each of which writes
    its own rows of dw."""
    panels = empty((-(-dw.shape[1] // PANEL), len(x), PANEL), x.dtype)
    _backward_params(dout, x, slices, panels, dw)


@inner
def _copy_columns(matrix, left, panel):  # type: ignore[no-untyped-def]
    """PANEL columns, or those that are left, into a panel; and how many they are."""
    right = min(left + PANEL, matrix.shape[1])
    for i in range(matrix.shape[0]):
        source, target = matrix[i, left:right], panel[i, : right - left]
        for j in range(source.size):
            target[j] = source[j]
    return right - left


@parallel
def _forward(x, w, b, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        panel = empty_in_lines((end - begin) * PANEL, x.dtype).reshape(end - begin, PANEL)
        for left in range(0, w.shape[1], PANEL):
            width = _copy_columns(w[begin:end], left, panel)
            add_panel_product(x[:, begin:end], panel[:, :width], False, sums[index, :, left : left + width])
    for n in numba.prange(out.shape[0]):
        add_slices(b, sums, n, out[n])


@parallel
def _backward_input(dout, w, slices, dx):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        some = empty_in_lines(ROWS * dx.shape[0], dx.dtype).reshape(ROWS, dx.shape[0])
        for top in range(begin, end, ROWS):
            bottom = min(top + ROWS, end)
            turned = some[: bottom - top]
            for left in range(0, w.shape[1], COLUMNS):
                right = min(left + COLUMNS, w.shape[1])
                add_panel_product(w[top:bottom, left:right], dout[left:right], left > 0, turned)
            for n in range(dx.shape[0]):
                row = dx[n, top:bottom]
                for i in range(row.size):
                    row[i] = turned[i, n]


@parallel
def _backward_params(dout, x, slices, panels, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(panels.shape[0]):
        _copy_columns(dout, np.intp(index) * PANEL, panels[index])
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, dw.shape[0])
        for top in range(begin, end, ROWS):
            bottom = min(top + ROWS, end)
            for number in range(panels.shape[0]):
                left = number * PANEL
                right = min(left + PANEL, dw.shape[1])
                factors = panels[number, :, : right - left]
                add_panel_product(x[:, top:bottom].T, factors, False, dw[top:bottom, left:right])
