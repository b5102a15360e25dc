"""The terms of one element: which elements of which arrays it was computed from, and what they add up to.

Each operation has a ``terms.py`` beside its backends, with a function for every array that it computes. They are for
reading single elements, and compute nothing that the backends need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..geometry import Window

Index = tuple[int, ...]

SUM, LARGEST, QUOTIENT = "sum", "largest", "quotient"


@dataclass(frozen=True)
class Factor:
    """One factor of every term of a part.

    ``values`` (T,) has a number for each of T terms, in float64. ``indices`` (T, rank) says which elements of the array
    called ``array`` they come from; a constant has no array. ``text`` is the factor as the formula writes it.
    ``dtype`` is that of the array if the values are its elements, and None if they are computed from them.
    """

    text: str
    values: np.ndarray
    array: str = ""
    indices: np.ndarray | None = None
    dtype: np.dtype | None = None


@dataclass(frozen=True)
class Part:
    """Terms that have the same factors. ``products`` (T,) are in float64; for float32 factors they are exact.

    ``text`` says what the part is, if an element has more than one. ``fold`` is the name of an index and its value in
    each term, such as ("c", channels), by which many terms can be added up.
    """

    factors: tuple[Factor, ...]
    products: np.ndarray
    text: str = ""
    fold: tuple[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Terms:
    """How an element is made of its parts.

    ``operation`` is SUM: the sum of all terms of all parts; LARGEST: the largest of them; QUOTIENT: the sum of the
    first part divided by the sum of the second. ``formula`` has the names of the indices, ``filled`` their
    values. ``roundings`` counts the operations that round in each term, beside the products and their sum, and
    ``absolute_roundings`` those that round by a unit of 1, whatever the size of the terms. ``computed_in`` is the dtype
    in which they round, if not that of the element. With ``bounded=False`` the element was computed in another way, for
    which ``bound`` does not hold.
    """

    formula: str
    filled: str
    parts: tuple[Part, ...]
    operation: str = SUM
    roundings: int = 0
    absolute_roundings: int = 0
    computed_in: np.dtype | None = None
    bounded: bool = True
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of terms."""
        return sum(part.products.size for part in self.parts)

    def value(self) -> float:
        """The element, computed from the terms with one rounding to float64. A NaN is larger than every number."""
        if self.operation == LARGEST:
            return float(self.products().max())
        if self.operation == QUOTIENT:
            return exact_sum(self.parts[0].products) / exact_sum(self.parts[1].products)
        return exact_sum(self.products())

    def products(self) -> np.ndarray:
        """Those of all parts, one after the other."""
        return np.concatenate([part.products for part in self.parts])

    def bound(self, dtype: np.dtype) -> float:
        """How far from ``value`` the same sum can be in the arithmetic of ``dtype``, in any order.

        gamma_n Σ |term| with gamma_n = n u / (1 - n u), where each term goes through up to n operations that round
        (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1), and what is too small for a
        normal number may become 0, n times. A maximum does not round.
        """
        if self.operation == LARGEST:
            return 0.0
        n, numbers = self.count + self.roundings, np.finfo(dtype)
        unit, smallest = float(numbers.eps) / 2, float(numbers.tiny)
        size = abs(self.value()) if self.operation == QUOTIENT else exact_sum(np.abs(self.products()))
        if n * unit >= 1:
            return math.inf
        return n * unit / (1 - n * unit) * size + n * smallest + self.absolute_roundings * unit


def exact_sum(values: np.ndarray) -> float:
    """The sum, rounded once; infinities and NaNs as floats add them."""
    if np.isfinite(values).all():
        with suppress(OverflowError):
            return math.fsum(values.tolist())
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.sum())


def product(factors: Sequence[Factor], text: str = "", fold: tuple[str, np.ndarray] | None = None) -> Part:
    """A part whose terms are the products of their factors."""
    with np.errstate(over="ignore", invalid="ignore"):
        products = np.multiply.reduce([factor.values for factor in factors])
    return Part(tuple(factors), np.asarray(products, np.float64), text, fold)


