"""Labelled images to train on, read from files; docs/data.md says where the files come from.

Nothing is unpickled, and nothing is downloaded unless it is asked for. A damaged file is a ValueError of one sentence,
which names the file, the byte (of the unpacked data if the file is gzip) and the expected content.
"""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..geometry import Pair, as_pair
from ..ops.checks import INTEGERS, check_shape, images_shape
from . import cifar10
from .download import ADDRESSES, IDX_FILES, fetch
from .folder import read_folder
from .idx import read_pair
from .reading import reading, wrong

NAMES = ("fashion-mnist", "mnist", "cifar10", "digits", "folder")

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
"""Debian's package dataset-fashion-mnist has its files there."""

MOST_TABLE = 1 << 24
"""Bytes of scikit-learn's digits at most; they have a quarter of a megabyte."""

DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@dataclass(frozen=True, eq=False)
class Images:
    """Images and the class of each: image n shows a ``classes[labels[n]]``.

    Shapes
        ``pixels`` (N, H, W, C), uint8; ``labels`` (N,), integers.
    Errors
        TypeError for another dtype or no array; ValueError for another shape, or a label that no class has.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        pixels, labels = self.pixels, self.labels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            found = getattr(pixels, "dtype", type(pixels).__name__)
            raise TypeError(f"pixels is {found}, but must be a uint8 array of values from 0 to 255")
        images_shape("pixels", pixels.shape)
        if not isinstance(labels, np.ndarray) or labels.dtype not in INTEGERS:
            found = getattr(labels, "dtype", type(labels).__name__)
            raise TypeError(f"labels is {found}, but must be an array of integers, the number of each image's class")
        check_shape("labels", labels.shape, (len(pixels),), "a label for each image of pixels")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            bad = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"labels has {bad}, but must be from 0 to {len(self.classes) - 1}, the number of a class")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, and others of the same size and the same classes to test on."""

    name: str
    train: Images
    test: Images


GREY = np.array([19595, 38470, 7471], np.uint32)
"""0.299, 0.587 and 0.114 of red, green and blue, times 2^16: ITU-R 601, as Pillow has it."""


def with_channels(dataset: Dataset, channels: int) -> Dataset:
    """The images as grey ones if ``channels`` is 1, and with three equal ones if it is 3."""

    def converted(images: Images) -> Images:
        if channels == images.pixels.shape[3]:
            return images
        if channels == 3:
            return replace(images, pixels=np.repeat(images.pixels, 3, axis=3))
        grey = np.empty((*images.pixels.shape[:3], 1), np.uint8)
        for one, image in zip(grey, images.pixels, strict=True):
            one[..., 0] = (image @ GREY + (1 << 15)) >> 16
        return replace(images, pixels=grey)

    return replace(dataset, train=converted(dataset.train), test=converted(dataset.test))


def load(
    name: str,
    folder: str | Path | None = None,
    size: int | Pair | None = None,
    download: bool = False,
    progress: bool = False,
) -> Dataset:
    """The data set ``name``, one of NAMES, from the files in ``folder``.

    Without a folder, ``"fashion-mnist"``, ``"mnist"`` and ``"cifar10"`` are read from ``~/.cache/tinyalexnet/NAME``;
    ``"fashion-mnist"`` first from the folder of Debian's package. If ``download`` is true, files that are missing
    there, or in ``folder``, are fetched and checked; ``progress`` shows a bar of it on standard error. ``"digits"``
    comes with scikit-learn and has no folder; its last fifth is the test. ``"folder"`` is your own images, in
    ``FOLDER/train/CLASS`` and ``FOLDER/test/CLASS``. If ``size`` is given, each of them is scaled until its shorter
    side fits and cropped about its middle; if not, all must have the same size.

    Shapes
        ``pixels`` (N, 28, 28, 1) of ``"fashion-mnist"`` and ``"mnist"``, (N, 32, 32, 3) of ``"cifar10"``,
        (N, 8, 8, 1) of ``"digits"``, (N, H, W, 3) of ``"folder"``; ``size`` is (H, W).
    Errors
        ValueError if an argument is none of these, files are missing, or a file is damaged; ImportError if ``"digits"``
        lacks scikit-learn, ``"folder"`` Pillow or ``download`` pooch; OSError if files cannot be fetched.
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
        classes, (train, test) = read_folder(root, None if size is None else as_pair("size", size, 1))
        return Dataset("folder", Images(*train, classes), Images(*test, classes))
    if name == "cifar10":
        return _cifar10(_find(name, root, cifar10.FILES, download, progress))
    files = _find(name, root, IDX_FILES, download, progress)
    classes = FASHION if name == "fashion-mnist" else DIGITS
    return Dataset(name, Images(*read_pair(*files[:2]), classes), Images(*read_pair(*files[2:]), classes))


def _cifar10(files: list[Path]) -> Dataset:
    classes = cifar10.class_names(files[0].parent)
    *batches, test = [cifar10.read_batch(path) for path in files]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return Dataset("cifar10", Images(pixels, labels, classes), Images(*test, classes))


def _digits() -> Dataset:
    table = _table_of_digits()
    pixels = np.rint(table[:, :64].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    labels = table[:, 64].astype(np.intp)
    split = len(labels) - len(labels) // 5
    train = Images(pixels[:split], labels[:split], DIGITS)
    return Dataset("digits", train, Images(pixels[split:], labels[split:], DIGITS))


def _table_of_digits() -> np.ndarray:
    """A row for each image: its 64 pixels, from 0 to 16, and its class. Scikit-learn's file is read without importing
    scikit-learn, which takes a second; if it is elsewhere in some version, that finds it."""
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return _table(file)
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError("digits needs scikit-learn: pip install 'tinyalexnet[data]'") from None
    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def _table(file: Path) -> np.ndarray:
    with reading(file) as source:
        text = source.rest(MOST_TABLE)
    try:
        table = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", ndmin=2)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape[1] != 65:
        raise wrong(file, 0, "no table of digits", "rows of 64 pixels and a class")
    return table


def _find(name: str, folder: Path | None, files: tuple[str, ...], download: bool, progress: bool) -> list[Path]:
    """Each file, with or without its ending ``.gz``, in the first folder that has all of them."""
    debian = [Path(DEBIAN_FOLDER)] if name == "fashion-mnist" else []
    folders = [*debian, Path.home() / ".cache" / "tinyalexnet" / name] if folder is None else [folder]
    if download and all(_missing(candidate, files) for candidate in folders):
        fetch(name, folders[-1], progress)
    for candidate in folders:
        if not _missing(candidate, files):
            return [path for file in files if (path := _plain_or_packed(candidate / file))]
    package = ", or install Debian's package dataset-fashion-mnist and give no folder" if debian else ""
    if (folders[-1] / "data_batch_1").exists():
        package = "; data_batch_1 is of the version for Python, a pickle, which is not read"
    own, lacking = str(folders[-1]), ", ".join(_missing(folders[-1], files))
    raise ValueError(
        f"{name} must be whole in {' or '.join(repr(str(path)) for path in folders)}, but is not: download it "
        f"(--download), or put {lacking} from {ADDRESSES[name]} into {own!r}{package}"
    )


def _missing(folder: Path, files: tuple[str, ...]) -> list[str]:
    return [file for file in files if _plain_or_packed(folder / file) is None]


def _plain_or_packed(path: Path) -> Path | None:
    plain = path.with_name(path.name.removesuffix(".gz"))
    return next((option for option in (plain, path) if option.is_file()), None)
