"""Data sets: MNIST, Fashion-MNIST and the digits, the search for files, and arguments that are refused."""

from __future__ import annotations

import ast
import gzip
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from data_files import IDX, counted, idx, refusal, write

from tinyalexnet.training import cifar10, data, reading
from tinyalexnet.training import folder as folders
from tinyalexnet.training import idx as idx_files

# --- MNIST and Fashion-MNIST ------------------------------------------------------------------------------------------


def write_mnist(folder, train=5, test=3, ending=""):
    contents = (
        counted(train, 28, 28),
        np.arange(train) % 10,
        counted(test, 28, 28, start=100),
        (np.arange(test) + 4) % 10,
    )
    for name, array in zip(IDX, contents, strict=True):
        content = idx(array)
        write(folder / (name + ending), gzip.compress(content) if ending else content)
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(("name", "second"), [("mnist", "1"), ("fashion-mnist", "Trouser")])
def test_mnist(tmp_path, name, second, ending):
    dataset = data.load(name, str(write_mnist(tmp_path, ending=ending)))
    assert dataset.name == name
    np.testing.assert_array_equal(dataset.train.pixels, counted(5, 28, 28)[..., None], strict=True)
    np.testing.assert_array_equal(dataset.test.pixels, counted(3, 28, 28, start=100)[..., None], strict=True)
    np.testing.assert_array_equal(dataset.train.labels, np.arange(5, dtype=np.intp), strict=True)
    np.testing.assert_array_equal(dataset.test.labels, np.array([4, 5, 6], np.intp), strict=True)
    assert dataset.train.classes == dataset.test.classes
    assert len(set(dataset.train.classes)) == 10
    assert dataset.train.classes[1] == second


def test_classes_of_fashion_mnist_with_a_space_are_one(tmp_path):
    assert data.load("fashion-mnist", write_mnist(tmp_path)).test.classes[9] == "Ankle boot"


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_that_is_refused(tmp_path, ending):
    def wrong(file, array):
        write_mnist(tmp_path, ending=ending)
        content = idx(array)
        path = write(tmp_path / (IDX[file] + ending), gzip.compress(content) if ending else content)
        message = refusal(data.load, "mnist", tmp_path)
        assert message.startswith(f"{str(path)!r} has ")
        return message.removeprefix(f"{str(path)!r} has ")

    images = str(tmp_path / (IDX[0] + ending))
    assert wrong(0, counted(5, 27, 28)) == "the size 27 at byte 8, but must have 28"
    assert wrong(2, counted(3, 28, 29)) == "the size 29 at byte 12, but must have 28"
    assert wrong(0, counted(5, 784)) == "2 dimensions at byte 3, but must have 3"
    assert wrong(1, np.arange(4)) == f"the size 4 at byte 4, but must have 5, the number of images in {images!r}"
    assert wrong(3, np.array([9, 10, 11])) == "the label 10 at byte 9, but must have 0 to 9"
    assert wrong(1, np.array([255, 0, 0, 0, 0])) == "the label 255 at byte 8, but must have 0 to 9"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """No data set is installed, and the home is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(data, "DEBIAN_FOLDER", str(tmp_path / "debian"))
    return tmp_path


def test_where_mnist_is_looked_for(home):
    """The first place that has all of it: Debian's, then the cache. Debian has no MNIST."""
    cache = home / "home" / ".cache" / "tinyalexnet"
    write_mnist(cache / "fashion-mnist", train=5)
    write_mnist(cache / "mnist", train=4)
    assert len(data.load("fashion-mnist").train.labels) == 5
    write_mnist(home / "debian", train=6)
    assert len(data.load("fashion-mnist").train.labels) == 6
    (home / "debian" / IDX[3]).unlink()
    assert len(data.load("fashion-mnist").train.labels) == 5
    assert len(data.load("mnist").train.labels) == 4


def test_what_to_do_where_fashion_mnist_is_not_found(home):
    message = refusal(data.load, "fashion-mnist")
    target = str(home / "home" / ".cache" / "tinyalexnet" / "fashion-mnist")
    assert message.startswith(f"fashion-mnist must be whole in {str(home / 'debian')!r} or ")
    address = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    assert (
        f"put {', '.join(name + '.gz' for name in IDX)} from {address} into {target!r}, or install Debian's package "
        in (message)
    )


