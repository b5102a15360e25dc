"""Photographs as a batch of input.

A file decides how much work it is to read it. So its kind and its number of pixels are checked before it is decoded.
"""

import os
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .files import open_regular
from .geometry import Pair
from .ops.checks import Shape

SUFFIXES = (".jpg", ".jpeg", ".png")

FORMATS = ("JPEG", "PNG", "WebP", "GIF")
"""What is decoded. Pillow knows more formats: for EPS it starts a program, and BMP has a decoder in Python."""

MOST_PIXELS = 50_000_000
"""Pillow has four bytes for each of them, in up to four places at a time: less than 1 GB."""

MOST_SCANS = 100
"""Passes over the pixels of a JPEG; usual ones have 1, or if they are progressive about 10."""
NAMED = 3
"""The most files that a message names."""

MOST_ELONGATED = 100
"""The largest ratio of the longer to the shorter side of an image that is scaled before it is cropped."""


SEGMENT, SCAN, END = re.compile(rb"\xff([^\0\x01\xd0-\xd8\xff])"), b"\xda", b"\xd9"
"""The markers of a JPEG that a length follows, and its end. 0 is a byte 255 of the pixels, and the others are alone."""


def check_pillow(extra: str = "images") -> None:
    """ImportError, which names the ``extra``, if Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ImportError(f"reading images needs Pillow: pip install 'tinyalexnet[{extra}]'") from None


def read_image(path: Path, size: Pair | None, shorter: int | None = None, channels: int = 3) -> np.ndarray:
    """One image in red, green and blue, or grey, turned upright by its EXIF orientation; the first of an animation.

    What is transparent is laid on white.

    Shapes
        (H, W, ``channels``), 3 or 1, uint8. If ``size`` (H, W) is given, the image is scaled until its shorter side
        fits and cropped about the middle; if ``shorter`` is given too, its shorter side is scaled to that instead, as
        in torchvision.
    Errors
        ValueError if it cannot be read, is none of ``FORMATS``, or has more than ``MOST_PIXELS``, ``MOST_SCANS`` or 8
        bits per channel.
    Source
        Pillow's ``ImageOps.fit``; for ``shorter``, torchvision's ``ImageClassification`` in transforms/_presets.py.
    """
    from PIL import Image, ImageOps

    try:
        with open_regular(path) as file, warnings.catch_warnings():
            # Pillow warns of damaged metadata and of many pixels; what matters of it is checked here.
            warnings.simplefilter("ignore")
            upright = _opaque(_upright(file))
            if channels == 1:
                upright = upright.convert("L")
            if size is not None and shorter is not None:
                upright = _scaled_and_cropped(upright, size, shorter)
            elif size is not None:
                upright = ImageOps.fit(upright, (size[1], size[0]), Image.Resampling.BICUBIC)
            return np.array(upright).reshape(upright.height, upright.width, channels)
    except Exception as error:  # a decoder may raise anything if the bytes are damaged
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(path)!r} must be an image, but cannot be read as one: {reason}") from None


def _upright(file: BinaryIO) -> Any:
    """The image, decoded if its size allows it. It is a copy, so the decoder's memory is free again."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    too_large = f"but at most {MOST_PIXELS} are decoded: make it smaller"
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}, or damaged: save it as one of them") from None
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {Image.MAX_IMAGE_PIXELS} pixels, {too_large}") from None
    with image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it has {image.height} x {image.width} pixels, {too_large}")
        # Pillow would clip these to 255.
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its pixels are {image.mode}, but must have 8 bits a channel")
        if image.format in ("JPEG", "MPO"):
            _check_scans(file)
        return ImageOps.exif_transpose(image)


def _opaque(image: Any) -> Any:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = Image.new("RGB", coloured.size, "white")
    white.paste(coloured, mask=coloured.getchannel("A"))
    return white


def _check_scans(file: BinaryIO) -> None:
    """ValueError if a JPEG has very many scans: each takes a few bytes of the file, and a pass over all pixels."""
    at = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(at)
    scans = end = 0
    # Segments are passed over by their length, because the preview inside one has markers of its own.
    while (found := SEGMENT.search(content, end)) and found[1] != END:
        end = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
        scans += found[1] == SCAN
    if scans > MOST_SCANS:
        raise ValueError(f"it has {scans} scans, but at most {MOST_SCANS} are decoded: save it again")


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
    # macOS writes a hidden file, "._photo.jpg", beside each file on a foreign disk.
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def load_images(folder: str | Path, batch_shape: Shape) -> np.ndarray:
    """The photographs of a folder that are not hidden, in the order of their names, repeated until the batch is full.

    Each is scaled until its shorter side fits and cropped about its middle. Then the mean colour of the photographs in
    the batch is subtracted.

    Shapes
        batch_shape (N, H, W, C) with 3 channels, or 1 for grey -> an array of that shape, float32, in units of the full
        range from black to white.
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
    n, height, width, channels = batch_shape
    photographs = np.empty((min(len(paths), n), *batch_shape[1:]), np.float32)
    for photograph, path in zip(photographs, paths, strict=False):
        photograph[...] = read_image(path, (height, width), channels=channels)
    photographs /= 255
    photographs -= photographs.mean(axis=(0, 1, 2))
    return photographs[np.arange(n) % len(photographs)]
