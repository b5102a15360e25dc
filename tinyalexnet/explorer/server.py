"""A server of one page for this machine alone: arrays that are too many for a file are sent when they are looked at."""

from __future__ import annotations

import http.server
import secrets
import sys
from typing import Any, TextIO

from ..console import Console
from .pages import Content, planes, served_page

ADDRESS = "127.0.0.1"
"""Loopback: other machines cannot connect."""


class Server(http.server.ThreadingHTTPServer):
    """Answers the page and its arrays, under a token that nobody else can guess.

    What it sends is made beforehand or named by a number: no path of a request is opened.
    """

    daemon_threads = True

    def __init__(self, shown: Content) -> None:
        self.shown = shown
        self.page = served_page(shown).encode()
        self.token = secrets.token_urlsafe(16)
        super().__init__((ADDRESS, 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"


class Handler(http.server.BaseHTTPRequestHandler):
    """GET of the page, or of an array."""

    server: Server

    def do_GET(self) -> None:
        if self.headers.get("Host") != f"{ADDRESS}:{self.server.server_port}":
            return self.send_error(403)  # a page of another site, by a name that leads here
        token, _, rest = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return self.send_error(404)
        kind, _, number = rest.partition("/")
        if rest == "":
            return self._send("text/html; charset=utf-8", self.server.page)
        arrays = self.server.shown.arrays
        if (
            kind == "array"
            and number.isascii()
            and number.isdecimal()
            and len(number) < 9
            and int(number) < len(arrays)
        ):
            return self._send("application/octet-stream", planes(arrays[int(number)]))
        return self.send_error(404)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the terminal has the address and no line for each request."""


def serve(shown: Content, out: TextIO, console: Console) -> int:
    """Prints the address, and answers until Ctrl-C."""
    with Server(shown) as server:
        print(server.url, file=out, flush=True)
        console.line("open this address in a browser on this machine; Ctrl-C ends it")
        server.serve_forever()
    return 0
