"""A small real agent on loopback, and a node that knows it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
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
        self.reply(json.dumps(self.server.card).encode())

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        task = json.loads(self.rfile.read(length))
        self.server.calls.append(task)
        self.server.called.set()
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

    def do_error(self, task: dict[str, Any]) -> None:
        self.reply(json.dumps(PROBLEM).encode(), 500)

    def do_die(self, task: dict[str, Any]) -> None:
        self.close_connection = True

    def do_stream(self, task: dict[str, Any]) -> None:
        self.events(("delta", {"text": "a"}), ("delta", {"text": "b"}))
        self.event("result", {"output": {"text": "ab"}})

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
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        return None
