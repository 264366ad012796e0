"""The application behind a real port, for browsers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask


class Handler(WSGIRequestHandler):
    """Closes what the application answered, also where the browser has gone:
    werkzeug reads on from the connection first, and forgets it if that fails."""

    def run_wsgi(self) -> None:
        with ExitStack() as self.answered:
            super().run_wsgi()

    def make_environ(self) -> Any:
        return super().make_environ() | {"tests.answered": self.answered}


class Registered:
    """`app`, whose answers are closed by the handler alone."""

    def __init__(self, app: WSGIApplication):
        self.app = app

    def __call__(
        self, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        body = self.app(environ, start)
        environ["tests.answered"].callback(getattr(body, "close", lambda: None))
        return (part for part in body)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """`app`'s address, on a free port of loopback."""
    server = make_server(
        "127.0.0.1", 0, Registered(app), threaded=True, request_handler=Handler
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
