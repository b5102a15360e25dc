"""CIFAR-10: its records become images, and wrong files are refused by name and byte."""

from __future__ import annotations

import numpy as np
import pytest
from data_files import refusal, write

from tinyalexnet.training import cifar10, data

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORDS = 3


def write_cifar10(folder):
    """Writes the six files; returns the expected pixels and labels, random ones."""
    rng = np.random.default_rng(10)
    pixels = rng.integers(0, 256, (6, RECORDS, 32, 32, 3), np.uint8)
    labels = rng.permutation(6 * RECORDS).reshape(6, RECORDS) % 10
    for file in range(6):
        content = b""
        for image, label in zip(pixels[file], labels[file], strict=True):
            content += bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
        write(folder / ("test_batch.bin" if file == 5 else f"data_batch_{file + 1}.bin"), content)
    return pixels, labels


@pytest.fixture
def small_cifar10(monkeypatch):
    assert cifar10.RECORDS == 10_000
    monkeypatch.setattr(cifar10, "RECORDS", RECORDS)


@pytest.mark.usefixtures("small_cifar10")
def test_cifar10(tmp_path):
    pixels, labels = write_cifar10(tmp_path)
    dataset = data.load("cifar10", tmp_path)
    assert dataset.name == "cifar10"
    np.testing.assert_array_equal(dataset.train.pixels, pixels[:5].reshape(-1, 32, 32, 3), strict=True)
    np.testing.assert_array_equal(dataset.test.pixels, pixels[5], strict=True)
    np.testing.assert_array_equal(dataset.train.labels, labels[:5].ravel().astype(np.intp), strict=True)
    np.testing.assert_array_equal(dataset.test.labels, labels[5].astype(np.intp), strict=True)
    assert dataset.train.pixels.flags.c_contiguous
    assert dataset.test.pixels.flags.c_contiguous
    assert dataset.train.classes == dataset.test.classes == CIFAR10


@pytest.mark.usefixtures("small_cifar10")
def test_cifar10_files_that_are_refused(tmp_path):
    write_cifar10(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    whole = path.read_bytes()
    size = len(whole)
    assert size == RECORDS * 3073
    wrong_label = bytearray(whole)
    wrong_label[2 * 3073] = 10
    for content, message in (
        (whole[:-1], f"its end at byte {size - 1}, but must have 1 more bytes for 3 records of 3073 bytes"),
        (whole[:3073], "its end at byte 3073, but must have 6146 more bytes for 3 records of 3073 bytes"),
        (b"", f"its end at byte 0, but must have {size} more bytes for 3 records of 3073 bytes"),
        (whole + b"\0", f"more bytes at byte {size}, but must have its end"),
        (wrong_label, "the label 10 at byte 6146, but must have 0 to 9"),
    ):
        path.write_bytes(content)
        assert refusal(data.load, "cifar10", tmp_path) == f"{str(path)!r} has {message}"


@pytest.mark.usefixtures("small_cifar10")
@pytest.mark.parametrize("lines", ["\n".join(CIFAR10) + "\n\n", "\r\n".join(CIFAR10)])
def test_the_classes_of_cifar10_are_those_of_its_own_list(tmp_path, lines):
    write_cifar10(tmp_path)
    write(tmp_path / "batches.meta.txt", lines.replace("frog", "tree frog é").encode())
    expected = tuple(name.replace("frog", "tree frog é") for name in CIFAR10)
    assert data.load("cifar10", tmp_path).train.classes == expected


@pytest.mark.usefixtures("small_cifar10")
def test_lists_of_classes_that_are_refused(tmp_path):
    write_cifar10(tmp_path)
    ten = "\n".join(CIFAR10) + "\n"
    path = tmp_path / "batches.meta.txt"
    for content, message in (
        (b"", "its end after 0 class names at byte 0, but must have ten"),
        (ten.replace("truck\n", "").encode(), "its end after 9 class names at byte 54, but must have ten"),
        (ten.replace("bird", "\n  \nairplane").encode(), "the class name 'airplane' at byte 24, but must have ten"),
        ((ten + "tree\n").encode(), f"the class name 'tree' at byte {len(ten)}, but must have ten different"),
        (ten.encode().replace(b"cat", b"c\xfft"), "the byte 255 at byte 26, but must have UTF-8"),
        (b"\n" * 4097, "more bytes at byte 4096, but must have its end"),
    ):
        path.write_bytes(content)
        assert refusal(data.load, "cifar10", tmp_path).startswith(f"{str(path)!r} has {message}")
