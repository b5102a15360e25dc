"""Files that are right are read to the last byte; files that are wrong are refused by name and byte."""

from __future__ import annotations

import ast
import gzip
import pickle
import random
import struct
import sys
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.training import cifar10, data, reading
from tinyalexnet.training import folder as folders
from tinyalexnet.training import idx as idx_files
from tinyalexnet.training.idx import read_idx

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def idx(array, code=8):
    """The bytes of an IDX file, written here by its format's own words and not by the reader's."""
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def counted(*shape, start=0):
    """An array in which neighbours differ along every axis."""
    return ((np.arange(np.prod(shape)) * 7 + start) % 251).astype(np.uint8).reshape(shape)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refusal(function, *arguments, **keywords):
    """The sentence in which ``function`` refuses."""
    with pytest.raises(ValueError, match=r"but") as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- IDX -------------------------------------------------------------------------------------------------------------

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)


@given(shape=SHAPES, start=st.integers(0, 250), packed=st.booleans())
def test_an_idx_file_is_read_as_it_was_written(tmp_path_factory, shape, start, packed):
    array = counted(*shape, start=start)
    content = idx(array)
    path = write(tmp_path_factory.getbasetemp() / "round-trip", gzip.compress(content) if packed else content)
    for sizes in (None, shape, (None,) * len(shape)):
        read = read_idx(str(path), sizes)
        assert read.dtype == np.uint8
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, array, strict=True)


def test_the_content_tells_gzip_from_plain_and_the_name_does_not(tmp_path):
    array = counted(3, 5)
    for name, content in (("plain.gz", idx(array)), ("packed", gzip.compress(idx(array)))):
        np.testing.assert_array_equal(read_idx(write(tmp_path / name, content)), array)


def test_a_file_of_many_pieces_and_two_gzip_members(tmp_path):
    """Longer than one piece, and incompressible, so that no buffer holds all of it."""
    array = np.frombuffer(random.Random(0).randbytes(300_000), np.uint8).reshape(3, 100_000)
    content = idx(array)
    np.testing.assert_array_equal(read_idx(write(tmp_path / "plain", content)), array)
    members = gzip.compress(content[:70_001]) + gzip.compress(content[70_001:])
    np.testing.assert_array_equal(read_idx(write(tmp_path / "packed", members)), array)


def test_as_many_dimensions_as_numpy_takes(tmp_path):
    array = np.array([7], np.uint8).reshape((1,) * 64)
    np.testing.assert_array_equal(read_idx(write(tmp_path / "x", idx(array))), array, strict=True)


EXAMPLE = idx(counted(2, 3, 4))


@pytest.mark.parametrize("end", range(len(EXAMPLE)))
def test_a_plain_file_that_breaks_off_anywhere(tmp_path, end):
    path = write(tmp_path / "x", EXAMPLE[:end])
    wanted = 4 if end < 4 else 16 if end < 16 else len(EXAMPLE)
    message = refusal(read_idx, path)
    assert message.startswith(f"{str(path)!r} has its end at byte {end}, but must have {wanted - end} more bytes for ")


@pytest.mark.parametrize("end", range(len(EXAMPLE)))
def test_a_gzip_of_a_file_that_breaks_off_anywhere(tmp_path, end):
    path = write(tmp_path / "x.gz", gzip.compress(EXAMPLE[:end]))
    assert refusal(read_idx, path).startswith(f"{str(path)!r} has its end at byte {end}, but must have ")


def test_a_gzip_that_breaks_off_anywhere(tmp_path):
    """The byte named is the last that could be unpacked: it never falls, and ends at the length of the whole."""
    content = idx(np.frombuffer(random.Random(1).randbytes(400), np.uint8).reshape(20, 20))
    packed = gzip.compress(content)
    reached = []
    for end in range(2, len(packed)):
        path = write(tmp_path / "x.gz", packed[:end])
        message = refusal(read_idx, path)
        assert message.startswith(f"{str(path)!r} has an error (Compressed file ended before the end-of-stream marker")
        assert message.endswith("but must have a file that can be read, whole")
        reached.append(int(message.split(" at byte ")[1].split(",")[0]))
    assert reached == sorted(reached)
    assert reached[0] == 0
    assert reached[-8:] == [len(content)] * 8  # the checksum and the length are eight bytes
    assert len(set(reached)) > 300
    for end in range(2):
        message = refusal(read_idx, write(tmp_path / "x.gz", packed[:end]))
        assert f"has its end at byte {end}" in message


