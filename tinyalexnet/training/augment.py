"""Augmentation of training images (crops, mirror images, colour noise), and the views of a test image.

Pure functions on batches: none writes to its input or returns memory of it. All randomness comes from the generator
that is passed in, so a run that goes on needs only the generator's state.
"""

import numpy as np

from ..devices import device
from ..geometry import Pair, as_number, as_pair
from ..ops.checks import check_floats

CHUNK = 1 << 16
"""Pixels turned into float64 at a time."""


def random_crop(
    images: np.ndarray, size: int | Pair, rng: np.random.Generator, first: int = 0, batch: int | None = None
) -> np.ndarray:
    """A window of each image, at a position drawn for that image; all positions are equally likely.

    Shapes
        images (N, H, W, C) of any dtype, size (h, w) or one int for both -> (N, h, w, C) of that dtype. If they are a
        part of a batch, ``first`` is the number of the first one in it, and ``batch`` the number of all images: each
        gets what it would get among all.
    Errors
        TypeError if images is not an array; ValueError if it has other dimensions, or size is not a size or larger than
        the image.
    Source
        Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 4.1.
    """
    (height, width), (rows, columns) = _fits(images, size)
    n, channels = images.shape[0], images.shape[3]
    top = _part(rng.integers(0, rows + 1, batch or n), first, n)
    left = _part(rng.integers(0, columns + 1, batch or n), first, n)
    windows = np.lib.stride_tricks.sliding_window_view(images, (height, width, channels), axis=(1, 2, 3))
    out: np.ndarray = windows[np.arange(n), top, left, 0]
    return out


def center_crop(images: np.ndarray, size: int | Pair) -> np.ndarray:
    """The window in the middle of each image. If an odd row or column is left over, it is at the bottom or the right.

    Shapes
        images (N, H, W, C) of any dtype, size (h, w) or one int for both -> (N, h, w, C) of that dtype.
    Errors
        As ``random_crop``.
    """
    (height, width), (rows, columns) = _fits(images, size)
    top, left = rows // 2, columns // 2
    return images[:, top : top + height, left : left + width].copy()


def mirror(images: np.ndarray, rng: np.random.Generator, first: int = 0, batch: int | None = None) -> np.ndarray:
    """Exchanges left and right, in each image with probability ½.

    Shapes
        images (N, H, W, C) of any dtype -> the same shape and dtype. ``first`` and ``batch`` as in ``random_crop``.
    Errors
        TypeError if images is not an array; ValueError if it has other dimensions.
    Source
        Krizhevsky et al., 2012, section 4.1: "horizontal reflections".
    """
    _check(images)
    chosen = _part(rng.integers(0, 2, batch or len(images)), first, len(images)) == 1
    out = images.copy()
    out[chosen] = images[chosen, :, ::-1]
    return out


def pad(images: np.ndarray, margin: int | Pair) -> np.ndarray:
    """Zeros around each image, so that ``random_crop`` can shift it. After ``subtract_mean`` zero is the mean colour.

    Shapes
        images (N, H, W, C) of any dtype, margin (rows, columns) or one int for both ->
        (N, H + 2 rows, W + 2 columns, C) of that dtype.
    Errors
        TypeError if images is not an array; ValueError if it has other dimensions or margin is negative.
    Source
        He et al., "Deep residual learning for image recognition", 2016, section 4.2, for images of 32 x 32 pixels.
    """
    _check(images)
    rows, columns = as_pair("margin", margin, 0)
    return np.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)))


def mean_image(images: np.ndarray) -> np.ndarray:
    """The mean over all images, for every pixel and channel; it is subtracted from each image.

    Shapes
        images (N, H, W, C) of any dtype -> (H, W, C), float32; the sum is in float64.
    Errors
        TypeError if images is not an array; ValueError if it has other dimensions.
    Cost
        One addition per element. NumPy converts a few thousand elements at a time, never all images at once.
    Source
        Krizhevsky et al., 2012, section 2: "subtracting the mean activity over the training set from each pixel".
    """
    _check(images)
    mean: np.ndarray = images.mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)


