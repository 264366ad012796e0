"""The socket of formation-state: who asks is known by the peer's uid."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import rfc8785
from peewee import PeeweeException

from appliance.problems import NotFound, Problem, Unavailable
from appliance.state.store import Store

LONGEST = 1 << 20
PATIENCE_S = 5.0  # from the connection to the end of the line
TURN_S, WRITE_S = 10.0, 20.0  # longest turn of the loop, longest wait for a write
LONGEST_ID = 512
CONNECTIONS = 64  # open at once, for each uid
WRITERS: dict[str, frozenset[str]] = {
    "node": frozenset({"jobs", "web"}),
    "account": frozenset({"jobs", "web"}),
    "agent": frozenset({"jobs", "web"}),
    "version": frozenset({"jobs", "web"}),
    "build": frozenset({"jobs", "web"}),
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


def read_line(link: socket.socket, patience: float = PATIENCE_S) -> bytes:
    """A line of at most `LONGEST` bytes, newline included; empty when the peer left
    without one. Raises Problem for a peer that is too slow or says too much."""
    end, line = time.monotonic() + patience, bytearray()
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise Problem(
                "too-slow", f"No whole line came within {patience:g} s.", status=408
            )
        link.settimeout(left)
        try:
            chunk = link.recv(65536)
        except TimeoutError:
            continue
        if not chunk:
            return b""
        line += chunk
        if len(line) > LONGEST:
            raise Problem("too-large", "A record may have 1 MiB.", status=413)
    return bytes(line)


class _Handler(socketserver.BaseRequestHandler):
    server: StateServer
    request: socket.socket

    def handle(self) -> None:
        link, uid = self.request, peer_uid(self.request)
        try:
            with self.server.place(uid):
                line = read_line(link)
                answer = self.server.answer(line, uid) if line else None
        except Problem as problem:
            answer = {"problem": problem.document()}
        except ConnectionError:
            return
        if answer is not None:
            with contextlib.suppress(OSError):  # the peer need not wait for it
                link.settimeout(PATIENCE_S)
                link.sendall(json.dumps(answer).encode() + b"\n")

    def finish(self) -> None:
        self.server.close_database()


class StateServer(socketserver.ThreadingUnixStreamServer):
    """Serves one store; `written` is called with each kind that changed.

    `passed` is a socket that listens already; else one is made at `path`.
    """

    daemon_threads = True
    request_queue_size = 128  # connections that wait; more get EAGAIN at once

    def __init__(
        self,
        path: Path,
        store: Store,
        web_uid: int | None,
        written: Callable[[str], None],
        passed: socket.socket | None = None,
    ) -> None:
        if passed is None:
            path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler, bind_and_activate=passed is None)
        if passed is None:
            path.chmod(0o666)  # who may write is decided by uid, not by the mode
        else:
            self.socket.close()
            self.socket = passed
        self._store = store
        self._web_uid = web_uid
        self._written = written
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()
        self._counting = threading.Lock()
        self._turned = time.monotonic()

    def service_actions(self) -> None:
        """The loop takes a turn, twice a second at least."""
        self._turned = time.monotonic()

    def responds(self) -> bool:
        """Whether it takes connections, and a record can be written."""
        if time.monotonic() - self._turned > TURN_S:
            return False
        if not self._lock.acquire(timeout=WRITE_S):
            return False
        self._lock.release()
        return True

    @contextlib.contextmanager
    def place(self, uid: int) -> Iterator[None]:
        """One of the connections that a uid may have; raises Problem at the limit,
        so that a peer that opens many and says nothing harms only its own uid."""
        with self._counting:
            if self._open[uid] >= CONNECTIONS:
                raise Unavailable("too-many-connections", f"uid {uid} has too many.")
            self._open[uid] += 1
        try:
            yield
        finally:
            with self._counting:
                self._open[uid] -= 1

    def close_database(self) -> None:
        """Close the calling thread's connection."""
        self._store.database.close()

    def answer(self, line: bytes, uid: int) -> dict[str, Any]:
        """The record that was written, or the problem."""
        try:
            name = forgotten(line)
            if name is not None:
                return self._forget(name, uid)
            record = self._write(parse(line), uid)
        except Problem as problem:
            return {"problem": problem.document()}
        except (PeeweeException, OSError) as error:
            return {"problem": unwritten(error).document()}
        self._written(record["kind"])
        return {"record": record}

    def _forget(self, name: str, uid: int) -> dict[str, Any]:
        if uid not in (0, os.getuid()):
            raise Problem("not-allowed", f"uid {uid} erases nobody.", status=403)
        with self._lock:
            return {"forgotten": self._store.forget(partial(is_of, name))}

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


def forgotten(line: bytes) -> str | None:
    """The account's name that a wish to forget has; None of any other wish."""
    with contextlib.suppress(ValueError, RecursionError):
        wish = json.loads(line)
        if isinstance(wish, dict) and isinstance(wish.get("forget"), str):
            return str(wish["forget"])
    return None


def is_of(name: str, id_: str) -> bool:
    """Whether a record's id says that it was of the account of this name: that of its
    agent, a version of it, or a domain."""
    return id_.startswith(f"{name}/") or f".{name}." in id_


def unwritten(error: Exception) -> Problem:
    """What a writer is told of a database that cannot be written."""
    full = "disk is full" in str(error)
    full |= isinstance(error, OSError) and error.errno == errno.ENOSPC
    text = f"state.db cannot be written ({error}); nothing was changed."
    if full:
        return Problem("disk-full", text, status=507)
    return Unavailable("state-unavailable", text)


def parse(line: bytes) -> dict[str, Any]:
    """A wish from its line; raises Problem for anything else."""
    try:
        wish = json.loads(line)
        kind, id_, body = wish["kind"], wish["id"], wish["body"]
        deleted, merge = wish.get("deleted", False), wish.get("merge", False)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Problem("wish-invalid", "Not a record: kind, id, body.") from None
    if not (
        isinstance(kind, str)
        and isinstance(id_, str)
        and isinstance(body, dict)
        and isinstance(deleted, bool)
        and isinstance(merge, bool)
    ):
        raise Problem("wish-invalid", "Not a record: kind, id, body.")
    if not (0 < len(id_) <= LONGEST_ID and id_.isprintable()):
        raise Problem("wish-invalid", f"An id has 1 to {LONGEST_ID} visible letters.")
    must_be_canonical({"kind": kind, "id": id_, "body": body})
    return {"kind": kind, "id": id_, "body": body, "deleted": deleted, "merge": merge}


def must_be_canonical(value: Mapping[str, Any]) -> None:
    """Refuse what has no canonical JSON, and so no signature: NaN, integers beyond
    2**53, halves of surrogate pairs, nesting without end."""
    try:
        rfc8785.dumps(dict(value))
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise Problem(
            "wish-invalid", f"A record cannot hold this: {error or 'too deep'}."
        ) from None
