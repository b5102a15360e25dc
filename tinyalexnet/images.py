"""Photographs as a batch of input."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import Pair
from .ops.checks import Shape

SUFFIXES = (".jpg", ".jpeg", ".png")

NAMED = 3
"""The most files that a message names."""

MOST_ELONGATED = 100
"""The largest ratio of the longer to the shorter side of an image that is scaled before it is cropped."""


def check_pillow(extra: str = "images") -> None:
    """ImportError, which names the ``extra``, if Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ImportError(f"reading images needs Pillow: pip install 'tinyalexnet[{extra}]'") from None


def read_image(path: Path, size: Pair | None, shorter: int | None = None, channels: int = 3) -> np.ndarray:
    """One image in red, green and blue, or grey, turned upright by its EXIF orientation.

    Shapes
        (H, W, ``channels``), 3 or 1, uint8. If ``size`` (H, W) is given, the image is scaled until its shorter side
        fits and cropped about the middle; if ``shorter`` is given too, its shorter side is scaled to that instead, as
        in torchvision.
    Errors
        ValueError if it cannot be read or has more than 8 bits per channel.
    Source
        Pillow's ``ImageOps.fit``; for ``shorter``, torchvision's ``ImageClassification`` in transforms/_presets.py.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            # Pillow would clip these to 255.
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are {image.mode}, but must have 8 bits a channel")
            upright = ImageOps.exif_transpose(image).convert("RGB")
            if channels == 1:
                upright = upright.convert("L")
            if size is not None and shorter is not None:
                upright = _scaled_and_cropped(upright, size, shorter)
            elif size is not None:
                upright = ImageOps.fit(upright, (size[1], size[0]), Image.Resampling.BICUBIC)
            return np.array(upright).reshape(upright.height, upright.width, channels)
    except Exception as error:  # a decoder may raise anything if the bytes are damaged
        raise ValueError(f"{str(path)!r} must be an image, but cannot be read as one: {error}") from None


def _scaled_and_cropped(image: Any, size: Pair, shorter: int) -> Any:
    from PIL import Image

    short, long = sorted(image.size)
    if long > MOST_ELONGATED * short:
        raise ValueError(f"it has {image.height} x {image.width} pixels, but at most {MOST_ELONGATED} to 1 is allowed")
    scaled = shorter, int(shorter * long / short)
    width, height = scaled if image.width <= image.height else scaled[::-1]
    top, left = round((height - size[0]) / 2), round((width - size[1]) / 2)
    # When Pillow makes an image smaller, it widens the triangle filter; other software calls this antialiasing.
    whole = image.resize((width, height), Image.Resampling.BILINEAR)
    return whole.crop((left, top, left + size[1], top + size[0]))


def left_out(root: str | Path, taken: Collection[Path], why: str) -> str:
    """A sentence about the files of a folder, and of those in it, that are not ``taken``; "" if there are none.

    Hidden files are not counted.
    """
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    others = sorted(path.relative_to(root).as_posix() for path in files if path not in taken)
    visible = [name for name in others if not any(part.startswith(".") for part in name.split("/"))]
    if not visible:
        return ""
    named = ", ".join(map(repr, visible[:NAMED])) + ", ..." * (len(visible) > NAMED)
    count = "1 file is" if len(visible) == 1 else f"{len(visible)} files are"
    return f"{count} not read in {str(root)!r}: {named} ({why})"


def image_files(folder: Path) -> list[Path]:
    """The files of a folder that ``load_images`` reads, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def load_images(folder: str | Path, batch_shape: Shape) -> np.ndarray:
    """The photographs of a folder, in the order of their names, repeated until the batch is full.

    Each is scaled until its shorter side fits and cropped about its middle. Then the mean colour of the photographs in
    the batch is subtracted.

    Shapes
        batch_shape (N, H, W, 3) -> an array of that shape, float32, in units of the full range from black to white.
    Errors
        ValueError if the folder does not exist, holds no JPEG or PNG, or one of them cannot be read; ImportError
        without Pillow.
    """
    check_pillow()
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"images is {str(folder)!r}, but must be a folder that exists")
    paths = image_files(root)
    if not paths:
        raise ValueError(f"images is {str(folder)!r}, but must be a folder that holds at least one .jpg, .jpeg or .png")
    n, height, width, _ = batch_shape
    photographs = np.empty((min(len(paths), n), *batch_shape[1:]), np.float32)
    for photograph, path in zip(photographs, paths, strict=False):
        photograph[...] = read_image(path, (height, width))
    photographs /= 255
    photographs -= photographs.mean(axis=(0, 1, 2))
    return photographs[np.arange(n) % len(photographs)]
