"""IDX files, the format of MNIST and Fashion-MNIST: a header with type and sizes, then the elements."""

import math
from pathlib import Path

import numpy as np

from .reading import Source, as_labels, reading, wrong

TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
"""The types that a header may declare, of which only uint8 is read."""

MOST_DIMENSIONS = 64
"""NumPy's limit."""

MOST_BYTES = 1 << 28
"""Limit for the elements that a header declares; MNIST has 47 million. A gzip of zeros is a thousandth of them."""


def read_idx(path: str | Path, sizes: tuple[int | None, ...] | None = None) -> np.ndarray:
    """The array of an IDX file, plain or gzip; the first bytes tell which, and not the name.

    The sizes in the header are not trusted: memory grows only as bytes arrive, and reading stops after as many bytes
    as the header declares, which must be at most ``MOST_BYTES``.

    Shapes
        as declared, no size 0, uint8. If ``sizes`` is given, the file must declare these; None in it allows any size.
    Errors
        ValueError if the file cannot be read, ends early, goes on, holds another type than uint8, or declares other
        sizes than ``sizes``.
    Source
        LeCun, Cortes and Burges, "The MNIST database of handwritten digits", the section on file formats.
    """
    with reading(Path(path)) as source:
        shape = _shape(source, sizes)
        data = source.take(math.prod(shape), f"the pixels or labels of shape {shape}")
        source.end()
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 28, 28, 1), uint8, and their labels (N,), intp, from two IDX files; errors as ``read_idx``."""
    pixels = read_idx(images, (None, 28, 28))
    values = read_idx(labels, (None,))
    if len(values) != len(pixels):
        raise wrong(labels, 4, f"the size {len(values)}", f"{len(pixels)}, the number of images in {str(images)!r}")
    return pixels[..., None], as_labels(values, labels, first=8, step=1)


def _shape(source: Source, sizes: tuple[int | None, ...] | None) -> tuple[int, ...]:
    *zeros, code, dimensions = source.take(4, "the header of an IDX file")
    for at, zero in enumerate(zeros):
        if zero != 0:
            raise wrong(source.path, at, zero, "0, as IDX files begin with two zeros")
    if code != 8:
        raise wrong(source.path, 2, f"the type {code} ({TYPES.get(code, 'unknown')})", "8 (uint8)")
    if sizes is None and not 1 <= dimensions <= MOST_DIMENSIONS:
        raise wrong(source.path, 3, f"{dimensions} dimensions", f"1 to {MOST_DIMENSIONS}")
    if sizes is not None and dimensions != len(sizes):
        raise wrong(source.path, 3, f"{dimensions} dimensions", len(sizes))
    declared = np.frombuffer(source.take(4 * dimensions, f"the sizes of {dimensions} dimensions"), ">u4")
    shape = tuple(int(size) for size in declared)
    for axis, (size, wanted) in enumerate(zip(shape, sizes or (None,) * dimensions, strict=True)):
        if size == 0 or wanted not in (None, size):
            raise wrong(source.path, 4 + 4 * axis, f"the size {size}", "at least 1" if wanted is None else wanted)
    if math.prod(shape) > MOST_BYTES:
        raise wrong(source.path, 4, f"sizes of {math.prod(shape)} bytes together", f"at most {MOST_BYTES}")
    return shape
