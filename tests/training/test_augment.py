"""Crops, mirror images, means and colours against plain slices and plain loops, one image at a time."""

from __future__ import annotations

import copy
import tracemalloc
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.training import augment
from tinyalexnet.training.augment import (
    center_crop,
    colour_noise,
    mean_image,
    mirror,
    one_view,
    pad,
    pca_colours,
    random_crop,
    subtract_mean,
    ten_views,
)


def numbered(*shape, dtype=np.float32):
    """All elements differ and none is 0, so that each shows its origin; read-only, so that none can be overwritten."""
    images = np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)
    images.setflags(write=False)
    return images


@st.composite
def batches(draw):
    """Images of up to 6 x 7 pixels and a size that fits them."""
    n, height, width, channels = (draw(st.integers(1, most)) for most in (4, 6, 7, 3))
    size = draw(st.integers(1, height)), draw(st.integers(1, width))
    return numbered(n, height, width, channels), size


@given(batch=batches(), seed=st.integers(0, 2**32 - 1))
def test_random_crop_is_a_window_of_the_same_image(batch, seed):
    images, (height, width) = batch
    crops = random_crop(images, (height, width), np.random.default_rng(seed))
    assert crops.shape == (len(images), height, width, images.shape[3])
    for image, crop in zip(images, crops, strict=True):
        top, left, _ = np.argwhere(image == crop[0, 0, 0])[0]
        np.testing.assert_array_equal(crop, image[top : top + height, left : left + width], strict=True)


def test_random_crop_takes_every_position_as_often_and_each_image_its_own(rng):
    images = np.repeat(numbered(1, 5, 7, 2), 12_000, axis=0)
    corners = random_crop(images, (3, 4), rng)[:, 0, 0, 0]
    positions = {float(images[0, top, left, 0]) for top in range(3) for left in range(4)}
    counts = Counter(corners.tolist())
    assert counts.keys() == positions
    # 12 positions: 1000 of 12,000 each, with a standard deviation of sqrt(12000 / 12 * 11 / 12) = 30; five of them.
    assert all(abs(count - 1000) < 150 for count in counts.values())


@given(batch=batches())
def test_center_crop_and_one_view(batch):
    images, (height, width) = batch
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    expected = np.stack([image[top : top + height, left : left + width] for image in images])
    np.testing.assert_array_equal(center_crop(images, (height, width)), expected, strict=True)
    np.testing.assert_array_equal(one_view(images, (height, width)), np.stack([expected], axis=1), strict=True)


def test_center_crop_leaves_the_odd_row_at_the_bottom_and_the_odd_column_on_the_right():
    images = numbered(1, 6, 7, 1)
    np.testing.assert_array_equal(center_crop(images, (3, 4)), images[:, 1:4, 1:5])
    np.testing.assert_array_equal(center_crop(images, 3), images[:, 1:4, 2:5])


@given(batch=batches())
def test_ten_views(batch):
    images, (height, width) = batch
    views = ten_views(images, (height, width))
    bottom, right = images.shape[1] - height, images.shape[2] - width
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    for image, ten in zip(images, views, strict=True):
        expected = [image[top : top + height, left : left + width] for top, left in corners]
        expected += [np.fliplr(view) for view in expected]
        np.testing.assert_array_equal(ten, np.stack(expected), strict=True)


def test_the_views_by_hand():
    images = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    assert ten_views(images, 1).ravel().tolist() == [0, 2, 6, 8, 4] * 2
    row = ten_views(images, (1, 2))[0, :, 0, :, 0].tolist()
    assert row == [[0, 1], [1, 2], [6, 7], [7, 8], [3, 4], [1, 0], [2, 1], [7, 6], [8, 7], [4, 3]]


def test_mirror_exchanges_left_and_right_of_about_half_of_the_images(rng):
    images = numbered(10_000, 2, 3, 2, dtype=np.float64)
    drawn = copy.deepcopy(rng).integers(0, 2, 10_000)
    out = mirror(images, rng)
    mirrored = out[:, 0, 0, 0] != images[:, 0, 0, 0]
    for image, result, flipped in zip(images, out, mirrored, strict=True):
        np.testing.assert_array_equal(result, image[:, ::-1] if flipped else image, strict=True)
    # 5000 with a standard deviation of sqrt(10000) / 2 = 50; five of them.
    assert abs(np.count_nonzero(mirrored) - 5000) < 250
    # Those of the ones, so that a run of another version goes on with the same images.
    np.testing.assert_array_equal(mirrored, drawn == 1)
    # And no pattern: of 9999 neighbours, as many are alike as not.
    assert abs(np.count_nonzero(mirrored[1:] == mirrored[:-1]) - 5000) < 250