@pytest.mark.parametrize("at", [-8, -1], ids=["checksum", "length"])
def test_a_gzip_with_a_wrong_checksum_or_length(tmp_path, at):
    packed = bytearray(gzip.compress(EXAMPLE))
    packed[at] ^= 1
    path = write(tmp_path / "x.gz", packed)
    message = refusal(read_idx, path)
    assert message.startswith(f"{str(path)!r} has an error (")
    assert f"at byte {len(EXAMPLE)}, but must have a file that can be read, whole" in message


def test_a_gzip_with_any_bit_turned_is_refused_or_read_rightly(tmp_path):
    """Some bits of a gzip say nothing about its content, such as the time it was made."""
    packed, array = gzip.compress(EXAMPLE), counted(2, 3, 4)
    refused = []
    for at in range(len(packed)):
        for bit in range(8):
            damaged = bytearray(packed)
            damaged[at] ^= 1 << bit
            path = write(tmp_path / "x.gz", damaged)
            try:
                read = read_idx(path)
            except ValueError as error:
                refused.append(str(error))
            else:
                np.testing.assert_array_equal(read, array, strict=True)
    assert len(refused) > 4 * len(packed)
    assert all(message.startswith(f"{str(path)!r} has ") for message in refused)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    at=st.integers(0, 1000),
    mask=st.integers(1, 255),
    packed=st.booleans(),
)
def test_no_header_with_a_byte_turned_is_believed(tmp_path_factory, shape, at, mask, packed):
    """All are found out. Another size has another product, as no size is 0.

    With k dimensions more, k sizes come out of the data, and n bytes would have to be 4 * k and a multiple of n; with k
    fewer, the data would have to be as long as the 4 * k bytes and a multiple of the data together.
    """
    content = bytearray(idx(counted(*shape)))
    content[at % (4 + 4 * len(shape))] ^= mask
    path = tmp_path_factory.getbasetemp() / "header"
    write(path, gzip.compress(content) if packed else content)
    assert refusal(read_idx, path).startswith(f"{str(path)!r} has ")


def changed(at, value):
    content = bytearray(EXAMPLE)
    content[at] = value
    return content


REFUSED = [
    (changed(0, 1), None, "has 1 at byte 0, but must have 0, as IDX files begin with two zeros"),
    (changed(1, 9), None, "has 9 at byte 1, but must have 0, as IDX files begin with two zeros"),
    (changed(2, 13), None, "has the type 13 (float32) at byte 2, but must have 8 (uint8)"),
    (changed(2, 7), None, "has the type 7 (unknown) at byte 2, but must have 8 (uint8)"),
    (changed(3, 0), None, "has 0 dimensions at byte 3, but must have 1 to 64"),
    (changed(3, 65), None, "has 65 dimensions at byte 3, but must have 1 to 64"),
    (EXAMPLE, (None,), "has 3 dimensions at byte 3, but must have 1"),
    (changed(7, 0), None, "has the size 0 at byte 4, but must have at least 1"),
    (changed(11, 0), (None, 3, 4), "has the size 0 at byte 8, but must have 3"),
    (EXAMPLE, (None, 3, 5), "has the size 4 at byte 12, but must have 5"),
    (EXAMPLE + b"\0", None, "has more bytes at byte 40, but must have its end"),
    (gzip.compress(EXAMPLE + b"\0"), None, "has more bytes at byte 40, but must have its end"),
    (gzip.compress(EXAMPLE) + b"x", None, "has an error (Not a gzipped file (b'x')) at byte 40, but must"),
    (b"\x1f\x8b\x07" + bytes(20), None, "has an error (Unknown compression method) at byte 0, but must"),
    (b"PK\x03\x04 a zip file", None, "has 80 at byte 0, but must have 0"),
]


@pytest.mark.parametrize(("content", "sizes", "message"), REFUSED)
def test_idx_files_that_are_refused(tmp_path, content, sizes, message):
    path = write(tmp_path / "x", content)
    assert refusal(read_idx, path, sizes).startswith(f"{str(path)!r} {message}")