def elements(name: str, array: np.ndarray, indices: np.ndarray, text: str = "") -> Factor:
    """The elements of an array at ``indices`` (T, rank), as a factor."""
    values = array[tuple(indices.T)].astype(np.float64)
    return Factor(text or name, values, name, indices, array.dtype)


def constant(text: str, value: float, count: int) -> Factor:
    """The same number in every term."""
    return Factor(text, np.full(count, value, np.float64))


def grid(*axes: np.ndarray | Sequence[int] | int) -> np.ndarray:
    """Every combination of the axes' values, row-major: (T, rank)."""
    meshes = np.meshgrid(*(np.atleast_1d(np.asarray(axis, np.int64)) for axis in axes), indexing="ij")
    return np.stack([mesh.ravel() for mesh in meshes], axis=1)


def pixels_of(window: Window, size: tuple[int, ...], output: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The kernel positions of the window at an output pixel whose pixel is inside the image.

    Shapes
        ``size`` (H, W) of the image, ``output`` (oh, ow) -> kh, kw, and the rows h and columns i that they meet.
    """
    kernels, pixels = [], []
    for axis in (0, 1):
        kernel = np.arange(window.kernel[axis])
        pixel = output[axis] * window.stride[axis] + kernel - window.before(size)[axis]
        inside = (pixel >= 0) & (pixel < size[axis])
        kernels.append(kernel[inside])
        pixels.append(pixel[inside])
    return kernels[0], kernels[1], pixels[0], pixels[1]


def outputs_over(window: Window, size: tuple[int, ...], pixel: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The output pixels whose windows have an image's pixel in them, and the kernel positions at which they do.

    Shapes
        ``size`` (H, W) of the image, ``pixel`` (h, i) -> kh, kw, and the rows oh and columns ow of the outputs.
    """
    kernels, outputs = [], []
    out_size = window.output_size((size[0], size[1]))
    for axis in (0, 1):
        kernel = np.arange(window.kernel[axis])
        shifted = pixel[axis] + window.before(size)[axis] - kernel
        output = shifted // window.stride[axis]
        meets = (shifted % window.stride[axis] == 0) & (output >= 0) & (output < out_size[axis])
        kernels.append(kernel[meets])
        outputs.append(output[meets])
    return kernels[0], kernels[1], outputs[0], outputs[1]


def outputs_at(window: Window, size: tuple[int, ...], kernel: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The output pixels for which a kernel position is inside the image.

    Shapes
        ``size`` (H, W) of the image, ``kernel`` (kh, kw) -> the rows oh and columns ow of the outputs, and the rows h
        and columns i of the pixels that the position meets there.
    """
    outputs, pixels = [], []
    out_size = window.output_size((size[0], size[1]))
    for axis in (0, 1):
        output = np.arange(out_size[axis])
        pixel = output * window.stride[axis] + kernel[axis] - window.before(size)[axis]
        inside = (pixel >= 0) & (pixel < size[axis])
        outputs.append(output[inside])
        pixels.append(pixel[inside])
    return outputs[0], outputs[1], pixels[0], pixels[1]


def filled(name: str, index: Sequence[int | str]) -> str:
    """An element as text: ``x[0,2,2,1]``."""
    return f"{name}[{','.join(map(str, index))}]"


def offset(base: int, name: str) -> str:
    """``base + name`` as one writes it: "kh", "8 + kh", "kh - 2"."""
    if base > 0:
        return f"{base} + {name}"
    return f"{name} - {-base}" if base else name


def one_of(array: np.ndarray, name: str, index: Sequence[int], text: str = "") -> Factor:
    """A single element as a factor."""
    return elements(name, array, np.array([index], np.int64).reshape(1, len(index)), text)


def moved(name: str, index: Index, of: str, array: np.ndarray, shape: tuple[int, ...]) -> Terms:
    """The terms of an element that is only in another place: the same one of ``array`` in the order of ``shape``."""
    before = tuple(int(i) for i in np.unravel_index(np.ravel_multi_index(index, shape), array.shape))
    part = product([one_of(array, of, before)])
    return Terms(f"{name} = {of}, in another shape", f"{filled(name, index)} = {filled(of, before)}", (part,))
