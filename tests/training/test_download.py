"""Files are fetched from a server, checked and unpacked; here it is one on this machine."""

from __future__ import annotations

import functools
import gc
import hashlib
import http.server
import io
import logging
import sys
import tarfile
import threading

import pytest

from tinyalexnet import __main__ as command
from tinyalexnet.training import data, download
from tinyalexnet.training.download import ADDRESSES, IDX_FILES, MD5, fetch

CONTENTS = {name: f"what is in {name}".encode() for name in IDX_FILES}


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        """Says nothing."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that a server on this machine serves as the home of all data sets; no proxy is asked for it."""
    pytest.importorskip("pooch")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    root = tmp_path / "server"
    root.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{running.server_port}/"
        for name in ("fashion-mnist", "mnist"):
            monkeypatch.setitem(ADDRESSES, name, address)
        monkeypatch.setitem(ADDRESSES, "cifar10", f"{address}cifar-10-binary.tar.gz")
        yield root
        running.shutdown()
        thread.join()


def serve(server, monkeypatch, name, contents):
    for file, content in contents.items():
        (server / file).write_bytes(content)
    monkeypatch.setitem(MD5, name, {file: hashlib.md5(content).hexdigest() for file, content in contents.items()})


def archive(members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("folder/link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return packed.getvalue()


def test_files_are_fetched_into_a_new_folder_and_only_once_and_in_silence(server, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    serve(server, monkeypatch, "mnist", CONTENTS)
    folder = tmp_path / "new" / "mnist"
    logger = pooch.get_logger()
    logger.setLevel("INFO")
    fetch("mnist", folder)
    assert not logger.isEnabledFor(logging.WARNING)  # of pooch: the command says itself what it fetches
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS
    (server / IDX_FILES[0]).unlink()
    fetch("mnist", folder)
    (folder / IDX_FILES[1]).write_bytes(b"damaged")
    fetch("mnist", folder)
    assert (folder / IDX_FILES[1]).read_bytes() == CONTENTS[IDX_FILES[1]]


def test_an_archive_is_unpacked_without_its_folders(server, tmp_path, monkeypatch):
    members = {"cifar/data_batch_1.bin": b"one", "../../test_batch.bin": b"test", "cifar/batches.meta.txt": b"names"}
    packed = archive(members | {"cifar/readme.html": b"<p>"})
    serve(server, monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": packed})
    fetch("cifar10", tmp_path / "cifar10")
    found = {path.name: path.read_bytes() for path in (tmp_path / "cifar10").iterdir()}
    assert found == {"data_batch_1.bin": b"one", "test_batch.bin": b"test", "batches.meta.txt": b"names"}


def test_another_file_than_expected_is_not_kept(server, tmp_path, monkeypatch):
    serve(server, monkeypatch, "mnist", CONTENTS)
    (server / IDX_FILES[2]).write_bytes(b"something else")
    with pytest.raises(ValueError, match=rf"{IDX_FILES[2]} is not the file that it was: its MD5 sum must be \w+$"):
        fetch("mnist", tmp_path / "mnist")
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(IDX_FILES[i] for i in (0, 1))


def test_what_cannot_be_fetched_is_one_line(server, tmp_path, monkeypatch, capsys):
    serve(server, monkeypatch, "mnist", CONTENTS)
    (server / IDX_FILES[0]).unlink()
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit) as stop:
        command.main(["train", "--data", "mnist", "--download", "--folder", str(tmp_path / "mine")])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"{IDX_FILES[0]} cannot be fetched (HTTPError): put it into {str(tmp_path / 'mine')!r} from elsewhere" in err
    del stop
    gc.collect()  # an answer left open would warn now
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"cannot be fetched \(Not a directory\)"):
        fetch("mnist", tmp_path / "file" / "folder")


def test_load_fetches_what_is_missing_and_only_that(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "fetch", lambda *arguments: asked.append(arguments))
    with pytest.raises(ValueError, match="mnist must be whole in"):
        data.load("mnist", tmp_path, download=True, progress=True)
    assert asked == [("mnist", tmp_path, True)]
    for name in IDX_FILES:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"ubyte.gz' has its end at byte 0"):
        data.load("mnist", tmp_path, download=True)
    assert len(asked) == 1
    with pytest.raises(ValueError, match="download is True, but must be False for 'digits', which is not on the netw"):
        data.load("digits", download=True)


def test_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"downloads need pooch: pip install 'tinyalexnet\[data\]'"):
        fetch("mnist", tmp_path)


def test_every_file_has_a_checksum():
    assert MD5.keys() == ADDRESSES.keys()
    assert all(len(bytes.fromhex(md5)) == 16 for files in download.MD5.values() for md5 in files.values())
