"""Labelled images to train on, read from files; docs/data.md says where the files come from.

Nothing is unpickled, and nothing downloaded unasked. A damaged file is a ValueError of one sentence, which names the
file, the byte (of the unpacked data where the file is gzip) and what must stand there.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ..geometry import Pair, as_pair
from ..images import SUFFIXES, check_pillow, read_image
from .download import ADDRESSES, IDX_FILES, fetch

NAMES = ("fashion-mnist", "mnist", "cifar10", "digits", "folder")

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist has its files."""

CIFAR10_RECORDS = 10_000
"""Images in one file of CIFAR-10."""

_DIGITS = tuple("0123456789")
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_CIFAR10_FILES = (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin")

_IDX_TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
_MOST_DIMENSIONS = 64
"""As many as NumPy takes."""
_PIECE = 1 << 16


@dataclass(frozen=True, eq=False)
class Images:
    """Images and the class of each: image n shows a ``classes[labels[n]]``.

    Shapes
        ``pixels`` (N, H, W, C), uint8; ``labels`` (N,), intp.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, and others of the same size and the same classes to test on."""

    name: str
    train: Images
    test: Images


def load(
    name: str,
    folder: str | Path | None = None,
    size: int | Pair | None = None,
    download: bool = False,
    progress: bool = False,
) -> Dataset:
    """The data set ``name``, one of NAMES, from the files in ``folder``.

    Without a folder, ``"fashion-mnist"`` is looked for where Debian's package puts it, and it, ``"mnist"`` and
    ``"cifar10"`` in ``~/.cache/tinyalexnet/NAME``. With ``download``, files that are missing there, or in ``folder``,
    are fetched and checked; ``progress`` draws a bar of it on standard error. ``"digits"`` comes with scikit-learn and
    has no folder; its last fifth is for the test. ``"folder"`` is your own images, in ``FOLDER/train/CLASS`` and
    ``FOLDER/test/CLASS``; where ``size`` is given each is scaled until its shorter side fits and cropped about its
    middle, else all must have the same size.

    Shapes
        ``pixels`` (N, 28, 28, 1) of ``"fashion-mnist"`` and ``"mnist"``, (N, 32, 32, 3) of ``"cifar10"``,
        (N, 8, 8, 1) of ``"digits"``, (N, H, W, 3) of ``"folder"``; ``size`` is (H, W).
    Errors
        ValueError where an argument is none of these, where files are missing, and where one is damaged; ImportError
        where ``"digits"`` lacks scikit-learn, ``"folder"`` Pillow or ``download`` pooch; OSError where files cannot be
        fetched.
    """
    if name not in NAMES:
        raise ValueError(f"name is {name!r}, but must be one of {', '.join(map(repr, NAMES))}")
    if size is not None and name != "folder":
        raise ValueError(f"size is {size!r}, but must be None for {name!r}, whose images have one size")
    if download and name not in ADDRESSES:
        raise ValueError(f"download is True, but must be False for {name!r}, which is not on the network")
    if name == "digits":
        if folder is not None:
            raise ValueError(f"folder is {str(folder)!r}, but must be None for 'digits', which is part of scikit-learn")
        return _digits()
    root = None if folder is None else Path(folder)
    if root is not None and not root.is_dir():
        raise ValueError(f"folder is {str(folder)!r}, but must be a folder that exists")
    if name == "folder":
        if root is None:
            raise ValueError("folder is None, but must be the folder that holds train/CLASS and test/CLASS")
        return _folder(root, None if size is None else as_pair("size", size, 1))
    if name == "cifar10":
        return _cifar10(_find(name, root, _CIFAR10_FILES, download, progress))
    return _idx_dataset(name, _find(name, root, IDX_FILES, download, progress))


def read_idx(path: str | Path, sizes: tuple[int | None, ...] | None = None) -> np.ndarray:
    """The array of an IDX file, plain or gzip, which its first bytes tell and not its name.

    What the header declares is believed only as far as the file goes: memory grows as bytes arrive, and ends where the
    header ends.

    Shapes
        as declared, no size 0; ``sizes`` is what the file must declare, None where any size will do. uint8.
    Errors
        ValueError where the file cannot be read, breaks off, goes on, holds another type than uint8, or declares other
        sizes than ``sizes``.
    Source
        LeCun, Cortes and Burges, "The MNIST database of handwritten digits", the section on file formats.
    """
    with _reading(Path(path)) as source:
        shape = _idx_shape(source, sizes)
        data = source.take(math.prod(shape), f"the pixels or labels of shape {shape}")
        source.end()
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_shape(source: _Source, sizes: tuple[int | None, ...] | None) -> tuple[int, ...]:
    *zeros, code, dimensions = source.take(4, "the header of an IDX file")
    for at, zero in enumerate(zeros):
        if zero != 0:
            raise _wrong(source.path, at, zero, "0, as IDX files begin with two zeros")
    if code != 8:
        raise _wrong(source.path, 2, f"the type {code} ({_IDX_TYPES.get(code, 'unknown')})", "8 (uint8)")
    if sizes is None and not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise _wrong(source.path, 3, f"{dimensions} dimensions", f"1 to {_MOST_DIMENSIONS}")
    if sizes is not None and dimensions != len(sizes):
        raise _wrong(source.path, 3, f"{dimensions} dimensions", len(sizes))
    declared = np.frombuffer(source.take(4 * dimensions, f"the sizes of {dimensions} dimensions"), ">u4")
    shape = tuple(int(size) for size in declared)
    for axis, (size, wanted) in enumerate(zip(shape, sizes or (None,) * dimensions, strict=True)):
        if size == 0 or wanted not in (None, size):
            raise _wrong(source.path, 4 + 4 * axis, f"the size {size}", "at least 1" if wanted is None else wanted)
    return shape


def _idx_dataset(name: str, files: list[Path]) -> Dataset:
    classes = _FASHION if name == "fashion-mnist" else _DIGITS
    return Dataset(name, _idx_images(files[0], files[1], classes), _idx_images(files[2], files[3], classes))


def _idx_images(images: Path, labels: Path, classes: tuple[str, ...]) -> Images:
    pixels = read_idx(images, (None, 28, 28))
    numbers = read_idx(labels, (None,))
    if len(numbers) != len(pixels):
        raise _wrong(labels, 4, f"the size {len(numbers)}", f"{len(pixels)}, the number of images in {str(images)!r}")
    return Images(pixels[..., None], _labels(numbers, labels, first=8, step=1), classes)


def _labels(numbers: np.ndarray, path: Path, first: int, step: int) -> np.ndarray:
    """As intp. The first label stands at byte ``first`` of the file, the others ``step`` bytes apart."""
    bad = np.flatnonzero(numbers > 9)
    if bad.size:
        raise _wrong(path, first + step * int(bad[0]), f"the label {numbers[bad[0]]}", "0 to 9")
    return numbers.astype(np.intp)


def _cifar10(files: list[Path]) -> Dataset:
    meta = files[0].with_name("batches.meta.txt")
    classes = _class_names(meta) if meta.is_file() else _CIFAR10
    *batches, test = [_cifar10_batch(path, classes) for path in files]
    pixels = np.concatenate([batch.pixels for batch in batches])
    return Dataset("cifar10", Images(pixels, np.concatenate([batch.labels for batch in batches]), classes), test)


def _cifar10_batch(path: Path, classes: tuple[str, ...]) -> Images:
    """A record is a byte of label, then 32 x 32 of red, of green, and of blue: www.cs.toronto.edu/~kriz/cifar.html."""
    with _reading(path) as source:
        data = source.take(3073 * CIFAR10_RECORDS, f"{CIFAR10_RECORDS} records of 3073 bytes")
        source.end()
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels), _labels(records[:, 0], path, first=0, step=3073), classes)


