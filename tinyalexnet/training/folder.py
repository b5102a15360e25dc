"""A user's own images: a folder for each class, in ``train`` and in ``test``."""

import unicodedata
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
    classes, folders = _classes(root)
    splits = [[_photographs(folder) for folder in found] for found in folders]
    height, width = size or read_image(splits[0][0][0], None).shape[:2]
    return classes, [_stack(groups, (height, width), fit=size is not None) for groups in splits]


def unread(root: Path) -> str:
    """A sentence about the files in ``root`` that ``read_folder`` does not read; "" if it reads all."""
    classes = [path for split in SPLITS for path in _entries(root / split) if path.is_dir()]
    taken = {path for folder in classes for path in _photographs(folder)}
    return left_out(root, taken, f"{', '.join(SUFFIXES)} in {' and '.join(f'{split}/CLASS' for split in SPLITS)} are")


def _classes(root: Path) -> tuple[tuple[str, ...], list[list[Path]]]:
    """The names of the classes, and their folders in each split, in the same order."""
    splits = [_by_class(root / split, root) for split in SPLITS]
    train, test = splits
    if train.keys() != test.keys():
        differ = ", ".join(map(repr, sorted(train.keys() ^ test.keys())))
        paths = " and ".join(repr(str(root / split)) for split in SPLITS)
        raise ValueError(f"{paths} must have the same classes, but only one of them has {differ}")
    if not train:
        raise ValueError(f"{str(root / SPLITS[0])!r} has no folders, but must have one for each class")
    classes = tuple(sorted(train))
    return classes, [[split[name] for name in classes] for split in splits]


def _by_class(split: Path, root: Path) -> dict[str, Path]:
    """The folder of each class in a split.

    The same name may be written in several Unicode forms: macOS stores "é" as two characters, others as one. So the
    names of classes are in form C.
    """
    if not split.is_dir():
        raise ValueError(
            f"folder is {str(root)!r} without {split.name!r} in it, but must hold train/CLASS and test/CLASS, "
            "so that it is settled which images are for the test"
        )
    folders: dict[str, Path] = {}
    for path in _entries(split):
        name = unicodedata.normalize("NFC", path.name)
        if path.is_dir() and folders.setdefault(name, path) != path:
            both = " and ".join(ascii(found.name) for found in (folders[name], path))
            raise ValueError(
                f"{str(split)!r} has the class {name!r} twice, as {both}, but must have it once: these are two Unicode "
                "forms of one name"
            )
    return folders


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
