"""Photographs as a batch of input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .kernels.contract import Shape

SUFFIXES = (".jpg", ".jpeg", ".png")


def load_images(folder: str | Path, batch_shape: Shape) -> np.ndarray:
    """The photographs of a folder, in the order of their names, repeated until the batch is full.

    Each is scaled until its shorter side fits and cropped about its middle; then the mean colour of the photographs
    used is subtracted.

    Shapes
        batch_shape (N, H, W, 3) -> an array of that shape, float32, in units of the full range from black to white.
    Errors
        ValueError where the folder does not exist or holds no JPEG or PNG, or where one cannot be read; ImportError
        where Pillow is missing.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'tinyalexnet[images]'") from None
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"images is {str(folder)!r}, but must be a folder that exists")
    paths = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"images is {str(folder)!r}, but must be a folder that holds at least one .jpg, .jpeg or .png")
    n, height, width, _ = batch_shape
    photographs = np.empty((min(len(paths), n), *batch_shape[1:]), np.float32)
    for photograph, path in zip(photographs, paths, strict=False):
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
                photograph[...] = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"images has {str(path)!r}, but it cannot be read as an image: {error}") from None
    photographs /= 255
    photographs -= photographs.mean(axis=(0, 1, 2))
    return photographs[np.arange(n) % len(photographs)]