def _class_names(path: Path) -> tuple[str, ...]:
    """Ten different names, one a line."""
    names: list[str] = []
    with _reading(path) as source:
        text = source.rest(4096)
        source.end()
    at = 0
    for line in text.splitlines(keepends=True):
        try:
            name = line.decode().strip()
        except UnicodeDecodeError as error:
            raise _wrong(path, at + error.start, f"the byte {line[error.start]}", "UTF-8") from None
        if name and (name in names or len(names) == 10):
            raise _wrong(path, at, f"the class name {name!r}", "ten different names, one a line, and no more")
        names += [name] if name else []
        at += len(line)
    if len(names) < 10:
        raise _wrong(path, at, f"its end after {len(names)} class names", "ten")
    return tuple(names)


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError("digits needs scikit-learn: pip install 'tinyalexnet[data]'") from None
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.intp)
    split = len(labels) - len(labels) // 5
    train = Images(pixels[:split], labels[:split], _DIGITS)
    return Dataset("digits", train, Images(pixels[split:], labels[split:], _DIGITS))


def _folder(root: Path, size: Pair | None) -> Dataset:
    check_pillow("data")
    classes = _classes(root)
    train, test = ([_photographs(root / split / name) for name in classes] for split in ("train", "test"))
    if size is not None:
        return Dataset("folder", _stack(train, size, True, classes), _stack(test, size, True, classes))
    height, width, _ = read_image(train[0][0], None).shape
    return Dataset(
        "folder", _stack(train, (height, width), False, classes), _stack(test, (height, width), False, classes)
    )


