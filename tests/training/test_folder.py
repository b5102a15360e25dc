"""Folders of images: classes and splits by their names, one size, and refusals by name."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from data_files import refusal, write

from tinyalexnet.__main__ import main
from tinyalexnet.training import data
from tinyalexnet.training.folder import unread


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


@pytest.mark.parametrize("name", ["train/cat/2.png", "test/cat/x.jpeg"])
def test_without_a_size_the_first_image_has_it_and_another_is_named(folder, name):
    save(folder / name, noise(9, 5, 8))
    with pytest.raises(ValueError, match="has 5 x 8 pixels, but must have 6 x 8, as the first image has") as caught:
        data.load("folder", folder)
    assert repr(str(folder / name)) in str(caught.value)


def test_the_first_image_to_train_on_has_the_size(tmp_path):
    """Though its class has no other image."""
    for name, height in (("train/cat/x.png", 6), ("train/dog/x.png", 5), ("test/cat/x.png", 5), ("test/dog/x.png", 5)):
        save(tmp_path / name, noise(0, height))
    with pytest.raises(ValueError, match="has 5 x 8 pixels, but must have 6 x 8"):
        data.load("folder", tmp_path)


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


def test_one_name_in_two_unicode_forms_is_one_class(folder):
    """As if the images for the test came from a Mac."""
    composed, decomposed = "caf\xe9", "cafe\u0301"
    save(folder / "train" / composed / "x.png", noise(50))
    save(folder / "test" / decomposed / "x.png", noise(51))
    dataset = data.load("folder", folder)
    assert dataset.train.classes == dataset.test.classes == (composed, "cat", "dog")
    np.testing.assert_array_equal(dataset.train.pixels[0], noise(50))
    np.testing.assert_array_equal(dataset.test.pixels[0], noise(51))
    save(folder / "train" / decomposed / "x.png", noise(52))
    message = refusal(data.load, "folder", folder)
    assert message.startswith(
        f"{str(folder / 'train')!r} has the class 'caf\xe9' twice, as 'cafe\\u0301' and 'caf\\xe9', but must"
    )


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


def test_what_is_not_read_is_counted_and_named(folder):
    for notes in list(folder.rglob("notes.txt")):
        notes.unlink()
    assert unread(folder) == ""
    (folder / "train" / "cat" / "a.webp").touch()
    (folder / "train" / "cat" / ".hidden").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    why = "(.jpg, .jpeg, .png in train/CLASS and test/CLASS are)"
    assert unread(folder) == f"1 file is not read in {str(folder)!r}: 'train/cat/a.webp' {why}"
    save(folder / "train" / "x.png", noise(0))
    save(folder / "train" / "cat" / "deeper" / "x.png", noise(0))
    save(folder / "val" / "cat" / "x.png", noise(0))
    names = "'train/cat/a.webp', 'train/cat/deeper/x.png', 'train/x.png', ..."
    assert unread(folder) == f"4 files are not read in {str(folder)!r}: {names} {why}"


def test_the_command_says_it(folder, capsys):
    (folder / "notes.txt").touch()
    flags = ["train", "--data=folder", f"--folder={folder}", "--variant=digits", "--backend=reference"]
    for quiet in ([], ["--quiet"]):
        with pytest.raises(SystemExit):  # its images have colours
            main([*flags, *quiet])
        said = "3 files are not read in" in capsys.readouterr().err
        assert said is not bool(quiet)
