"""What the tests' own server closes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

from flask import Flask, Response

from tests.serving import served


def test_an_answer_is_closed_also_where_the_browser_has_gone() -> None:
    app, closed, gone = Flask("app"), threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"begun"
        gone.wait()

    @app.get("/")
    def answer() -> Response:
        response = Response(body(), headers={"Content-Length": "5"})
        response.call_on_close(closed.set)
        return response

    with served(app) as address:
        peer = socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])))
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"begun" not in peer.recv(4096):
            pass
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # with a reset
        gone.set()
        assert closed.wait(10)
