"""A small real agent on loopback, and a node that knows it."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
SILENCE = b"silence"
PROBLEM = {"title": "No", "status": 500, "detail": "the model is away"}


class Agent(ThreadingHTTPServer):
    """Does what `input.do` says; `release` lets those that wait go on."""

    daemon_threads = True

    def __init__(self, **card: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.card = {"input": SCHEMA, **card}
        self.calls: list[dict[str, Any]] = []
        self.called = threading.Event()
        self.release = threading.Event()
        self.dead = False
        self.takes_tasks = True
        self.asked = 0
        self.card_bytes: bytes | None = None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Agent
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.card_bytes is None:
            self.reply(json.dumps(self.server.card).encode())
        elif self.server.card_bytes == SILENCE:
            self.server.release.wait(30)
        else:
            self.reply(self.server.card_bytes)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        sent = self.rfile.read(length)
        if len(sent) < length:  # the caller was cut off
            return
        task = json.loads(sent)
        self.server.calls.append(task)
        self.server.called.set()
        if not self.server.takes_tasks:
            self.reply(b"<h1>Not here</h1>", 404)
            return
        does = "die" if self.server.dead else task["input"].get("do", "echo")
        getattr(self, f"do_{does}")(task)

    def do_echo(self, task: dict[str, Any]) -> None:
        usage = {"prompt_tokens": 3}
        answer = {"task_id": task["task_id"], "output": task["input"], "usage": usage}
        self.reply(json.dumps(answer).encode())

    def do_slow(self, task: dict[str, Any]) -> None:
        self.server.release.wait(30)
        self.do_echo(task)

    def do_rubbish(self, task: dict[str, Any]) -> None:
        self.reply(b"<html>" + b"[" * 100_000)

    def do_large(self, task: dict[str, Any]) -> None:
        self.reply(b" " * (2 << 20))

    def do_endless(self, task: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" " * 65536)

    def do_drip(self, task: dict[str, Any]) -> None:
        """A head whose bytes come one by one, for ever."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.server.release.wait(0.05):
                self.wfile.write(b"x")

    def do_head(self, task: dict[str, Any]) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 100_000)

    def do_fields(self, task: dict[str, Any]) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 500)

    def do_redirect(self, task: dict[str, Any]) -> None:
        self.send_response(307)
        self.send_header("Location", f"http://127.0.0.1:{self.server.port}/run_task")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_gzip(self, task: dict[str, Any]) -> None:
        body = gzip.compress(b" " * (64 << 20))
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def do_short(self, task: dict[str, Any]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"{")

    def do_nan(self, task: dict[str, Any]) -> None:
        self.reply(b'{"output": NaN}')

    def do_deep(self, task: dict[str, Any]) -> None:
        self.reply(b'{"output": ' + b"[" * 900 + b"]" * 900 + b"}")

    def do_noise(self, task: dict[str, Any]) -> None:
        self.close_connection = True
        self.wfile.write(b"\x00\x01 rubbish\r\n\r\n")

    def do_escape(self, task: dict[str, Any]) -> None:
        body = {"title": "No", "detail": "\x1b]0;owned\x07red\x1b[31m\x07"}
        self.reply(json.dumps(body).encode(), 500)

    def do_flood(self, task: dict[str, Any]) -> None:
        self.events(*[("delta", 1)] * 40)

    def do_error(self, task: dict[str, Any]) -> None:
        self.reply(json.dumps(PROBLEM).encode(), 500)

    def do_die(self, task: dict[str, Any]) -> None:
        self.close_connection = True

    def do_stream(self, task: dict[str, Any]) -> None:
        self.events(("delta", {"text": "a"}), ("delta", {"text": "b"}))
        self.event("result", {"output": {"text": "ab"}})

    def do_hold(self, task: dict[str, Any]) -> None:
        self.events(("delta", {"text": "a"}))
        self.server.release.wait(30)
        with contextlib.suppress(OSError):
            self.event("result", {"output": {"text": "a"}})

    def do_cut(self, task: dict[str, Any]) -> None:
        self.events(("delta", {"text": "a"}))

    def do_complain(self, task: dict[str, Any]) -> None:
        self.events(("error", PROBLEM))

    def events(self, *items: tuple[str, Any]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for kind, body in items:
            self.event(kind, body)

    def event(self, kind: str, body: Any) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode())

    def reply(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        return None
