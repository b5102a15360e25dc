"""Photographs as a batch of input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .geometry import Pair
from .kernels.contract import Shape

SUFFIXES = (".jpg", ".jpeg", ".png")


def read_image(path: Path, size: Pair | None) -> np.ndarray:
    """One image, upright, in red, green and blue.

    Shapes
        (H, W, 3), uint8; with a ``size`` (H, W) scaled until the shorter side fits and cropped about the middle.
    Errors
        ValueError where it cannot be read, or has more than 8 bits a channel.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            # Pillow would clip these to 255.
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are {image.mode}, but must have 8 bits a channel")
            upright = ImageOps.exif_transpose(image).convert("RGB")
            if size is not None:
                upright = ImageOps.fit(upright, (size[1], size[0]), Image.Resampling.BICUBIC)
            return np.array(upright)
    except Exception as error:  # on damaged bytes a decoder may raise anything
        raise ValueError(f"{str(path)!r} must be an image, but cannot be read as one: {error}") from None


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
        import PIL  # noqa: F401
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
        photograph[...] = read_image(path, (height, width))
    photographs /= 255
    photographs -= photographs.mean(axis=(0, 1, 2))
    return photographs[np.arange(n) % len(photographs)]