@pytest.mark.parametrize(("margin", "rows", "columns"), [(2, 2, 2), ((1, 3), 1, 3), (0, 0, 0)])
def test_pad_surrounds_with_zeros(margin, rows, columns):
    images = numbered(2, 3, 4, 2)
    out = pad(images, margin)
    assert out.shape == (2, 3 + 2 * rows, 4 + 2 * columns, 2)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[:, rows : rows + 3, columns : columns + 4], images)
    assert np.count_nonzero(out) == images.size


GEOMETRIC = {
    "random_crop": lambda images: random_crop(images, (2, 3), np.random.default_rng(1)),
    "center_crop": lambda images: center_crop(images, images.shape[1:3]),
    "mirror": lambda images: mirror(images, np.random.default_rng(1)),
    "pad": lambda images: pad(images, 0),
    "one_view": lambda images: one_view(images, images.shape[1:3]),
    "ten_views": lambda images: ten_views(images, images.shape[1:3]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("name", GEOMETRIC)
def test_geometry_keeps_the_dtype_and_shares_no_memory(name, dtype):
    images = numbered(2, 4, 5, 3, dtype=dtype)
    before = images.copy()
    out = GEOMETRIC[name](images)
    assert out.dtype == dtype
    assert not np.shares_memory(out, images)
    out[...] = 0
    np.testing.assert_array_equal(images, before)


def test_the_generator_alone_decides():
    images = numbered(20, 8, 8, 3)
    eigenvalues, eigenvectors = np.array([0.3, 0.2, 0.1]), np.eye(3)
    for draw in (
        lambda rng: random_crop(images, 4, rng),
        lambda rng: mirror(images, rng),
        lambda rng: colour_noise(images, eigenvalues, eigenvectors, rng),
    ):
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_mean_image_adds_in_float64():
    """70,000 times 255 is more than 2²⁴; above that float32 cannot hold odd numbers."""
    images = np.full((70_001, 1, 2, 1), 255, np.uint8)
    images[::2, 0, 1] = 254
    exact = [Fraction(255), Fraction(254 * 35_001 + 255 * 35_000, 70_001)]
    mean = mean_image(images)
    np.testing.assert_array_equal(mean, np.array(exact, np.float32).reshape(1, 2, 1), strict=True)
    # The test tells: added in float32, the means come out as something else.
    assert (images.sum(axis=0, dtype=np.float32) / 70_001 != mean).any()


def test_mean_image_and_its_subtraction(rng):
    images = rng.integers(0, 256, (50, 4, 5, 3)).astype(np.uint8)
    mean = mean_image(images)
    expected = np.zeros((4, 5, 3))
    for image in images:
        expected += image
    np.testing.assert_array_equal(mean, (expected / 50).astype(np.float32), strict=True)
    centred = subtract_mean(images, mean)
    np.testing.assert_array_equal(centred, images.astype(np.float32) - mean, strict=True)
    # The only error is the rounding of the mean: half a unit in the last place of a value below 256.
    np.testing.assert_allclose(centred.mean(axis=0, dtype=np.float64), 0, atol=2 * 2**-17)
    assert centred.std() > 50
    colour = np.array([100.5, 0.25, -3], np.float32)
    np.testing.assert_array_equal(subtract_mean(images, colour)[7, 1, 2], images[7, 1, 2] - colour, strict=True)
    assert subtract_mean(images.astype(np.float64), mean).dtype == np.float32


def test_the_mean_of_bytes_makes_no_float_copy_of_them():
    images = np.ones((3000, 32, 32, 3), np.uint8)
    tracemalloc.start()
    mean_image(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Two buffers of 8192 elements, the sum and the result; the images are 9 MB, and 74 MB in float64.
    assert peak < 300_000


def test_pca_colours_by_hand():
    """Three colours on a line along (3, 4) / 5, each 50 from the next."""
    pixels = np.array([[15, 20], [45, 60], [75, 100]], np.uint8)
    eigenvalues, eigenvectors = pca_colours(pixels)
    # So the variance along it is (50² + 0 + 50²) / 3, in units of 1/255, and none is across it.
    np.testing.assert_allclose(eigenvalues, [5000 / 3 / 255**2, 0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.abs(eigenvectors), [[0.6, 0.8], [0.8, 0.6]], rtol=1e-12)


def test_pca_colours_are_those_of_the_covariance(rng):
    pixels = rng.integers(0, 256, (20, 6, 7, 3)) @ np.array([[0.5, 0.2, 0.0], [0.1, 0.5, 0.1], [0.3, 0.2, 0.2]])
    pixels = pixels.astype(np.uint8)
    eigenvalues, eigenvectors = pca_colours(pixels)
    covariance = np.cov(pixels.reshape(-1, 3).T / 255, bias=True)
    assert eigenvalues.dtype == eigenvectors.dtype == np.float64
    assert (np.diff(eigenvalues) < 0).all()
    assert eigenvalues[-1] > 1e-3
    # Sums of 1 in 840 pixels less their mean: 1e-15 or so, and float64 has no more.
    np.testing.assert_allclose(eigenvectors.T @ eigenvectors, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(covariance @ eigenvectors, eigenvectors * eigenvalues, atol=1e-14)


def test_pca_colours_do_not_depend_on_the_chunks(rng, monkeypatch):
    pixels = rng.integers(0, 256, (11, 3, 5, 3)).astype(np.uint8)
    whole = pca_colours(pixels)
    monkeypatch.setattr(augment, "CHUNK", 7)  # 165 pixels: 23 chunks and 4 pixels
    for one, other in zip(whole, pca_colours(pixels), strict=True):
        np.testing.assert_array_equal(one, other)


def test_colours_that_do_not_vary_have_the_eigenvalue_0():
    eigenvalues, _ = pca_colours(np.full((100, 3), [7, 77, 177], np.uint8))
    assert eigenvalues.min() >= 0
    assert eigenvalues.max() < 1e-14
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    eigenvalues, eigenvectors = pca_colours(grey)
    # Three channels that agree: three times the variance (256² - 1) / 12, along (1, 1, 1) / sqrt 3.
    np.testing.assert_allclose(eigenvalues, [3 * (256**2 - 1) / 12 / 255**2, 0, 0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.abs(eigenvectors[:, 0]), 3**-0.5, rtol=1e-12)
    assert (eigenvalues >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_colour_noise_is_the_formula(dtype, rng):
    images = rng.standard_normal((5, 3, 4, 3)).astype(dtype)
    before = images.copy()
    eigenvalues, eigenvectors = pca_colours(rng.integers(0, 256, (500, 3)).astype(np.uint8))
    out = colour_noise(images, eigenvalues, eigenvectors, np.random.default_rng(5), std=0.7)
    alphas = np.random.default_rng(5).normal(0, 0.7, (5, 3))
    for n, image in enumerate(images):
        shift = np.zeros(3)
        for i in range(3):
            for channel in range(3):
                shift[channel] += eigenvectors[channel, i] * alphas[n, i] * eigenvalues[i]
        assert np.abs(shift).min() > 1e-5
        # Two roundings of values below 4, of the shift and of the sum.
        np.testing.assert_allclose(out[n], image + shift, rtol=0, atol=2 * 4 * np.finfo(dtype).eps / 2)
    assert out.dtype == dtype
    np.testing.assert_array_equal(images, before)


def test_colour_noise_has_its_axes_and_its_spread(rng):
    images = np.zeros((20_000, 1, 1, 3))
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    eigenvalues = np.array([0.5, 0.2, 0.05])
    along = colour_noise(images, eigenvalues, rotation, rng)[:, 0, 0] @ rotation
    # The standard deviation of 20,000 draws has an error of 1 / sqrt(40000) = 0.5 %, their mean one of 0.7 %; five.
    np.testing.assert_allclose(along.std(axis=0), 0.1 * eigenvalues, rtol=0.025)
    np.testing.assert_array_less(np.abs(along.mean(axis=0)), 0.035 * 0.1 * eigenvalues)
    np.testing.assert_allclose(np.corrcoef(along.T), np.eye(3), atol=0.036)


def test_colour_noise_in_another_unit(rng):
    """On pixels from 0 to 255, 255 λ is the same noise, as the docstring says; and a spread of 0 is none."""
    images, eigenvalues, eigenvectors = rng.random((4, 2, 2, 3)), np.array([0.2, 0.02, 0.005]), np.eye(3)
    small = colour_noise(images, eigenvalues, eigenvectors, np.random.default_rng(0))
    large = colour_noise(255 * images, 255 * eigenvalues, eigenvectors, np.random.default_rng(0))
    np.testing.assert_allclose(large, 255 * small, rtol=1e-14, atol=1e-12)
    assert (small != images).all()
    np.testing.assert_array_equal(colour_noise(images, eigenvalues, eigenvectors, rng, std=0), images)


IMAGES = numbered(2, 4, 5, 3)
BYTES = numbered(2, 4, 5, 3, dtype=np.uint8)
RNG = np.random.default_rng(0)

TAKES_IMAGES = {
    "random_crop": lambda images: random_crop(images, 1, RNG),
    "center_crop": lambda images: center_crop(images, 1),
    "mirror": lambda images: mirror(images, RNG),
    "pad": lambda images: pad(images, 1),
    "mean_image": mean_image,
    "subtract_mean": lambda images: subtract_mean(images, np.ones(3, np.float32)),
    "colour_noise": lambda images: colour_noise(images, np.ones(3), np.eye(3), RNG),
    "one_view": lambda images: one_view(images, 1),
    "ten_views": lambda images: ten_views(images, 1),
}


@pytest.mark.parametrize("name", TAKES_IMAGES)
def test_what_is_no_batch_of_images_is_refused(name):
    with pytest.raises(TypeError, match="images is a list, but must be a NumPy array"):
        TAKES_IMAGES[name]([1])
    with pytest.raises(ValueError, match=r"images has shape \(4, 5, 3\), but must have the four dimensions"):
        TAKES_IMAGES[name](IMAGES[0])
    with pytest.raises(ValueError, match=r"images has shape \(0, 4, 5, 3\), but must .* none of size 0"):
        TAKES_IMAGES[name](IMAGES[:0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: random_crop(IMAGES, 5, RNG), ValueError, r"size is \(5, 5\), but must be at most the \(4, 5\) pixels"),
        (lambda: center_crop(IMAGES, (4, 6)), ValueError, r"size is \(4, 6\), but must be at most the \(4, 5\) pixels"),
        (lambda: ten_views(IMAGES, 0), ValueError, "size is 0, but must be an int >= 1 or a pair of them"),
        (lambda: one_view(IMAGES, (1, 2, 3)), ValueError, r"size is \(1, 2, 3\), but must be an int >= 1 or a pair"),
        (lambda: pad(IMAGES, -1), ValueError, "margin is -1, but must be an int >= 0 or a pair of them"),
        (lambda: subtract_mean(IMAGES, np.ones(3)), TypeError, "mean is float64, but must be a float32 array"),
        (lambda: subtract_mean(IMAGES, 0.5), TypeError, "mean is float, but must be a float32 array"),
        (
            lambda: subtract_mean(IMAGES, IMAGES),
            ValueError,
            r"mean has shape \(2, 4, 5, 3\), but must have \(4, 5, 3\)",
        ),
        (lambda: subtract_mean(IMAGES, IMAGES[0, 0]), ValueError, r"mean has shape \(5, 3\), but .* or \(3,\)"),
        (lambda: pca_colours(IMAGES), TypeError, "pixels is float32, but must be a uint8 array"),
        (lambda: pca_colours([1]), TypeError, "pixels is list, but must be a uint8 array"),
        (lambda: pca_colours(BYTES[:0]), ValueError, r"pixels has shape \(0, 4, 5, 3\), but must have shape"),
        (lambda: pca_colours(np.array(3, np.uint8)), ValueError, r"pixels has shape \(\), but must have shape"),
        (lambda: colour_noise(BYTES, np.ones(3), np.eye(3), RNG), TypeError, "images has dtype uint8, but must have"),
        (lambda: colour_noise(IMAGES, np.ones(2), np.eye(3), RNG), ValueError, r"have shapes \(2,\) and \(3, 3\), but"),
        (lambda: colour_noise(IMAGES, np.ones(3), np.ones(3), RNG), ValueError, r"\(3,\) and \(3,\), but must have"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
