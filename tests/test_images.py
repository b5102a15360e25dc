"""Photographs as a batch: scaled, cropped, centred, or refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tinyalexnet import images


def save(path, height, width, colour=None, seed=0):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if colour is not None:
        pixels[...] = colour
    image.fromarray(pixels).save(path)


def test_photographs_are_scaled_cropped_centred_and_repeated(tmp_path):
    save(tmp_path / "a.png", 40, 60, (255, 0, 51))
    save(tmp_path / "b.JPG", 30, 20, seed=1)
    (tmp_path / "notes.txt").write_text("not an image")
    batch = images.load_images(tmp_path, (5, 10, 12, 3))
    assert batch.shape == (5, 10, 12, 3)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch[0], batch[2])
    np.testing.assert_array_equal(batch[1], batch[3])
    assert not np.array_equal(batch[0], batch[1])
    # The mean colour of the two is 0, and the first is one colour.
    np.testing.assert_allclose(batch[:2].mean(axis=(0, 1, 2)), 0, atol=1e-6)
    assert np.ptp(batch[0], axis=(0, 1)).max() == 0
    assert np.abs(batch).max() <= 1


def test_the_crop_is_about_the_middle(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    image.fromarray(pixels).save(tmp_path / "a.png")
    batch = images.load_images(tmp_path, (1, 10, 10, 3))
    assert np.ptp(batch) == 0


def test_fewer_images_than_photographs_uses_the_first(tmp_path):
    for index, grey in enumerate((10, 20, 30)):
        save(tmp_path / f"{index}.png", 8, 8, (grey, grey, grey))
    batch = images.load_images(tmp_path, (2, 8, 8, 3))
    np.testing.assert_allclose(batch[1] - batch[0], 10 / 255, rtol=1e-5)


def test_photographs_that_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="holds at least one"):
        images.load_images(tmp_path, (1, 8, 8, 3))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match=r"'.*broken\.png' must be an image, but cannot be read as one"):
        images.load_images(tmp_path, (1, 8, 8, 3))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install 'tinyalexnet\\[images\\]'"):
        images.load_images(tmp_path, (1, 8, 8, 3))
