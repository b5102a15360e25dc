"""python -m tinyalexnet explore: the page as a file, or from a server on this machine alone."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from networks import every_kind, image

from tinyalexnet.__main__ import main
from tinyalexnet.explorer import Explorer, pages
from tinyalexnet.explorer.pages import content
from tinyalexnet.explorer.server import Server


@pytest.fixture
def photo(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (12, 10), dtype=np.uint8)
    pillow.fromarray(pixels).save(tmp_path / "a <b>.png")
    return tmp_path / "a <b>.png"


def meta_of(path):
    text = path.read_text()
    return json.loads(re.search(r'<script type="application/json" id="meta">(.*?)</script>', text, re.DOTALL)[1])


def test_a_page_of_a_photograph(photo, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["explore", str(photo), "--variant", "digits", "-o", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"wrote {re.escape(str(page))}, 0\.\d MB: open it in a browser\n", err)
    meta = meta_of(page)
    assert meta["title"] == "digits: a <b>.png"
    assert meta["about"].startswith("CrossEntropyLoss([")
    assert meta["stored"][meta["photo"]]["shape"] == [8, 8, 1]
    assert [layer["name"] for layer in meta["layers"]][-1] == "loss"


def test_the_loss_and_quiet(photo, tmp_path, capsys):
    page = tmp_path / "page.html"
    flags = "--loss", "output:3", "--quiet", "--output", str(page)
    assert main(["explore", str(photo), "--variant", "digits", *flags]) == 0
    assert capsys.readouterr() == ("", "")
    assert meta_of(page)["layers"][-1]["index"] == [0, 3]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "neither --output FILE nor --serve is given, but exactly one of them is needed"),
        (("-o", "x", "--serve"), "both --output FILE and --serve are given, but exactly one of them is needed"),
        (("-o", "missing/x"), "output is 'missing/x', but"),
        (("-o", "PHOTO"), "but must be another file than image"),
        (("-o", "x", "--loss", "class:99"), "must name a class from 0 to 9"),
        (("-o", "x", "--weights", "nothing"), "nothing"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(photo, tmp_path, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as caught:
        main(
            ["explore", str(photo), "--variant", "digits", *(str(photo) if flag == "PHOTO" else flag for flag in flags)]
        )
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_too_large_names_the_server(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit):
        main(["explore", str(photo), "--variant", "digits", "-o", str(tmp_path / "x")])
    assert "--serve sends an array when it is looked at" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown():
    return content(Explorer(every_kind(), image()).trace, "a title", "")


@contextmanager
def serving(shown):
    with Server(shown) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


HEADERS = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def test_the_page_and_its_arrays_are_sent(shown):
    with serving(shown) as server:
        answer, body = get(server, f"/{server.token}/")
        assert answer.status == 200
        assert b"a title" in body
        assert b"connect-src 'self'" in body
        assert b'"serve": true' in body
        assert b'id="a0"' not in body
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        for number, array in enumerate(shown.arrays):
            answer, body = get(server, f"/{server.token}/array/{number}")
            assert answer.status == 200
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
            assert answer.headers["Content-Length"] == str(array.nbytes)
            assert np.array_equal(
                np.frombuffer(body, np.uint8).reshape(array.itemsize, -1).T.tobytes(), array.tobytes()
            )


def test_nothing_else_is_sent(shown):
    """No other path, whatever it names; no token, no answer; nor by another name of this machine."""
    with serving(shown) as server:
        token = server.token
        assert len(token) >= 16
        for path in (
            *("/", "/array/0", f"/{token}", f"/{token[:-1]}/", f"/{token}x/", "/%2e%2e/", "//"),
            *(f"/{token}/{rest}" for rest in ("array/", "array/-1", "array/1e9", "array/999999", "array/0/x")),
            *(f"/{token}/{rest}" for rest in ("../../etc/passwd", "%2e%2e/etc/passwd", "array/../../x", "style.css")),
            *(f"/{token}/array/{number}" for number in ("9" * 5000, len(shown.arrays))),
        ):
            answer, _ = get(server, path)
            assert answer.status == 404, path
        for host in ("evil.example", f"localhost:{server.server_port}", "127.0.0.1"):
            assert get(server, f"/{token}/", Host=host)[0].status == 403
        for method in ("POST", "PUT", "DELETE"):
            assert get(server, f"/{token}/", method)[0].status == 501
        assert server.server_address[0] == "127.0.0.1"
        assert server.server_port >= 1024  # the system's choice


def test_a_client_that_says_nothing_does_not_keep_the_server(shown):
    with serving(shown) as server, socket.create_connection(("127.0.0.1", server.server_port)):
        assert get(server, f"/{server.token}/")[0].status == 200  # so the silent one was accepted before
        closing = threading.Thread(target=server.server_close, daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()


def test_a_browser_that_goes_away_is_no_error(shown, capsys):
    with serving(shown) as server:
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            server.handle_error(None, None)
        assert capsys.readouterr().err == ""
        try:
            raise ValueError("a bug")
        except ValueError:
            server.handle_error(None, ("127.0.0.1", 1))
        assert "a bug" in capsys.readouterr().err


def test_the_address_is_the_only_output(photo, capsys, monkeypatch):
    monkeypatch.setattr(Server, "serve_forever", lambda self: print("serving"))
    assert main(["explore", str(photo), "--variant", "digits", "--serve"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]+/\nserving\n", out)
    assert err == "open this address in a browser on this machine; Ctrl-C ends it\n"


def test_it_serves_until_ctrl_c(photo):
    command = [sys.executable, "-m", "tinyalexnet", "explore", str(photo), "--variant", "digits", "--serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        url = process.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", url)
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        connection.request("GET", f"/{found[2]}/")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("open this address in a browser on this machine; Ctrl-C ends it\ninterrupted\n")