def test_a_file_that_cannot_be_opened(tmp_path):
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory")):
        message = f"{str(path)!r} has an error ({why}) at byte 0, but must have a file that can be read"
        assert refusal(read_idx, path) == message


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_allocates_nothing_that_the_file_does_not_have(tmp_path, packed):
    content = bytes([0, 0, 8, 3]) + b"\xff" * 12 + bytes(10)
    path = write(tmp_path / "x", gzip.compress(content) if packed else content)
    message = []
    assert peak(lambda: message.append(refusal(read_idx, path))) < 1 << 20
    assert f"has its end at byte 26, but must have {(2**32 - 1) ** 3 - 10} more bytes" in message[0]


def test_a_gzip_bomb_is_not_unpacked_beyond_its_header(tmp_path):
    """64 MiB of zeros in 64 KiB, after a header that declares ten bytes; and after one of the wrong image size."""
    for header, message in (
        (idx(counted(10)), "has more bytes at byte 18, but must have its end"),
        (bytes([0, 0, 8, 1]) + struct.pack(">I", 1 << 26), "has the size 67108864 at byte 4, but must have 10"),
    ):
        path = write(tmp_path / "x.gz", gzip.compress(header + bytes(1 << 26)))
        assert path.stat().st_size < 1 << 17
        messages = []
        assert peak(lambda path=path, to=messages: to.append(refusal(read_idx, path, (10,)))) < 1 << 20
        assert message in messages[0]


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


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------

RECORDS = 3


def write_cifar10(folder):
    """Writes the six files; returns the expected pixels and labels, random ones."""
    rng = np.random.default_rng(10)
    pixels = rng.integers(0, 256, (6, RECORDS, 32, 32, 3), np.uint8)
    labels = rng.permutation(6 * RECORDS).reshape(6, RECORDS) % 10
    for file in range(6):
        content = b""
        for image, label in zip(pixels[file], labels[file], strict=True):
            content += bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
        write(folder / ("test_batch.bin" if file == 5 else f"data_batch_{file + 1}.bin"), content)
    return pixels, labels


@pytest.fixture
def small_cifar10(monkeypatch):
    assert cifar10.RECORDS == 10_000
    monkeypatch.setattr(cifar10, "RECORDS", RECORDS)


@pytest.mark.usefixtures("small_cifar10")
def test_cifar10(tmp_path):
    pixels, labels = write_cifar10(tmp_path)
    dataset = data.load("cifar10", tmp_path)
    assert dataset.name == "cifar10"
    np.testing.assert_array_equal(dataset.train.pixels, pixels[:5].reshape(-1, 32, 32, 3), strict=True)
    np.testing.assert_array_equal(dataset.test.pixels, pixels[5], strict=True)
    np.testing.assert_array_equal(dataset.train.labels, labels[:5].ravel().astype(np.intp), strict=True)
    np.testing.assert_array_equal(dataset.test.labels, labels[5].astype(np.intp), strict=True)
    assert dataset.train.pixels.flags.c_contiguous
    assert dataset.test.pixels.flags.c_contiguous
    assert dataset.train.classes == dataset.test.classes == CIFAR10


