"""Asking upstream resolvers, once for all who wait for the same.

Each query goes out from a socket of its own (a random port) with a random id, and
an answer must repeat both and the question. Since a question is never asked while
it is being asked, a resolver that asks us back ends in a time-out, not in a storm.
"""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dnslib import EDNS0, RCODE, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

from appliance.dns.answer import reply_to
from appliance.dns.query import OURS, Query

RESOLV = Path("/etc/resolv.conf")
ASK_S = 1.5
WORKERS = 32
WAITING = 512  # different questions at once; more fail at once
NEXT = (RCODE.SERVFAIL, RCODE.REFUSED, RCODE.NOTIMP)  # worth asking another
Place = tuple[str, int]
Done = Callable[[bytes], None]


def resolvers(configured: Sequence[object], own: Iterable[Place]) -> list[Place]:
    """The setting's or resolv.conf's resolvers, without our own listeners."""
    found = [str(address) for address in configured] or _system()
    ours = set(own)
    return [(a, 53) for a in found if not _is_own(a, ours)]


def _system() -> list[str]:
    try:
        lines = RESOLV.read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines if line.startswith("nameserver")]
    return [word[1] for word in words if len(word) > 1 and _is_address(word[1])]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_own(address: str, own: set[Place]) -> bool:
    everywhere = {("0.0.0.0", 53), ("::", 53)} & own
    loopback = ipaddress.ip_address(address).is_loopback
    return (address, 53) in own or bool(everywhere and loopback)


class Forwarder:
    """Shared by all listeners; `upstream` may be replaced at any time."""

    def __init__(self, upstream: Sequence[Place]) -> None:
        self.upstream = list(upstream)
        self._pool = ThreadPoolExecutor(WORKERS, "forward")
        self._waiting: dict[object, list[tuple[Query, Done]]] = {}
        self._lock = threading.Lock()

    def ask(self, query: Query, done: Done) -> None:
        """Call `done` with the answer to this very query, perhaps much later."""
        with self._lock:
            others = self._waiting.get(query.key)
            full = others is None and len(self._waiting) >= WAITING
            if others is not None:
                others.append((query, done))
            elif not full:
                self._waiting[query.key] = [(query, done)]
        if full:
            done(failed(query))
        elif others is None:
            self._pool.submit(self._work, query)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, query: Query) -> None:
        try:
            found = self._try_all(query)
        finally:
            with self._lock:
                waiting = self._waiting.pop(query.key)
        for asker, done in waiting:
            done(readdressed(found, asker) if found else failed(asker))

    def _try_all(self, query: Query) -> bytes | None:
        last = None
        for place in self.upstream:
            with contextlib.suppress(OSError, struct.error):
                found = exchange(place, query)
                if found is not None:
                    last = found
                    if found[3] & 15 not in NEXT:
                        return found
        return last


def failed(query: Query) -> bytes:
    return bytes(reply_to(query, RCODE.SERVFAIL, ra=True).pack())


def readdressed(packet: bytes, asker: Query) -> bytes:
    """An upstream's answer with the id and the very letters of one who asked."""
    question = encoded(asker.question)
    return (
        struct.pack("!H", asker.id)
        + packet[2:12]
        + question
        + packet[12 + len(question) :]
    )


def encoded(question: DNSQuestion) -> bytes:
    """The question as it stands right after a header."""
    return bytes(DNSRecord(DNSHeader(id=0), q=question).pack())[12:]


def exchange(place: Place, query: Query) -> bytes | None:
    """One resolver's answer, by UDP and, where that was cut short, by TCP."""
    label = DNSLabel([part.lower() for part in query.question.qname.label])
    question = DNSQuestion(label, query.question.qtype, query.question.qclass)
    header = DNSHeader(
        id=secrets.randbelow(65536),
        bitmap=0,
        rd=int(query.recursive),
        cd=int(query.unchecked),
    )
    record = DNSRecord(header, q=question)
    if query.edns:
        flags = "do" if query.edns.wants_dnssec else ""
        record.add_ar(EDNS0("", flags=flags, udp_len=OURS))
    packet, end = bytes(record.pack()), time.monotonic() + ASK_S
    asked = packet[:2], encoded(question)
    found = _by_udp(place, packet, asked, end)
    if found is not None and found[2] & 2:  # TC
        found = _by_tcp(place, packet, asked) or found
    return found


def answers(packet: bytes, asked: tuple[bytes, bytes]) -> bool:
    """Whether this can be the answer: a response with our id and question."""
    id_, question = asked
    return (
        packet[:2] == id_
        and len(packet) >= 12 + len(question)
        and packet[2] & 0xF8 == 0x80
        and packet[4:6] == b"\0\1"
        and packet[12 : 12 + len(question)].lower() == question.lower()
    )


def _family(place: Place) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in place[0] else socket.AF_INET


def _by_udp(
    place: Place, packet: bytes, asked: tuple[bytes, bytes], end: float
) -> bytes | None:
    """The first datagram that is an answer; what others send is passed over."""
    with socket.socket(_family(place), socket.SOCK_DGRAM) as link:
        link.connect(place)
        link.send(packet)
        while (left := end - time.monotonic()) > 0:
            link.settimeout(left)
            found = link.recv(65535)
            if answers(found, asked):
                return found
    return None


def _by_tcp(place: Place, packet: bytes, asked: tuple[bytes, bytes]) -> bytes | None:
    with socket.create_connection(place, ASK_S) as link:
        link.sendall(struct.pack("!H", len(packet)) + packet)
        with link.makefile("rb") as stream:
            found = stream.read(struct.unpack("!H", stream.read(2))[0])
    return found if answers(found, asked) else None
