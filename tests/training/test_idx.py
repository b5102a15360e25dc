"""IDX files are read to the last byte; wrong ones are refused by name and byte."""

from __future__ import annotations

import gzip
import os
import random
import struct
import tracemalloc

import numpy as np
import pytest
from data_files import counted, idx, refusal, write
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.training import idx as reader
from tinyalexnet.training.idx import MOST_BYTES, read_idx

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
    (gzip.compress(EXAMPLE + b"\0", mtime=0), None, "has more bytes at byte 40, but must have its end"),
    (gzip.compress(EXAMPLE, mtime=0) + b"x", None, "has an error (Not a gzipped file (b'x')) at byte 40, but must"),
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
    content = bytes([0, 0, 8, 1]) + struct.pack(">I", MOST_BYTES) + bytes(10)
    path = write(tmp_path / "x", gzip.compress(content) if packed else content)
    message = []
    assert peak(lambda: message.append(refusal(read_idx, path))) < 1 << 20
    assert f"has its end at byte 18, but must have {MOST_BYTES - 10} more bytes" in message[0]


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


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_declares_very_much_is_refused_before_it_is_read(tmp_path, packed):
    """270 MB in 17 kB of gzip, or in a file with holes, which takes nothing on the disk."""
    content = bytes([0, 0, 8, 3]) + struct.pack(">III", MOST_BYTES // 784 + 1, 28, 28)
    path = write(tmp_path / "x", gzip.compress(content + bytes(1 << 24)) if packed else content)
    if not packed:
        os.truncate(path, MOST_BYTES + 1000)
    messages = []
    assert peak(lambda: messages.append(refusal(read_idx, path, (None, 28, 28)))) < 1 << 20
    assert messages[0].endswith(
        f"has sizes of {(MOST_BYTES // 784 + 1) * 784} bytes together at byte 4, but must have at most 268435456"
    )


def test_the_most_bytes_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_BYTES", 24)
    path = write(tmp_path / "x", EXAMPLE)
    assert read_idx(path).shape == (2, 3, 4)
    monkeypatch.setattr(reader, "MOST_BYTES", 23)
    assert "has sizes of 24 bytes together" in refusal(read_idx, path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    for path in (tmp_path / "x", "/dev/zero"):
        assert "has an error (it is no regular file) at byte 0" in refusal(read_idx, path)