@pytest.mark.usefixtures("small_cifar10")
def test_cifar10_files_that_are_refused(tmp_path):
    write_cifar10(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    whole = path.read_bytes()
    size = len(whole)
    assert size == RECORDS * 3073
    wrong_label = bytearray(whole)
    wrong_label[2 * 3073] = 10
    for content, message in (
        (whole[:-1], f"its end at byte {size - 1}, but must have 1 more bytes for 3 records of 3073 bytes"),
        (whole[:3073], "its end at byte 3073, but must have 6146 more bytes for 3 records of 3073 bytes"),
        (b"", f"its end at byte 0, but must have {size} more bytes for 3 records of 3073 bytes"),
        (whole + b"\0", f"more bytes at byte {size}, but must have its end"),
        (wrong_label, "the label 10 at byte 6146, but must have 0 to 9"),
    ):
        path.write_bytes(content)
        assert refusal(data.load, "cifar10", tmp_path) == f"{str(path)!r} has {message}"


@pytest.mark.usefixtures("small_cifar10")
@pytest.mark.parametrize("lines", ["\n".join(CIFAR10) + "\n\n", "\r\n".join(CIFAR10)])
def test_the_classes_of_cifar10_are_those_of_its_own_list(tmp_path, lines):
    write_cifar10(tmp_path)
    write(tmp_path / "batches.meta.txt", lines.replace("frog", "tree frog é").encode())
    expected = tuple(name.replace("frog", "tree frog é") for name in CIFAR10)
    assert data.load("cifar10", tmp_path).train.classes == expected


@pytest.mark.usefixtures("small_cifar10")
def test_lists_of_classes_that_are_refused(tmp_path):
    write_cifar10(tmp_path)
    ten = "\n".join(CIFAR10) + "\n"
    path = tmp_path / "batches.meta.txt"
    for content, message in (
        (b"", "its end after 0 class names at byte 0, but must have ten"),
        (ten.replace("truck\n", "").encode(), "its end after 9 class names at byte 54, but must have ten"),
        (ten.replace("bird", "\n  \nairplane").encode(), "the class name 'airplane' at byte 24, but must have ten"),
        ((ten + "tree\n").encode(), f"the class name 'tree' at byte {len(ten)}, but must have ten different"),
        (ten.encode().replace(b"cat", b"c\xfft"), "the byte 255 at byte 26, but must have UTF-8"),
        (b"\n" * 4097, "more bytes at byte 4096, but must have its end"),
    ):
        path.write_bytes(content)
        assert refusal(data.load, "cifar10", tmp_path).startswith(f"{str(path)!r} has {message}")


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


def test_digits_of_a_fake_scikit_learn(monkeypatch):
    rng = np.random.default_rng(0)
    images, target = rng.integers(0, 17, (14, 8, 8)).astype(float), rng.integers(0, 10, 14)
    module = types.ModuleType("sklearn.datasets")
    module.load_digits = lambda: types.SimpleNamespace(images=images, target=target)
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    dataset = data.load("digits")
    assert len(dataset.test.labels) == 2
    check_digits(dataset, images, target)


def test_digits_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    dataset = data.load("digits")
    digits = datasets.load_digits()
    check_digits(dataset, digits.images, digits.target)
    assert dataset.train.pixels.shape == (1438, 8, 8, 1)
    assert np.bincount(dataset.test.labels).min() > 30


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError) as caught:
        data.load("digits")
    assert str(caught.value) == "digits needs scikit-learn: pip install 'tinyalexnet[data]'"


# --- a folder of images -----------------------------------------------------------------------------------------------


def save(path, pixels, **options):
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path, **options)
    return path


