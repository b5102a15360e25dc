"""Why two arrays that should be equal are not: a constant ratio, a map of the wrong elements, the terms of one sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Index = tuple[int, ...]

MEANINGS = {
    -1.0: "the sign is turned",
    2.0: "it is added twice, or the 2 of a derivative of a square is left in",
    0.5: "it is halved: the mean of two, or a 2 is missing",
}
"""What a constant ratio usually means, whatever the sizes are."""

RATIO_ROUNDING = 1e-9
"""Elements have the same ratio if they differ by less than this from it, relative to the largest of them."""

MOST_ROWS, MOST_COLUMNS = 12, 24
"""A map shows at most this part of an image, around the first wrong element."""

MOST_TERMS = 12
"""A sum is written out with at most this many terms."""


def index_text(name: str, index: Index) -> str:
    """An element as it is written in Python: ``dx[0,1,2,0]``; the name alone if there is no index."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def number(value: float) -> str:
    """A number in few characters: integers without a point, others with six digits."""
    # + 0 because -0.0 is 0 to a reader.
    return f"{value + 0:.0f}" if value % 1 == 0 and abs(value) < 1e15 else f"{value:.6g}"


def wrong_elements(found: np.ndarray, right: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """True where the elements differ by more than the tolerance, relative to the largest right one; a NaN differs."""
    allowed = tolerance * np.max(np.abs(right), initial=0.0)
    return np.asarray(~(np.abs(np.subtract(found, right)) <= allowed))


def constant_ratio(found: np.ndarray, right: np.ndarray, rounding: float = RATIO_ROUNDING) -> float | None:
    """found / right if it is the same for all elements, and not 1; None if it is not, or if there are no two.

    Elements that are 0 in both say nothing; one that is 0 in one of them alone has no common ratio with the others.
    """
    found, right = np.asarray(found, np.float64).ravel(), np.asarray(right, np.float64).ravel()
    some = np.flatnonzero((found != 0) | (right != 0))
    if len(some) < 2 or (found[some] == 0).any() or (right[some] == 0).any():
        return None
    ratios = found[some] / right[some]
    ratio = float(np.median(ratios))
    # Elements that are nearly 0 have few right digits, so differences count against the largest element.
    deviation = np.abs(found[some] - ratio * right[some])
    if not math.isfinite(ratio) or (deviation > rounding * np.abs(found[some]).max()).any():
        return None
    return ratio if abs(ratio - 1) > rounding else None


def ratio_sentence(
    found: np.ndarray, right: np.ndarray, meanings: Mapping[str, float] | None = None, rounding: float = RATIO_ROUNDING
) -> str | None:
    """One sentence if each element is the right one times the same factor, with what that usually means.

    ``meanings`` has more factors by what they mean, such as {"a mean over the 4 images": 0.25}. None without such a
    factor.
    """
    ratio = constant_ratio(found, right, rounding)
    if ratio is None:
        return None
    known = [meaning for meaning, factor in (meanings or {}).items() if math.isclose(ratio, factor, rel_tol=1e-6)]
    general = [meaning for factor, meaning in MEANINGS.items() if math.isclose(ratio, factor, rel_tol=1e-6)]
    usual = " or ".join(known or general)
    inverse = f" = 1/{number(1 / ratio)}" if abs(ratio) < 1 and math.isclose(1 / ratio, round(1 / ratio)) else ""
    sentence = f"Each element is {number(ratio)}{inverse} times the right one"
    return f"{sentence}: usually {usual}." if usual else f"{sentence}."


def element_map(wrong: np.ndarray, index: Index, name: str = "", channels_first: bool = False) -> list[str]:
    """Rows and columns of the image and channel that ``index`` is in: ``.`` right, ``x`` wrong, ``X`` this element.

    Images (N, H, W, C) have a map of axes 1 and 2, filters (KH, KW, C, F), called w or dw, of axes 0 and 1, a matrix of
    both axes, and a vector is one row. With ``channels_first`` images are (N, C, H, W) and filters (F, C, KH, KW), and
    the map is of axes 2 and 3. A large map shows the part around the element.
    """
    rows, columns = map_axes(name, wrong.ndim, channels_first)
    plane = [slice(None) if axis in (rows, columns) else at for axis, at in enumerate(index)]
    flat = np.atleast_2d(wrong[tuple(plane)])
    row, column = (index[rows] if rows is not None else 0), (index[columns] if columns is not None else 0)
    top, left = _part(row, flat.shape[0], MOST_ROWS), _part(column, flat.shape[1], MOST_COLUMNS)
    lines = []
    for h in range(top, min(top + MOST_ROWS, flat.shape[0])):
        line = ["X" if (h, i) == (row, column) else "x" if flat[h, i] else "." for i in range(left, flat.shape[1])]
        more = " ..." if len(line) > MOST_COLUMNS else ""
        lines.append(" ".join(line[:MOST_COLUMNS]) + more)
    if top + MOST_ROWS < flat.shape[0]:
        lines.append("...")
    return lines


def map_title(name: str, index: Index, channels_first: bool = False) -> str:
    """The part of the array that a map of ``index`` shows, as in ``dx[0,:,:,1]``."""
    axes = map_axes(name, len(index), channels_first)
    shown = ",".join(":" if axis in axes else str(at) for axis, at in enumerate(index))
    return f"{name}[{shown}]" if index else name


def wrong_part(name: str, wrong: np.ndarray, index: Index) -> list[str]:
    """How many elements are wrong, and the map of those around the first."""
    count = np.count_nonzero(wrong)
    if count == wrong.size:
        return [f"All {wrong.size} elements of {name} are wrong." if wrong.size > 1 else f"{name} has one element."]
    return [
        f"{count} of {wrong.size} elements are wrong (x). {map_title(name, index)}, X is the first:",
        *(f"  {line}" for line in element_map(wrong, index, name)),
    ]


def factors(x_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> dict[str, float]:
    """What a constant ratio may mean for these shapes."""
    batch, pixels = (x_shape[0] if x_shape else 1), math.prod(out_shape[1:-1])
    found = {
        "a mean over the batch, where a sum belongs": 1 / batch,
        "a sum over the batch, where a mean belongs": batch,
    }
    if pixels > 1:
        found["a mean over the output pixels, where a sum belongs"] = 1 / pixels
        found["a mean over the batch and the output pixels, where a sum belongs"] = 1 / (batch * pixels)
    return {meaning: factor for meaning, factor in found.items() if factor != 1}


def terms(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray, index: Index) -> list[tuple[Index, float]]:
    """The sum that one element of a linear function's result is: each element of ``array`` that has a share, and it.

    ``function`` is called with one element of ``array`` and zeros, for each element, and with zeros alone.
    """
    rest = np.array(function(np.zeros_like(array)), np.float64)[index]
    shares = []
    for at in np.ndindex(*array.shape):
        if array[at]:
            one = np.zeros_like(array)
            one[at] = array[at]
            share = float(np.asarray(function(one), np.float64)[index] - rest)
            if share:
                shares.append((at, share))
    return shares


def sum_text(name: str, shares: Sequence[tuple[Index, float]], array: np.ndarray) -> str:
    """The terms as a sum: ``3·2 (dout[0,0,0,0]) + 1·(-1) (dout[0,0,1,0])``; 0 without any.

    Each is the element's value times its factor. At most MOST_TERMS are written out.
    """
    written = [
        f"{number(float(array[at]))}·{_factor(share / float(array[at]))} ({index_text(name, at)})"
        for at, share in shares[:MOST_TERMS]
    ]
    if len(shares) > MOST_TERMS:
        rest = sum(share for _, share in shares[MOST_TERMS:])
        written.append(f"{number(rest)} (of {len(shares) - MOST_TERMS} more)")
    return " + ".join(written) or "0, a sum of nothing"


def _factor(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def map_axes(name: str, ndim: int, channels_first: bool = False) -> tuple[int | None, int | None]:
    """The axes that are the rows and the columns of a map."""
    if ndim < 2:
        return None, (0 if ndim else None)
    if channels_first and ndim == 4:
        return 2, 3
    return (0, 1) if ndim == 2 or name.split(".")[-1].lstrip("d") == "w" else (1, 2)


def _part(at: int, length: int, most: int) -> int:
    """The first line of the ``most`` that are shown around line ``at``."""
    return max(0, min(at - most // 2, length - most))
