"""Photographs as a batch: scaled, cropped, centred, or refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyalexnet import images


def save(path, height, width, colour=None, seed=0):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if colour is not None:
        pixels[...] = colour
    image.fromarray(pixels).save(path)


def test_photographs_are_scaled_cropped_centred_and_repeated(tmp_path):
    save(tmp_path / "a.png", 40, 60, (255, 0, 51))
    save(tmp_path / "b.JPG", 30, 20, seed=1)
    (tmp_path / "notes.txt").write_text("not an image")
    batch = images.load_images(tmp_path, (5, 10, 12, 3))
    assert batch.shape == (5, 10, 12, 3)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch[0], batch[2])
    np.testing.assert_array_equal(batch[1], batch[3])
    assert not np.array_equal(batch[0], batch[1])
    # The mean colour of the two is 0, and the first is one colour.
    np.testing.assert_allclose(batch[:2].mean(axis=(0, 1, 2)), 0, atol=1e-6)
    assert np.ptp(batch[0], axis=(0, 1)).max() == 0
    assert np.abs(batch).max() <= 1


def test_photographs_for_a_network_of_grey_images(tmp_path):
    save(tmp_path / "a.png", 8, 8, (255, 0, 0))
    save(tmp_path / "b.png", 8, 8, (0, 0, 0))
    (tmp_path / "._a.png").write_bytes(b"not an image")
    batch = images.load_images(tmp_path, (2, 4, 4, 1))
    assert batch.shape == (2, 4, 4, 1)
    np.testing.assert_allclose(batch[0] - batch[1], 76 / 255, rtol=1e-5)


def test_the_crop_is_about_the_middle(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    image.fromarray(pixels).save(tmp_path / "a.png")
    batch = images.load_images(tmp_path, (1, 10, 10, 3))
    assert np.ptp(batch) == 0


def test_fewer_images_than_photographs_uses_the_first(tmp_path):
    for index, grey in enumerate((10, 20, 30)):
        save(tmp_path / f"{index}.png", 8, 8, (grey, grey, grey))
    batch = images.load_images(tmp_path, (2, 8, 8, 3))
    np.testing.assert_allclose(batch[1] - batch[0], 10 / 255, rtol=1e-5)


def test_photographs_that_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="holds at least one"):
        images.load_images(tmp_path, (1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"^images is '.*none', but must be a folder that exists$"):
        images.load_images(tmp_path / "none", (1, 8, 8, 3))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match=r"'.*broken\.png' must be an image, but cannot be read as one"):
        images.load_images(tmp_path, (1, 8, 8, 3))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install 'tinyalexnet\\[images\\]'"):
        images.load_images(tmp_path, (1, 8, 8, 3))


# --- what a file may cost, and which files are decoded ----------------------------------------------------------------


def jpeg(progressive=False, **options):
    image = pytest.importorskip("PIL.Image")
    content = io.BytesIO()
    image.new("RGB", (64, 48), (10, 200, 30)).save(content, "JPEG", progressive=progressive, **options)
    return content.getvalue()


def refusal(path, size=None):
    with pytest.raises(ValueError, match="must be an image, but cannot be read as one: ") as caught:
        images.read_image(path, size)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{str(path)!r} must be an image, but cannot be read as one: ")


PEAK = r"""
import re, sys
from pathlib import Path
from tinyalexnet.images import read_image
try:
    print(read_image(Path(sys.argv[1]), (8, 8)).shape)
except ValueError as error:
    print(error)