def subtract_mean(images: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``images`` less the ``mean_image``, or less a mean colour.

    Shapes
        images (N, H, W, C) of any dtype; mean (H, W, C) or (C,), float32 -> (N, H, W, C), float32.
    Errors
        TypeError if images is not an array or mean is not float32; ValueError for other shapes.
    Source
        ``mean_image``.
    """
    _check(images)
    if not isinstance(mean, np.ndarray) or mean.dtype != np.float32:
        raise TypeError(f"mean is {getattr(mean, 'dtype', type(mean).__name__)}, but must be a float32 array")
    if mean.shape not in (images.shape[1:], images.shape[3:]):
        raise ValueError(f"mean has shape {mean.shape}, but must have {images.shape[1:]} or {images.shape[3:]}")
    out: np.ndarray = np.subtract(images, mean, dtype=np.float32)
    return out


def standardised(images: np.ndarray, mean: np.ndarray, scale: np.ndarray | np.float32) -> np.ndarray:
    """The input of a network: ``subtract_mean``, then times ``scale``.

    Shapes
        As ``subtract_mean``; scale is a scalar or (C,), float32.
    Errors
        As ``subtract_mean``.
    """
    return subtract_mean(images, mean) * scale


def pca_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The principal components of the colours of the training images, and the variance along each.

    Math
        With the colours x = pixels / 255, from 0 to 1, over all M pixels: the eigenvalues λ and eigenvectors p of the
        covariance 1/M Σ (x - mean)(x - mean)ᵀ.
    Shapes
        pixels (..., C), uint8 -> λ (C,), the largest first, and P (C, C), whose column i is the unit vector p_i, of
        either sign; float64.
    Errors
        TypeError if pixels is not a uint8 array; ValueError if it has no dimension or one of size 0.
    Cost
        C² multiply-adds per pixel. CHUNK pixels at a time become float64, in which the sums are exact integers.
    Source
        Krizhevsky et al., 2012, section 4.1.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise TypeError(f"pixels is {getattr(pixels, 'dtype', type(pixels).__name__)}, but must be a uint8 array")
    if pixels.ndim == 0 or pixels.size == 0:
        raise ValueError(f"pixels has shape {pixels.shape}, but must have shape (..., C) with no dimension of size 0")
    colours = pixels.reshape(-1, pixels.shape[-1])
    m, channels = colours.shape
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for begin in range(0, m, CHUNK):
        chunk = colours[begin : begin + CHUNK].astype(np.float64)
        total += chunk.sum(axis=0)
        products += chunk.T @ chunk
    mean = total / m
    eigenvalues, eigenvectors = np.linalg.eigh((products / m - np.outer(mean, mean)) / 255**2)
    # The eigenvalue of a colour that never varies is 0; rounding may make it negative.
    return np.maximum(eigenvalues[::-1], 0), eigenvectors[:, ::-1].copy()


def colour_noise(
    images: np.ndarray,
    eigenvalues: np.ndarray,
    eigenvectors: np.ndarray,
    rng: np.random.Generator,
    std: float = 0.1,
    first: int = 0,
    batch: int | None = None,
) -> np.ndarray:
    """Shifts the colour of each image as a whole along the components of ``pca_colours``, as another light would.

    Math
        To every pixel of image n is added [p_1 .. p_C] [α_1 λ_1 .. α_C λ_C]ᵀ, with α of mean 0 and standard deviation
        ``std``, drawn for each image and component. λ grows with the square of the images' unit, so the unit matters:
        ``pca_colours`` and this formula hold for colours from 0 to 1. For pixels from 0 to 255 pass 255 λ.
    Shapes
        images (N, H, W, C), float32 or float64; eigenvalues (C,); eigenvectors (C, C) -> images' shape and dtype.
        ``first`` and ``batch`` as in ``random_crop``.
    Errors
        TypeError if images is not float32 or float64; ValueError for other dimensions, or if std is not a finite number
        >= 0.
    Source
        Krizhevsky et al., 2012, section 4.1, which multiplies by the eigenvalues and not, as one expects, by their
        roots. cuda-convnet2 calls the factors ``color_stdevs`` (convdata.py); for that noise pass
        ``np.sqrt(eigenvalues)``.
    """
    check_floats(device("reference"), images=images)
    _check(images)
    n, channels = images.shape[0], images.shape[3]
    if np.shape(eigenvalues) != (channels,) or np.shape(eigenvectors) != (channels, channels):
        raise ValueError(
            f"eigenvalues and eigenvectors have shapes {np.shape(eigenvalues)} and {np.shape(eigenvectors)}, but must "
            f"have {(channels,)} and {(channels, channels)}, for the channels of images"
        )
    alphas = _part(rng.normal(0, as_number("std", std), (batch or n, channels)), first, n)
    shifts = (alphas * eigenvalues) @ np.transpose(eigenvectors)
    out: np.ndarray = images + shifts[:, None, None, :].astype(images.dtype)
    return out


def one_view(images: np.ndarray, size: int | Pair) -> np.ndarray:
    """The centre crop of each image, in the layout of ``ten_views``.

    Shapes
        images (N, H, W, C) of any dtype, size (h, w) or one int for both -> (N, 1, h, w, C) of that dtype.
    Errors
        As ``random_crop``.
    """
    return center_crop(images, size)[:, None]


def ten_views(images: np.ndarray, size: int | Pair) -> np.ndarray:
    """The ten crops that a test averages over: top left, top right, bottom left, bottom right, centre; then mirrored.

    Shapes
        images (N, H, W, C) of any dtype, size (h, w) or one int for both -> (N, 10, h, w, C) of that dtype. View 5 + i
        is the mirror image of view i.
    Errors
        As ``random_crop``.
    Source
        Krizhevsky et al., 2012, section 4.1.
    """
    (height, width), (bottom, right) = _fits(images, size)
    positions = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    out = np.empty((len(images), 10, height, width, images.shape[3]), images.dtype)
    for view, (top, left) in enumerate(positions):
        out[:, view] = images[:, top : top + height, left : left + width]
    out[:, 5:] = out[:, :5, :, ::-1]
    return out


def _part(drawn: np.ndarray, first: int, count: int) -> np.ndarray:
    """Of what was drawn for a batch, that of some images."""
    if not 0 <= first <= len(drawn) - count:
        raise ValueError(f"first is {first}, but must be from 0 to {len(drawn) - count}, as {count} images follow")
    return drawn[first : first + count]


def _check(images: np.ndarray) -> None:
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images is a {type(images).__name__}, but must be a NumPy array")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"images has shape {images.shape}, but must have the four dimensions (N, H, W, C) and none of size 0"
        )


def _fits(images: np.ndarray, size: int | Pair) -> tuple[Pair, Pair]:
    """The size as (h, w), and how many rows and columns more the images have."""
    _check(images)
    height, width = as_pair("size", size, 1)
    rows, columns = images.shape[1] - height, images.shape[2] - width
    if rows < 0 or columns < 0:
        raise ValueError(f"size is {(height, width)}, but must be at most the {images.shape[1:3]} pixels of images")
    return (height, width), (rows, columns)
