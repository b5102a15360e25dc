"""CIFAR-10 in its version for C programs: files of records, and a list of the classes' names."""

from pathlib import Path

import numpy as np

from .reading import as_labels, reading, wrong

FILES = (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin")
"""Five files to train on, and one to test on."""

RECORDS = 10_000
"""Images in one file."""

RECORD_BYTES = 1 + 3 * 32 * 32

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 32, 32, 3), uint8, and the labels (N,), intp, of one file.

    A record is one byte of label, then 32 x 32 bytes each of red, green and blue.

    Errors
        ValueError if the file cannot be read, has another length, or a label is above 9.
    Source
        https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
    """
    with reading(path) as source:
        data = source.take(RECORD_BYTES * RECORDS, f"{RECORDS} records of {RECORD_BYTES} bytes")
        source.end()
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), as_labels(records[:, 0], path, first=0, step=RECORD_BYTES)


def class_names(folder: Path) -> tuple[str, ...]:
    """The names in ``batches.meta.txt``, ten different ones, one a line; ``CLASSES`` if there is no such file."""
    path = folder / "batches.meta.txt"
    if not path.is_file():
        return CLASSES
    names: list[str] = []
    with reading(path) as source:
        text = source.rest(4096)
        source.end()
    at = 0
    for line in text.splitlines(keepends=True):
        try:
            name = line.decode().strip()
        except UnicodeDecodeError as error:
            raise wrong(path, at + error.start, f"the byte {line[error.start]}", "UTF-8") from None
        if name and (name in names or len(names) == 10):
            raise wrong(path, at, f"the class name {name!r}", "ten different names, one a line, and no more")
        names += [name] if name else []
        at += len(line)
    if len(names) < 10:
        raise wrong(path, at, f"its end after {len(names)} class names", "ten")
    return tuple(names)