def _classes(root: Path) -> tuple[str, ...]:
    """The names of the folders in ``root/train``, which must be those in ``root/test``."""
    train, test = root / "train", root / "test"
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
    """What is in the folder and not hidden, by name."""
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)


def _photographs(folder: Path) -> list[Path]:
    paths = [path for path in _entries(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ValueError(f"{str(folder)!r} has no images, but must have at least one of {', '.join(SUFFIXES)}")
    return paths


def _stack(groups: list[list[Path]], size: Pair, fit: bool, classes: tuple[str, ...]) -> Images:
    """The images of each class in turn, all of ``size``, fitted to it or refused."""
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
    labels = np.repeat(np.arange(len(classes), dtype=np.intp), [len(group) for group in groups])
    return Images(pixels, labels, classes)


def _find(name: str, folder: Path | None, files: tuple[str, ...], download: bool, progress: bool) -> list[Path]:
    """Each file, with or without its ending ``.gz``, in the first place that has them all."""
    debian = [Path(DEBIAN_FOLDER)] if name == "fashion-mnist" else []
    places = [*debian, Path.home() / ".cache" / "tinyalexnet" / name] if folder is None else [folder]
    if download and all(_missing(place, files) for place in places):
        fetch(name, places[-1], progress)
    for place in places:
        if not _missing(place, files):
            return [path for file in files if (path := _plain_or_packed(place / file))]
    package = ", or install Debian's package dataset-fashion-mnist and give no folder" if debian else ""
    raise ValueError(
        f"{name} must be whole in {' or '.join(repr(str(place)) for place in places)}, but is not: download it "
        f"(--download), or put {', '.join(_missing(places[-1], files))} from {ADDRESSES[name]} into {str(places[-1])!r}"
        f"{package}"
    )


def _missing(place: Path, files: tuple[str, ...]) -> list[str]:
    return [file for file in files if _plain_or_packed(place / file) is None]


def _plain_or_packed(path: Path) -> Path | None:
    plain = path.with_name(path.name.removesuffix(".gz"))
    return next((option for option in (plain, path) if option.is_file()), None)


def _wrong(path: Path, at: int, found: object, expected: object) -> ValueError:
    return ValueError(f"{str(path)!r} has {found} at byte {at}, but must have {expected}")


class _Source:
    """The bytes of a file, unpacked, and how many of them were read."""

    def __init__(self, path: Path, stream: BufferedIOBase) -> None:
        self.path = path
        self.at = 0
        self._stream = stream

    def take(self, count: int, what: str) -> bytearray:
        """The next ``count`` bytes, which are ``what``. ValueError where the file has fewer."""
        data = self.rest(count)
        if len(data) < count:
            raise _wrong(self.path, self.at, "its end", f"{count - len(data)} more bytes for {what}")
        return data

    def rest(self, most: int) -> bytearray:
        """The next ``most`` bytes, or what there is. In pieces, so that ``most`` is never allocated on trust."""
        data = bytearray()
        while len(data) < most:
            piece = self._piece(min(most - len(data), _PIECE))
            if not piece:
                break
            data += piece
        return data

    def end(self) -> None:
        """ValueError where the file goes on. Only this reads the checksum of a gzip."""
        at = self.at
        if self._piece(1):
            raise _wrong(self.path, at, "more bytes", "its end")

    def _piece(self, most: int) -> bytes:
        try:
            # Not read(), which would lose what came before an error.
            piece = self._stream.read1(most)
        except (EOFError, OSError, zlib.error) as error:
            raise _wrong(self.path, self.at, f"an error ({error})", "a file that can be read, whole") from None
        self.at += len(piece)
        return piece


@contextmanager
def _reading(path: Path) -> Iterator[_Source]:
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                yield _Source(path, stream)
    except OSError as error:
        raise _wrong(path, 0, f"an error ({error.strerror})", "a file that can be read") from None
