"""The arithmetic of PTX instructions, on NumPy arrays with one element for each thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from warps import rounded

TYPES: dict[str, type] = {
    "pred": np.bool_,
    **dict.fromkeys(("u8", "b8"), np.uint8),
    **dict.fromkeys(("u16", "b16"), np.uint16),
    **dict.fromkeys(("u32", "b32"), np.uint32),
    **dict.fromkeys(("u64", "b64"), np.uint64),
    "s8": np.int8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}
"""The types of PTX; those without a sign or a meaning (b32) are unsigned integers here."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("eq", "equ"), np.equal),
    **dict.fromkeys(("ne", "neu"), np.not_equal),
    **dict.fromkeys(("lt", "ltu", "lo"), np.less),
    **dict.fromkeys(("le", "leu", "ls"), np.less_equal),
    **dict.fromkeys(("gt", "gtu", "hi"), np.greater),
    **dict.fromkeys(("ge", "geu", "hs"), np.greater_equal),
}
ROUNDED = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}
SAME_FOR_ALL_TYPES: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "abs": np.abs,
    "neg": np.negative,
    "min": np.minimum,
    "max": np.maximum,
    "mov": lambda a: a,
    "ex2": np.exp2,
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
    "lg2": np.log2,
    "selp": lambda a, b, p: np.where(p, a, b),
}


class KernelError(Exception):
    """A mistake of a kernel."""


def operation(parts: list[str]) -> Callable[..., Any]:
    """The function that an instruction computes, by the parts of its name, such as ["add", "f32"].

    ``approx`` is exact here, and small numbers are not flushed to 0.

    Errors
        NotImplementedError for an instruction that no kernel has used so far.
    """
    name, *modifiers = parts
    if parts == ["cvt", "rna", "tf32", "f32"]:
        return rounded
    dtype = np.dtype(TYPES[parts[-1]])
    if name in SAME_FOR_ALL_TYPES:
        return SAME_FOR_ALL_TYPES[name]
    if name == "setp":
        return _comparison(modifiers[0], dtype)
    if name == "cvt":
        return _conversion(modifiers[:-2], np.dtype(TYPES[modifiers[-2]]), dtype)
    if name == "mul":
        if "wide" in modifiers:
            return lambda a, b: np.multiply(a, b, dtype=f"{dtype.kind}{2 * dtype.itemsize}")
        return (lambda a, b: _high(a, b, dtype)) if "hi" in modifiers else np.multiply
    if name in ("fma", "mad"):
        return _fused(dtype, down="rm" in modifiers)
    if name == "div":
        return np.divide if dtype.kind == "f" else _quotient
    if name in ("shl", "shr"):
        return _shift(name, dtype)
    if name == "bfi":
        return _inserted
    raise NotImplementedError(".".join(parts))


def _comparison(name: str, dtype: np.dtype) -> Callable[[Any, Any], Any]:
    """Of floats, a name that ends in u (unordered) is true if one of them is NaN, any other name is false."""
    if dtype.kind != "f":
        return COMPARISONS[name]
    if name in ("nan", "num"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (name == "nan")
    compare = COMPARISONS[name]
    if name.endswith("u") and len(name) == 3:
        return lambda a, b: compare(a, b) | np.isnan(a) | np.isnan(b)
    return lambda a, b: compare(a, b) & ~(np.isnan(a) | np.isnan(b))


def _conversion(modifiers: list[str], target: np.dtype, source: np.dtype) -> Callable[[Any], Any]:
    def convert(a: Any) -> Any:
        if source.kind == "f":
            for mode in modifiers:
                a = ROUNDED[mode](a) if mode in ROUNDED else a
            if target.kind != "f":
                limits = np.iinfo(target)
                a = np.clip(np.nan_to_num(a.astype(np.longdouble)), limits.min, limits.max)
        if "sat" in modifiers:
            a = np.clip(np.nan_to_num(a, nan=0.0), 0, 1)
        return np.asarray(a).astype(target)

    return convert


def _fused(dtype: np.dtype, down: bool) -> Callable[[Any, Any, Any], Any]:
    """a b + c, rounded once; rarely twice, in float32 beyond 53 bits, in float64 beyond 64."""
    if dtype.kind != "f":
        return lambda a, b, c: a * b + c
    wide = np.float64 if dtype == np.float32 else np.longdouble

    def fused(a: Any, b: Any, c: Any) -> Any:
        exact = a.astype(wide) * b + c
        rounded = exact.astype(dtype)
        return np.where(rounded > exact, np.nextafter(rounded, dtype.type(-np.inf)), rounded) if down else rounded

    return fused


def _high(a: np.ndarray, b: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The upper half of the product's bits."""
    whole = a.astype(object) * b.astype(object)
    return np.asarray(whole >> 8 * dtype.itemsize).astype(dtype)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quotient of integers, rounded towards 0."""
    if (b == 0).any():
        raise KernelError("a division by 0")
    quotient = a // b
    return quotient + ((quotient < 0) & (quotient * b != a)).astype(quotient.dtype)


def _shift(name: str, dtype: np.dtype) -> Callable[[Any, Any], Any]:
    """A shift by all bits or more gives 0, or the sign."""
    bits = 8 * dtype.itemsize

    def shift(a: Any, by: Any) -> Any:
        inside = np.minimum(by, bits - 1).astype(dtype)
        shifted = np.left_shift(a, inside) if name == "shl" else np.right_shift(a, inside)
        return shifted if dtype.kind == "i" and name == "shr" else np.where(by < bits, shifted, dtype.type(0))

    return shift


def _inserted(a: np.ndarray, b: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """b, with ``length`` of its bits from ``start`` on replaced by the lowest bits of a."""
    mask = ((np.uint64(1) << length.astype(np.uint64)) - np.uint64(1)) << start.astype(np.uint64)
    return (b & ~mask) | (a << start.astype(np.uint64) & mask)
