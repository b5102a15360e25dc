"""A user's own images: a folder for each class, in ``train`` and in ``test``."""

from pathlib import Path

import numpy as np

from ..geometry import Pair
from ..images import SUFFIXES, check_pillow, left_out, read_image

SPLITS = ("train", "test")


def read_folder(root: Path, size: Pair | None) -> tuple[tuple[str, ...], list[tuple[np.ndarray, np.ndarray]]]:
    """The names of the classes, and the images and labels of each split.

    Shapes
        images (N, H, W, 3), uint8, and labels (N,), intp. If ``size`` (H, W) is given, each image is fitted to it; if
        not, all must have the size of the first one.
    Errors
        ValueError if a folder or its images are missing, the splits have different classes, or an image cannot be read
        or has another size; ImportError without Pillow.
    """
    check_pillow("data")
    classes = _classes(root)
    splits = [[_photographs(root / split / name) for name in classes] for split in SPLITS]
    height, width = size or read_image(splits[0][0][0], None).shape[:2]
    return classes, [_stack(groups, (height, width), fit=size is not None) for groups in splits]


def unread(root: Path) -> str:
    """A sentence about the files in ``root`` that ``read_folder`` does not read; "" if it reads all."""
    classes = [path for split in SPLITS for path in _entries(root / split) if path.is_dir()]
    taken = {path for folder in classes for path in _photographs(folder)}
    return left_out(root, taken, f"{', '.join(SUFFIXES)} in {' and '.join(f'{split}/CLASS' for split in SPLITS)} are")


def _classes(root: Path) -> tuple[str, ...]:
    """The names of the folders in ``root/train``, which must be those in ``root/test``."""
    train, test = (root / split for split in SPLITS)
    for split in (train, test):
        if not split.is_dir():
            raise ValueError(
                f"folder is {str(root)!r} without {split.name!r} in it, but must hold train/CLASS and test/CLASS, "
                "so that it is settled which images are for the test"
            )
    classes, others = ([path.name for path in _entries(split) if path.is_dir()] for split in (train, test))
    if classes != others:
        differ = ", ".join(map(repr, sorted({*classes} ^ {*others})))
        raise ValueError(
            f"{str(train)!r} and {str(test)!r} must have the same classes, but only one of them has {differ}"
        )
    if not classes:
        raise ValueError(f"{str(train)!r} has no folders, but must have one for each class")
    return tuple(classes)


def _entries(folder: Path) -> list[Path]:
    """The folder's entries that are not hidden, by name."""
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)


def _photographs(folder: Path) -> list[Path]:
    paths = [path for path in _entries(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ValueError(f"{str(folder)!r} has no images, but must have at least one of {', '.join(SUFFIXES)}")
    return paths


def _stack(groups: list[list[Path]], size: Pair, fit: bool) -> tuple[np.ndarray, np.ndarray]:
    """The images of one class after the other, and their labels. An image of another size is fitted or refused."""
    paths = [path for group in groups for path in group]
    pixels = np.empty((len(paths), *size, 3), np.uint8)
    for pixel, path in zip(pixels, paths, strict=True):
        photograph = read_image(path, size if fit else None)
        if photograph.shape != pixel.shape:
            height, width, _ = photograph.shape
            raise ValueError(
                f"{str(path)!r} has {height} x {width} pixels, but must have {size[0]} x {size[1]}, as the first image "
                "has, or a size must be given that all are fitted to"
            )
        pixel[...] = photograph
    return pixels, np.repeat(np.arange(len(groups), dtype=np.intp), [len(group) for group in groups])
