"""A server on this machine that sends one content, and does wrong what its script says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FileServer:
    """Serves `content` at any path; `script` says for each request what goes wrong: a status, ``("cut", bytes)``,
    ``"no ranges"``, ``"wrong range"``, ``"redirect"`` or ``"accepted"``; None and all after the script are answered
    well.  ``ranges`` has the Range header of each request."""

    def __init__(self, content: bytes, *script: Any) -> None:
        self.content, self.script = content, list(script)
        self.ranges: list[str | None] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        what = self.script.pop(0) if self.script else None
        if isinstance(what, int):
            request.send_error(what)
            return
        if what in ("redirect", "accepted"):
            request.send_response(302 if what == "redirect" else 202)
            if what == "redirect":
                request.send_header("Location", f"{self.url}/elsewhere")
            request.send_header("Content-Length", "4")
            request.end_headers()
            request.wfile.write(b"page")
            return
        begin = int(asked[6:-1]) if asked and what != "no ranges" else 0
        size = len(self.content)
        if begin >= size:
            request.send_error(416)
            return
        body = self.content[begin:]
        request.send_response(206 if begin else 200)
        request.send_header("Content-Length", str(len(body)))
        if begin:
            request.send_header("Content-Range", f"bytes {begin + (what == 'wrong range')}-{size - 1}/{size}")
        request.end_headers()
        with contextlib.suppress(ConnectionError):
            request.wfile.write(body[: what[1]] if isinstance(what, tuple) else body)


@contextlib.contextmanager
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FileServer]]:
    """Gives what starts a `FileServer` of the same arguments; all end with the block."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    started = []

    def start(content: bytes, *script: Any) -> FileServer:
        server = FileServer(content, *script)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        started.append(httpd)
        server.url = f"http://127.0.0.1:{httpd.server_port}"
        return server

    try:
        yield start
    finally:
        for httpd in started:
            httpd.shutdown()
            httpd.server_close()