def test_what_to_do_where_mnist_is_not_whole(home):
    folder = write_mnist(home / "mine")
    (folder / IDX[1]).unlink()
    (folder / IDX[2]).unlink()
    assert refusal(data.load, "mnist", folder) == (
        f"mnist must be whole in {str(folder)!r}, but is not: download it (--download), or put {IDX[1]}.gz, "
        f"{IDX[2]}.gz from https://ossci-datasets.s3.amazonaws.com/mnist/ into {str(folder)!r}"
    )
    assert "Debian" not in refusal(data.load, "mnist")


# --- files that are missing, and pickles ------------------------------------------------------------------------------


def test_what_to_do_where_cifar10_is_not_found(home):
    message = refusal(data.load, "cifar10")
    assert "put data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin" in message
    assert "test_batch.bin from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz into " in message
    assert str(home / "home" / ".cache" / "tinyalexnet" / "cifar10") in message


class Harm:
    """Unpickling it raises."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_nothing_is_unpickled(home):
    """CIFAR-10's files for Python are pickles: neither they nor pickles under the names looked for are opened."""
    harm = pickle.dumps(Harm())
    for file in (*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch", "batches.meta"):
        write(home / "mine" / file, harm)
    assert "data_batch_1.bin" in refusal(data.load, "cifar10", home / "mine")
    for name in IDX:
        write(home / "mine" / name, harm)
    assert "has 128 at byte 0" in refusal(data.load, "mnist", home / "mine")
    readers = [ast.parse(Path(module.__file__).read_text()) for module in (data, reading, idx_files, cifar10, folders)]
    nodes = [node for tree in readers for node in ast.walk(tree)]
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert "frombuffer" in names
    assert not names & {"load", "loads", "pickle", "allow_pickle"}


# --- digits -----------------------------------------------------------------------------------------------------------


def check_digits(dataset, images, target):
    split = len(images) - len(images) // 5
    assert dataset.name == "digits"
    assert len(dataset.train.labels) == split
    assert dataset.train.classes == dataset.test.classes == tuple("0123456789")
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels])
    assert pixels.shape == (*images.shape, 1)
    assert dataset.train.pixels.dtype == dataset.test.pixels.dtype == np.uint8
    # 255 / 16 to the nearest: at most half a step off, black is 0 and white 255.
    np.testing.assert_allclose(pixels[..., 0] * (16 / 255), images, atol=8 / 255)
    assert pixels.min() == 0
    assert pixels.max() == 255
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    np.testing.assert_array_equal(labels, target.astype(np.intp), strict=True)


@pytest.mark.parametrize("has_file", [True, False])
def test_digits_of_a_fake_scikit_learn(monkeypatch, tmp_path, has_file):
    """It is not imported for a file that is where it is today."""
    rng = np.random.default_rng(0)
    images, target = rng.integers(0, 17, (14, 8, 8)).astype(float), rng.integers(0, 10, 14)
    images[0, 0, :2] = 0, 16
    table = np.column_stack([images.reshape(14, 64), target])
    folder = tmp_path / "sklearn" / "datasets"
    (folder / "data").mkdir(parents=True)
    write(tmp_path / "sklearn" / "__init__.py", b"raise AssertionError" if has_file else b"")
    module = types.ModuleType("sklearn.datasets")
    module.load_digits = lambda: types.SimpleNamespace(data=table[:, :64], target=target)
    if has_file:
        np.savetxt(folder / "data" / "digits.csv.gz", table, delimiter=",")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn", None)  # so that what the test imports goes with it
    monkeypatch.delitem(sys.modules, "sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    dataset = data.load("digits")
    assert len(dataset.test.labels) == 2
    check_digits(dataset, images, target)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            gzip.compress(b"1,2,3\n4,5,6\n", mtime=0),
            "no table of digits at byte 0, but must have rows of 64 pixels and a class",
        ),
        (gzip.compress(b"a,b\n", mtime=0), "no table of digits at byte 0, but must have rows of 64 pixels and a class"),
        (
            gzip.compress(b"\xff\n", mtime=0),
            "no table of digits at byte 0, but must have rows of 64 pixels and a class",
        ),
        (
            gzip.compress(b"1,2,3\n", mtime=0)[:-3],
            "an error (.*) at byte .*, but must have a file that can be read, whole",
        ),
    ],
)
def test_damaged_digits_are_named(monkeypatch, tmp_path, content, found):
    folder = tmp_path / "sklearn" / "datasets" / "data"
    folder.mkdir(parents=True)
    write(tmp_path / "sklearn" / "__init__.py", b"")
    write(folder / "digits.csv.gz", content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn")
    with pytest.raises(ValueError, match=found) as caught:
        data.load("digits")
    assert str(folder / "digits.csv.gz") in str(caught.value)


def test_digits_beside_a_folder_that_only_has_the_name(monkeypatch, tmp_path):
    (tmp_path / "sklearn").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="digits needs scikit-learn: pip install"):
        data.load("digits")