# Not ru_maxrss, which a child takes over from its parent.
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    """22 kB of PNG, 177 MB of pixels in black and white, and 700 MB in colour; Pillow alone takes 30 MB."""
    image = pytest.importorskip("PIL.Image")
    image.new("1", (13_300, 13_300)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 1 << 16
    command = [sys.executable, "-W", "error", "-c", PEAK, tmp_path / "a.png"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    message, peak = answer.stdout.splitlines()
    assert message.endswith("it has 13300 x 13300 pixels, but at most 50000000 are decoded: make it smaller")
    assert answer.stderr == ""
    assert int(peak) < 150_000


def test_the_largest_image_is_read(tmp_path, monkeypatch):
    save(tmp_path / "a.png", 40, 50)
    monkeypatch.setattr(images, "MOST_PIXELS", 2000)
    assert images.read_image(tmp_path / "a.png", None).shape == (40, 50, 3)
    monkeypatch.setattr(images, "MOST_PIXELS", 1999)
    assert refusal(tmp_path / "a.png") == "it has 40 x 50 pixels, but at most 1999 are decoded: make it smaller"


def test_what_pillow_calls_a_bomb_is_refused_in_our_words(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    save(tmp_path / "a.png", 40, 50)
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 999)
    assert (
        refusal(tmp_path / "a.png") == "it has more than 999 pixels, but at most 50000000 are decoded: make it smaller"
    )
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 1001)  # only a warning, which would be an error here
    assert images.read_image(tmp_path / "a.png", None).shape == (40, 50, 3)


@pytest.mark.parametrize("ending", ["eps", "bmp", "ppm", "tiff", "ico", "pdf"])
def test_other_formats_are_refused_whatever_their_name_and_start_no_program(tmp_path, monkeypatch, ending):
    image = pytest.importorskip("PIL.Image")
    eps = pytest.importorskip("PIL.EpsImagePlugin")
    image.new("RGB", (32, 32)).save(tmp_path / f"a.{ending}")
    path = (tmp_path / f"a.{ending}").rename(tmp_path / "cat.jpg")
    monkeypatch.setattr(eps, "gs_binary", "gs")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it starts a program"))
    assert refusal(path) == "it is none of JPEG, PNG, WebP, GIF, or damaged: save it as one of them"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "MPO"])
