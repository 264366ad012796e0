"""The socket of formation-state: who asks is known by the peer's uid."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.problems import NotFound, Problem
from appliance.state.store import Store

LONGEST = 1 << 20
WRITERS: dict[str, frozenset[str]] = {
    "node": frozenset({"jobs", "web"}),
    "account": frozenset({"jobs", "web"}),
    "agent": frozenset({"jobs", "web"}),
    "version": frozenset({"jobs", "web"}),
    "build": frozenset({"jobs"}),
    "deployment": frozenset({"jobs"}),
    "instance": frozenset({"jobs"}),
    "domain": frozenset({"jobs"}),
}


def peer_uid(link: socket.socket) -> int:
    """The uid at the other end, as the kernel says (unix(7), SO_PEERCRED)."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", raw)[1])


def may_write(kind: str, uid: int, web_uid: int | None) -> bool:
    """Root is formation-jobs; formation-web writes what people change."""
    if uid in (0, os.getuid()):
        return True
    return uid == web_uid and "web" in WRITERS.get(kind, frozenset())


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, StateServer)
        line = self.rfile.readline(LONGEST + 1)
        answer = server.answer(line, peer_uid(self.connection))
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class StateServer(socketserver.ThreadingUnixStreamServer):
    """Serves one store; `written` is called with each kind that changed."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait; more get EAGAIN at once

    def __init__(
        self,
        path: Path,
        store: Store,
        web_uid: int | None,
        written: Callable[[str], None],
    ) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        path.chmod(0o666)  # who may write is decided by uid, not by the mode
        self._store = store
        self._web_uid = web_uid
        self._written = written
        self._lock = threading.Lock()

    def answer(self, line: bytes, uid: int) -> dict[str, Any]:
        """The record that was written, or the problem."""
        try:
            record = self._write(parse(line), uid)
        except Problem as problem:
            return {"problem": problem.document()}
        self._written(record["kind"])
        return {"record": record}

    def _write(self, wish: Mapping[str, Any], uid: int) -> dict[str, Any]:
        if not may_write(wish["kind"], uid, self._web_uid):
            raise Problem(
                "not-allowed",
                f"uid {uid} may not write {wish['kind']} records.",
                status=403,
            )
        kind, id_, body = wish["kind"], wish["id"], wish["body"]
        with self._lock:
            if wish["merge"]:
                known = self._store.find(kind, id_)
                if known is None:
                    raise NotFound("record-unknown", f"There is no {kind} {id_}.")
                body = {**known.body, **body}
                if body == known.body:
                    return asdict(known)
            return asdict(self._store.write(kind, id_, body, deleted=wish["deleted"]))


def parse(line: bytes) -> dict[str, Any]:
    """A wish from its line; raises Problem for anything else."""
    if len(line) > LONGEST:
        raise Problem("too-large", "A record may have 1 MiB.", status=413)
    try:
        wish = json.loads(line)
        kind, id_, body = wish["kind"], wish["id"], wish["body"]
    except (ValueError, KeyError, TypeError):
        raise Problem("wish-invalid", "Not a record: kind, id, body.") from None
    deleted, merge = wish.get("deleted", False), wish.get("merge", False)
    if not (
        isinstance(kind, str)
        and isinstance(id_, str)
        and isinstance(body, dict)
        and isinstance(deleted, bool)
        and isinstance(merge, bool)
    ):
        raise Problem("wish-invalid", "Not a record: kind, id, body.")
    return {"kind": kind, "id": id_, "body": body, "deleted": deleted, "merge": merge}