def test_digits_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    dataset = data.load("digits")
    digits = datasets.load_digits()
    check_digits(dataset, digits.images, digits.target)
    assert dataset.train.pixels.shape == (1438, 8, 8, 1)
    assert np.bincount(dataset.test.labels).min() > 30


def test_digits_without_scikit_learn(monkeypatch):
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        data.load("digits")
    assert str(caught.value) == "digits needs scikit-learn: pip install 'tinyalexnet[data]'"


# --- the arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("imagenet",),
            "name is 'imagenet', but must be one of 'fashion-mnist', 'mnist', 'cifar10', 'digits', 'folder'",
        ),
        (("mnist", "/no/such"), "folder is '/no/such', but must be a folder that exists"),
        (("folder", Path("/no/such")), "folder is '/no/such', but must be a folder that exists"),
        (("folder",), "folder is None, but must be the folder that holds train/CLASS and test/CLASS"),
        (("digits", "."), "folder is '.', but must be None for 'digits', which is part of scikit-learn"),
        (("mnist", ".", 28), "size is 28, but must be None for 'mnist', whose images have one size"),
        (("folder", ".", (0, 8)), "size is (0, 8), but must be an int >= 1 or a pair of them"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    assert refusal(data.load, *arguments) == message


def test_images_cannot_be_changed_by_assignment(tmp_path):
    dataset = data.load("mnist", write_mnist(tmp_path))
    with pytest.raises(AttributeError):
        dataset.train.labels = dataset.test.labels
    with pytest.raises(AttributeError):
        dataset.name = "other"


P, L = np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("pixels", "labels", "error", "message"),
    [
        (P.astype(np.float32), L, TypeError, "pixels is float32, but must be a uint8 array of values from 0 to 255"),
        (P.tolist(), L, TypeError, "pixels is list, but must be a uint8 array"),
        (P[..., 0], L, ValueError, r"pixels has shape \(3, 2, 2\), but must have the four dimensions \(N, H, W, C\)"),
        (P[:0], L[:0], ValueError, r"pixels has shape \(0, 2, 2, 1\), but must have no dimension of size 0"),
        (P, [0, 1, 1], TypeError, "labels is list, but must be an array of integers, the number of each image's class"),
        (P, L.astype(float), TypeError, "labels is float64, but must be an array of integers"),
        (P, L > 0, TypeError, "labels is bool, but must be an array of integers"),
        (P, L[:2], ValueError, r"labels has shape \(2,\), but must have a label for each image of pixels, \(3,\)"),
        (P, L[:, None], ValueError, r"labels has shape \(3, 1\), but must have"),
        (P, L + 1, ValueError, "labels has 2, but must be from 0 to 1, the number of a class"),
        (P, 2 * L, ValueError, "labels has 2, but must be from 0 to 1"),
        (P, L - 1, ValueError, "labels has -1, but must be from 0 to 1"),
    ],
)
def test_images_of_ones_own_that_are_none_are_refused(pixels, labels, error, message):
    with pytest.raises(error, match=message):
        data.Images(pixels, labels, ("a", "b"))


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.intp])
def test_images_of_ones_own(kind):
    assert data.Images(P, L.astype(kind), ("a", "b")).labels.dtype == kind


def test_cifar10_for_python_is_recognised(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({}))
    assert refusal(data.load, "cifar10", tmp_path).endswith(
        "; data_batch_1 is of the version for Python, a pickle, which is not read"
    )