def test_the_formats_that_are_read_whatever_their_name(tmp_path, kind):
    """MPO is a JPEG with more images behind it, as some cameras write; the first one counts, as of an animation."""
    image = pytest.importorskip("PIL.Image")
    frames = [image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    more = {} if kind == "JPEG" else {"save_all": True, "append_images": frames[1:]}
    frames[0].save(tmp_path / "a", kind, **more)
    found = images.read_image(tmp_path / "a", None)
    np.testing.assert_allclose(found, np.broadcast_to([255, 0, 0], (24, 32, 3)), atol=2)


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path):
    """Each scan of a few bytes is another pass over all pixels. Markers inside a preview, or as pixels, are none."""
    content = jpeg(progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    scans = content.count(b"\xff\xda")
    assert scans > 5
    preview = b"\xff\xe1" + (2 + 2 * len(b"\xff\xda") * 200).to_bytes(2, "big") + b"\xff\xda" * 400
    for before, more, accepted in (
        (b"", 0, True),
        (preview, 0, True),
        (b"", images.MOST_SCANS - scans, True),
        (b"", images.MOST_SCANS - scans + 1, False),
        (b"\xff\xe1\0\4\xff\xd9", images.MOST_SCANS, False),
    ):
        (tmp_path / "a.jpg").write_bytes(content[:2] + before + content[2:-2] + last * more + content[-2:])
        if accepted:
            assert images.read_image(tmp_path / "a.jpg", None).shape == (48, 64, 3)
        else:
            assert (
                refusal(tmp_path / "a.jpg")
                == f"it has {scans + more} scans, but at most 100 are decoded: save it again"
            )
    (tmp_path / "a.jpg").write_bytes(content[:-2] + last[: len(last) // 2])  # without an end
    assert "truncated" in refusal(tmp_path / "a.jpg")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png") == "it is no regular file"
    assert refusal(Path("/dev/zero")) == "it is no regular file"
    assert refusal(tmp_path) == "Is a directory"
    assert refusal(tmp_path / "none.png") == "No such file or directory"


# --- pixels of every kind ---------------------------------------------------------------------------------------------


def pixels_of(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return images.read_image(tmp_path / name, None)


def test_what_is_transparent_is_laid_on_white(tmp_path):
    """Whatever colour is stored below it: of a palette, of grey, of colours, and half transparent."""
    image = pytest.importorskip("PIL.Image")
    rgba = image.new("RGBA", (2, 1), (200, 100, 0, 0))
    rgba.putpixel((1, 0), (200, 100, 0, 255))
    np.testing.assert_array_equal(pixels_of(tmp_path, rgba), [[[255, 255, 255], [200, 100, 0]]])
    rgba.putpixel((0, 0), (200, 100, 0, 128))
    half = pixels_of(tmp_path, rgba)[0, 0]
    np.testing.assert_allclose(half, np.array([200, 100, 0]) * 128 / 255 + 127, atol=1)
    grey = image.new("LA", (1, 1), (7, 0))
    np.testing.assert_array_equal(pixels_of(tmp_path, grey), [[[255, 255, 255]]])
    palette = image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(pixels_of(tmp_path, palette), [[[10, 20, 30], [40, 50, 60]]])
    found = pixels_of(tmp_path, palette, transparency=b"\x00\xff")
    np.testing.assert_array_equal(found, [[[255, 255, 255], [40, 50, 60]]])
    found = pixels_of(tmp_path, palette, "a.gif", transparency=0)
    np.testing.assert_array_equal(found, [[[255, 255, 255], [40, 50, 60]]])


def test_black_and_white_cmyk_and_grey_become_red_green_and_blue(tmp_path):
    image = pytest.importorskip("PIL.Image")
    np.testing.assert_array_equal(pixels_of(tmp_path, image.new("1", (2, 1), 1)), np.full((1, 2, 3), 255))
    np.testing.assert_array_equal(pixels_of(tmp_path, image.new("L", (2, 1), 77)), np.full((1, 2, 3), 77))
    cyan = pixels_of(tmp_path, image.new("CMYK", (8, 8), (255, 0, 0, 0)), "a.jpg")
    np.testing.assert_allclose(cyan, np.broadcast_to([0, 255, 255], (8, 8, 3)), atol=2)
    red = image.new("RGB", (2, 1), (255, 0, 0))
    red.save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png", None, channels=1), np.full((1, 2, 1), 76))


def test_sixteen_bits_of_grey_are_refused_in_a_sentence(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((4, 4), 60_000, np.uint16)).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png").endswith(", but must have 8 bits a channel")


def test_damaged_metadata_is_no_warning(tmp_path):
    """An EXIF block that is cut off: Pillow warns, the pixels are whole."""
    content = jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\1\x12")
    (tmp_path / "a.jpg").write_bytes(content)
    assert images.read_image(tmp_path / "a.jpg", None).shape == (48, 64, 3)


def test_the_crop_is_in_the_middle_along_both_axes(rng):
    """An image of the right size is not scaled, so the crop has its bits."""
    pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
    image = pytest.importorskip("PIL.Image").fromarray(pixels)
    found = np.asarray(images._scaled_and_cropped(image, (4, 8), 12))
    np.testing.assert_array_equal(found, pixels[4:8, 2:10])


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_three_files_that_are_left_out_are_named(tmp_path, count):
    names = [f"{letter}.txt" for letter in "abcd"[:count]]
    for name in (*names, ".hidden"):
        (tmp_path / name).touch()
    named = ", ".join(map(repr, names[:3])) + ", ..." * (count == 4)
    files = "1 file is" if count == 1 else f"{count} files are"
    expected = f"{files} not read in {str(tmp_path)!r}: {named} (why)" if count else ""
    assert images.left_out(tmp_path, [], "why") == expected


@pytest.mark.parametrize("shape", [(1, images.MOST_ELONGATED), (images.MOST_ELONGATED, 1)])
def test_an_image_may_be_as_long_as_is_allowed_and_no_longer(shape):
    make = pytest.importorskip("PIL.Image").fromarray
    found = images._scaled_and_cropped(make(np.full((*shape, 3), 7, np.uint8)), (1, 1), 1)
    assert np.asarray(found).tolist() == [[[7, 7, 7]]]
    longer = [size + (size > 1) for size in shape]
    with pytest.raises(
        ValueError, match=f"has {longer[0]} x {longer[1]} pixels, but at most {images.MOST_ELONGATED} to 1"
    ):
        images._scaled_and_cropped(make(np.zeros((*longer, 3), np.uint8)), (1, 1), 1)