def noise(seed, height=6, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two classes, five images to train on and two to test on, and files that are no images or hidden."""
    for seed, name in enumerate(("train/dog/b.png", "train/dog/a.PNG", "train/cat/2.png", "train/cat/10.png")):
        save(tmp_path / name, noise(seed))
    save(tmp_path / "train/cat/3.jpg", np.full((6, 8, 3), 200, np.uint8))
    save(tmp_path / "test/dog/x.png", noise(10))
    save(tmp_path / "test/cat/x.jpeg", np.full((6, 8, 3), 50, np.uint8))
    for name in ("train/notes.txt", "train/dog/notes.txt", "train/dog/._b.png", "train/.hidden/x.png"):
        write(tmp_path / name, b"no image")
    return tmp_path


def test_a_folder(folder):
    """Classes and images in the order of their names; PNG to the last bit."""
    dataset = data.load("folder", str(folder))
    assert dataset.name == "folder"
    assert dataset.train.classes == dataset.test.classes == ("cat", "dog")
    np.testing.assert_array_equal(dataset.train.labels, np.array([0, 0, 0, 1, 1], np.intp), strict=True)
    np.testing.assert_array_equal(dataset.test.labels, np.array([0, 1], np.intp), strict=True)
    assert dataset.train.pixels.dtype == np.uint8
    expected = [noise(3), noise(2), np.full((6, 8, 3), 200), noise(1), noise(0)]
    np.testing.assert_array_equal(dataset.train.pixels[[0, 1, 3, 4]], np.stack(expected)[[0, 1, 3, 4]])
    np.testing.assert_allclose(dataset.train.pixels[2], 200, atol=1)
    np.testing.assert_array_equal(dataset.test.pixels[1], noise(10))


def test_a_size_crops_about_the_middle(folder):
    """Edges left and right of a square are cropped. Nothing is scaled, so the square is unchanged to the last bit."""
    square = noise(40, 12, 12)
    save(folder / "train/cat/0.png", np.pad(square, ((0, 0), (6, 6), (0, 0))))
    dataset = data.load("folder", folder, size=12)
    assert dataset.train.pixels.shape == (6, 12, 12, 3)
    np.testing.assert_array_equal(dataset.train.pixels[0], square)
    assert data.load("folder", folder, size=(4, 9)).test.pixels.shape == (2, 4, 9, 3)


def test_a_size_fits_as_load_images_does(folder):
    """Its photographs are the same ones, divided by 255, less the mean colour."""
    from tinyalexnet.images import load_images

    pixels = data.load("folder", folder, size=(5, 4)).train.pixels[:3] / 255
    expected = load_images(folder / "train/cat", (3, 5, 4, 3))
    np.testing.assert_allclose(pixels - pixels.mean(axis=(0, 1, 2)), expected, atol=1e-6)
    assert np.ptp(expected) > 0.2


def test_images_are_turned_upright_and_grey_ones_have_three_equal_colours(folder):
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[274] = 6  # to be turned by 90 degrees to the right
    sideways = noise(20, 8, 6)
    save(folder / "train/cat/0.png", sideways, exif=exif)
    save(folder / "train/cat/1.png", noise(21)[..., 0])
    pixels = data.load("folder", folder).train.pixels
    np.testing.assert_array_equal(pixels[0], np.rot90(sideways, -1))
    np.testing.assert_array_equal(pixels[1], np.repeat(noise(21)[..., :1], 3, axis=-1))


def test_images_of_another_size_are_refused(folder):
    for name in ("test/dog/y.png", "train/dog/y.png"):
        path = save(folder / name, noise(30, 8, 6))
        expected = "has 8 x 6 pixels, but must have 6 x 8, as the first image has, or a size must be given that all are"
        assert refusal(data.load, "folder", folder) == f"{str(path)!r} {expected} fitted to"


@pytest.mark.parametrize("size", [None, (6, 8)])
def test_an_image_that_breaks_off_is_refused_or_read_rightly(folder, size):
    """The last bytes of a PNG are checksums and the word that it ends: without them the pixels are still whole."""
    path = folder / "test/dog/x.png"
    whole = path.read_bytes()
    refused = []
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            dataset = data.load("folder", folder, size)
        except ValueError as error:
            refused.append(str(error))
        else:
            np.testing.assert_array_equal(dataset.test.pixels[1], noise(10))
    assert len(refused) >= len(whole) - 20
    assert all(
        message.startswith(f"{str(path)!r} must be an image, but cannot be read as one: ") for message in refused
    )


def test_images_of_more_than_eight_bits_are_refused(folder):
    path = save(folder / "train/dog/c.png", np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000)
    expected = "must be an image, but cannot be read as one: its pixels are I;16, but must have 8 bits a channel"
    assert refusal(data.load, "folder", folder) == f"{str(path)!r} {expected}"


def test_folders_without_a_split_are_refused(folder, tmp_path_factory):
    unsplit = tmp_path_factory.mktemp("unsplit")
    save(unsplit / "cat/x.png", noise(0))
    save(unsplit / "dog/x.png", noise(1))
    assert refusal(data.load, "folder", unsplit).startswith(
        f"folder is {str(unsplit)!r} without 'train' in it, but must"
    )
    (folder / "test").rename(folder / "validation")
    expected = "must hold train/CLASS and test/CLASS, so that it is settled which images are for the test"
    assert refusal(data.load, "folder", folder) == f"folder is {str(folder)!r} without 'test' in it, but {expected}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_that_differ_are_refused(folder, split):
    save(folder / split / "bird" / "x.png", noise(0))
    message = refusal(data.load, "folder", folder)
    assert message.endswith("must have the same classes, but only one of them has 'bird'")
    assert message.startswith(f"{str(folder / 'train')!r} and {str(folder / 'test')!r} ")


def test_folders_without_classes_or_images_are_refused(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for split in ("train", "test"):
        (empty / split).mkdir()
    assert refusal(data.load, "folder", empty).endswith("train' has no folders, but must have one for each class")
    for split in ("train", "test"):
        (folder / split / "ant").mkdir()
    message = f"{str(folder / 'train/ant')!r} has no images, but must have at least one of .jpg, .jpeg, .png"
    assert refusal(data.load, "folder", folder) == message


def test_a_folder_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError) as caught:
        data.load("folder", folder)
    assert str(caught.value) == "reading images needs Pillow: pip install 'tinyalexnet[data]'"


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
