"""Paths of outputs: what cannot be written is known at the start, links and devices stay, and errors name the file."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading

import pytest

from tinyalexnet import files
from tinyalexnet.files import check_outputs, check_writable, is_stream, naming, replacing

posix = pytest.mark.skipif(os.name != "posix", reason="links, devices and permissions as in POSIX")


def refusal(path):
    with pytest.raises(
        ValueError, match=r"^out is .*, but must be a file in a folder that can be written to: "
    ) as caught:
        check_writable("out", path)
    assert "\n" not in str(caught.value)
    return str(caught.value).rpartition(": ")[2]


def write(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("length", [60, 240, 250, 255])
@pytest.mark.parametrize("ending", ["", ".png", "." + "x" * 50])
def test_any_name_that_the_disk_takes_can_be_written(tmp_path, length, ending):
    path = tmp_path / ("n" * (length - len(ending)) + ending)
    for text in ("one", "two"):
        check_writable("out", path)
        with replacing(path) as temporary:
            assert temporary.parent == tmp_path
            assert len(os.fsencode(temporary.name)) <= 255
            if ending == ".png":
                assert temporary.suffix == ".png"  # matplotlib writes the format of the ending
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("ending", "kept"), [(".12345678", True), (".123456789", False), (".éééé", True), (".ééééé", False)]
)
def test_the_hidden_file_of_a_long_name_keeps_an_ending_of_less_than_ten_bytes(tmp_path, ending, kept):
    with replacing(tmp_path / ("n" * (255 - len(os.fsencode(ending))) + ending)) as temporary:
        assert temporary.name.endswith(ending) is kept
        assert len(os.fsencode(temporary.name)) < 60
        temporary.write_text("text")


def test_a_name_is_shortened_only_if_the_hidden_one_would_be_too_long(tmp_path):
    for length in (60, 255 - len(f".{os.getpid()}."), 256 - len(f".{os.getpid()}.")):
        name = "n" * length
        with replacing(tmp_path / name) as temporary:
            assert temporary.name.startswith(f".{os.getpid()}.")
            assert (name in temporary.name) is (len(f".{os.getpid()}.{name}") <= 255)
            temporary.write_text("text")


def test_what_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("kept")
    assert refusal(tmp_path) == "it is a folder"
    assert refusal(f"{tmp_path}/new/") == "it is a folder"
    assert refusal("") == "it is empty"
    assert refusal(tmp_path / ("n" * 256)) == os.strerror(errno.ENAMETOOLONG)
    assert refusal(tmp_path / "none" / "file") == os.strerror(errno.ENOENT)
    assert refusal(tmp_path / "file" / "new") == os.strerror(errno.ENOTDIR)
    assert "embedded null" in refusal("a\0b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_write_protected_file_or_folder_is_refused(tmp_path, monkeypatch):
    """As for a user who is not root."""
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        assert refusal(tmp_path / "file") == "it is write-protected"

    def read_only(self):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.Path, "touch", read_only)
    assert refusal(tmp_path / "new") == os.strerror(errno.EROFS)


@posix
def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link, dangling = tmp_path / "folder" / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("folder/target")
    dangling.symlink_to("folder/new")
    for path in (link, dangling):
        check_writable("out", path)
        write(path, "new")
        assert path.is_symlink()
        assert path.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["new", "target"]
    link.unlink()
    link.symlink_to(link)
    assert refusal(link) == os.strerror(errno.ELOOP)


@posix
def test_devices_and_fifos_are_written_to_and_stay(tmp_path):
    fifo = tmp_path / "fifo.json"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    check_writable("out", fifo)
    write(fifo, "content")
    reader.join()
    assert read == ["content"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]
    check_writable("out", os.devnull)
    write(os.devnull, "content")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert is_stream(os.devnull)
    assert not is_stream(tmp_path / "none")


@posix
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert refusal("socket") == "it is a socket or a disk"


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="/proc")
def test_an_open_file_is_refused_under_the_name_of_its_descriptor(tmp_path):
    """Replacing it would leave its writers with the old file."""
    with (tmp_path / "file").open("w") as file:
        os.symlink(f"/proc/self/fd/{file.fileno()}", tmp_path / "link")
        for path in (f"/dev/fd/{file.fileno()}", tmp_path / "link"):
            assert refusal(path) == "give that file's own name"
    (tmp_path / "plain").symlink_to("file")
    check_writable("out", tmp_path / "plain")


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_two_outputs_are_two_files(tmp_path, monkeypatch, exists):
    monkeypatch.chdir(tmp_path)
    if exists:
        (tmp_path / "a").touch()
        os.link("a", "hard")
    os.symlink("a", "link")
    os.symlink(".", "folder")
    others = [
        "a",
        "./a",
        str(tmp_path / "a"),
        "link",
        "folder/a",
        f"../{tmp_path.name}/a",
        *(["hard"] if exists else []),
    ]
    for other in others:
        message = f"plot is '{other}', but must be another file than log, 'a', which it would replace"
        with pytest.raises(ValueError, match=f"^{message}$"):
            check_outputs({"log": "a", "json": None, "plot": other})
        with pytest.raises(ValueError, match=f"^{message}$"):
            check_outputs({"plot": other}, [("labels", None), ("log", "a")])
    check_outputs({"log": "a", "plot": "b"}, [("image", "c")])
    check_outputs({"log": os.devnull, "plot": os.devnull})


def test_an_error_without_a_file_names_it(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"No space left on device: '.*out'$") as caught, replacing(path) as temporary:
        raise (temporary.write_text("half"), full)[1]
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError, match=r"'.*out'$"), replacing(path):
        pass  # nothing was written
    with pytest.raises(FileNotFoundError, match="other"), replacing(path):
        (tmp_path / "other").read_text()
    with pytest.raises(OSError, match=r"^of a library$"), replacing(path):
        raise OSError("of a library")
    with pytest.raises(OSError, match="out cannot be written to: its reader has closed it") as caught, naming(path):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert not isinstance(caught.value, BrokenPipeError)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_full_device_is_named(tmp_path):
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write("/dev/full", "content")
