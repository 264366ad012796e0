"""One HTTP request to a guest, which is not trusted.

The deadline holds for the whole exchange, however slowly its bytes come; the
answer is bounded; redirects are not followed; `cut` ends it from another thread.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

from appliance import clock

CONNECT_S = 5.0
PIECE = 64 * 1024


class Broken(Exception):
    """The connection failed or ended before the answer was whole."""


class TooLarge(Exception):
    """The answer has more bytes than allowed."""


class NotHttp(Exception):
    """What came is not an HTTP answer that we take."""


class Call:
    """`deadline` is seconds since the epoch, `limit` the answer's bytes."""

    def __init__(self, address: str, port: int, deadline: float, limit: int) -> None:
        self._connection = http.client.HTTPConnection(address, port)
        self._deadline = deadline
        self._limit = limit
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self.received = 0
        self.is_cut = False

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._connection.close()
            if self._link is not None:
                self._link.end()
                self._link = None

    def cut(self) -> None:
        """End the exchange now; whoever waits for it gets Broken."""
        with self._lock:
            self.is_cut = True
            if self._link is not None:
                self._link.shut_down()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send, with `body` as JSON, and return the answer once its head is there.

        Raises TimeoutError at the deadline, Broken, NotHttp.
        """
        content = None if body is None else json.dumps(body).encode()
        sent = {"Accept-Encoding": "identity", "Connection": "close"}
        if content is not None:
            sent["Content-Type"] = "application/json"
        with _told():
            self._connect()
            self._connection.request(method, path, content, sent | dict(headers or {}))
            answer = self._connection.getresponse()
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NotHttp("it is compressed, though that was not asked for")
        return answer

    def _connect(self) -> None:
        left = min(CONNECT_S, self._deadline - clock.now())
        if left <= 0:
            raise TimeoutError
        where = (self._connection.host, self._connection.port)
        try:
            link = socket.create_connection(where, left)
        except TimeoutError:
            if clock.now() >= self._deadline:
                raise
            text = f"no connection to {where[0]}:{where[1]} within {CONNECT_S:g} s"
            raise Broken(text) from None
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._link = _Link(link, self._deadline)
            self._connection.sock = cast(Any, self._link)
            if self.is_cut:
                raise Broken("it was cut")

    def chunks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """The body as it comes; raises TimeoutError, Broken, TooLarge, NotHttp."""
        while True:
            with _told():
                piece = answer.read1(PIECE)
            if not piece:
                break
            self.received += len(piece)
            if self.received > self._limit:
                raise TooLarge(f"{self.received} bytes")
            yield piece
        if answer.length:
            raise Broken(f"the answer ended {answer.length} bytes too early")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of the socket and of the protocol, as ours."""
    try:
        yield
    except TimeoutError:
        raise
    except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
        raise Broken(str(error)) from None
    except (http.client.HTTPException, ValueError) as error:
        raise NotHttp(f"{type(error).__name__}: {error}"[:200]) from None
    except OSError as error:
        raise Broken(error.strerror or str(error)) from None


class _Link:
    """A socket whose every wait ends at the deadline; what http.client needs."""

    def __init__(self, link: socket.socket, deadline: float) -> None:
        self._link = link
        self._deadline = deadline

    def left(self) -> float:
        left = self._deadline - clock.now()
        if left <= 0:
            raise TimeoutError
        return left

    def sendall(self, content: bytes) -> None:
        self._link.settimeout(self.left())
        self._link.sendall(content)

    def receive_into(self, buffer: memoryview) -> int:
        self._link.settimeout(self.left())
        return self._link.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def shut_down(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """http.client closes before the answer is read; `end` is what ends it."""

    def end(self) -> None:
        self._link.close()


class _Incoming(io.RawIOBase):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._link.receive_into(buffer)
