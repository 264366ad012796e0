"""A resolver for tests: answers on UDP and TCP as it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

from dnslib import QTYPE, RR, A, DNSRecord

Found = TypeVar("Found")
Answer = Callable[[bytes], list[bytes]]


def address_of(packet: bytes, address: str = "192.0.2.7", count: int = 1) -> bytes:
    """The right answer, with this address so many times."""
    record = DNSRecord.parse(packet)
    reply = record.reply(aa=0)
    for number in range(count):
        rdata = A(address if number == 0 else f"192.0.2.{number % 250}")
        reply.add_answer(RR(record.q.qname, QTYPE.A, ttl=60, rdata=rdata))
    return bytes(reply.pack())


def patiently(bind: Callable[[], Found]) -> Found:
    """A port that UDP has free may be taken on TCP: then another is tried."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            return bind()
    return bind()


class Upstream:
    """`answer` gives the datagrams that a query gets; `asked` are the queries."""

    def __init__(self, answer: Answer, whole: Answer | None = None) -> None:
        self.answer, self.whole = answer, whole
        self.asked: list[bytes] = []
        self.ports: list[int] = []
        self._udp, self._tcp = patiently(self._bind)
        self.place = self._udp.getsockname()
        self._threads = [
            threading.Thread(target=loop) for loop in (self._datagrams, self._links)
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _bind() -> tuple[socket.socket, socket.socket]:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
            raise

    def _datagrams(self) -> None:
        while True:
            packet, peer = self._udp.recvfrom(4096)
            if not packet:
                return
            self.asked.append(packet)
            self.ports.append(peer[1])
            for reply in self.answer(packet):
                self._udp.sendto(reply, peer)

    def _links(self) -> None:
        while True:
            try:
                link, _ = self._tcp.accept()
            except OSError:
                return
            with link, link.makefile("rb") as stream:
                packet = stream.read(struct.unpack("!H", stream.read(2))[0])
                for reply in (self.whole or self.answer)(packet):
                    link.sendall(struct.pack("!H", len(reply)) + reply)

    def close(self) -> None:
        for listener in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()
