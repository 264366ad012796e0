"""The receive loops on UDP and TCP of one address.

The zone's own answers are made in the loop itself; only what is forwarded waits
elsewhere. Nothing that a client sends or leaves undone ends or holds up a loop.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

import structlog
from dnslib import RCODE

from appliance.dns.answer import answer, fit, refusal, reply_to
from appliance.dns.forward import Forwarder
from appliance.dns.query import Query, Refused, parse
from appliance.dns.zone import Zone

CACHE = 20_000
PAUSE_S = 0.1  # after an error of the socket, which may last
TURN_S = 5.0  # for a datagram to come through
TCP_S = 10.0  # for one message, from the first wait to its last byte
TCP_OPEN, TCP_OPEN_EACH = 64, 8
LONGEST_TCP = 4096
PKTINFO = 8  # ip(7)
Reply = Callable[[bytes], None]
log = structlog.get_logger()


class Counts:
    """Queries by what became of them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def now(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._counts)


class Known:
    """Encoded answers of one zone. A thread that still holds an older zone's fills
    that one's, which nobody asks any more."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.replies: dict[tuple[bytes, bool], bytes] = {}

    def keep(self, packet: bytes, local: bool, reply: bytes) -> None:
        if len(self.replies) >= CACHE:
            self.replies.clear()
        self.replies[packet[2:], local] = reply[2:]


class DnsServer:
    """Serves one address; `zone` is asked anew for each query."""

    def __init__(
        self,
        host: str,
        port: int,
        zone: Callable[[], Zone],
        ttl: int,
        forwarder: Forwarder,
        guests: ipaddress.IPv4Network,
        counts: Counts | None = None,
    ) -> None:
        self._zone, self._ttl, self._forwarder = zone, ttl, forwarder
        self.counts = counts or Counts()
        self._is_local = lru_cache(4096)(lambda peer: is_local(peer, guests))
        self._known = Known(zone())
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._wildcard = host == "0.0.0.0"
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._wildcard:  # answers leave from the address that was asked
                self._udp.setsockopt(socket.IPPROTO_IP, PKTINFO, 1)
            self._udp.bind((host, port))
            self.port = int(self._udp.getsockname()[1])
            self._tcp = socket.create_server((host, self.port), family=family)
        except OSError:
            self._udp.close()
            raise
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._ended, self._turned = threading.Event(), threading.Event()
        self._loops = [
            threading.Thread(target=loop, daemon=True)
            for loop in (self._serve_udp, self._serve_tcp)
        ]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    @property
    def is_alive(self) -> bool:
        return all(loop.is_alive() for loop in self._loops)

    def responds(self) -> bool:
        """Whether a datagram without content, which nobody answers, comes through."""
        self._turned.clear()
        host, port = self._udp.getsockname()[:2]
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        try:
            with socket.socket(self._udp.family, socket.SOCK_DGRAM) as probe:
                probe.sendto(b"", (own, port))
        except OSError:
            return True  # its address is gone; who looks after us closes it
        return self._turned.wait(TURN_S)

    def keep_for(self, ttl: int) -> None:
        """Tell clients another time to keep answers; sockets and queries stay."""
        if ttl != self._ttl:
            self._ttl = ttl
            self._known = Known(self._zone())

    def stop(self) -> None:
        self._ended.set()
        for listener in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
        for loop in self._loops:
            if loop.ident:
                loop.join(5)
        self._udp.close()
        self._tcp.close()

    def respond(self, packet: bytes, peer: str, reply: Reply, *, udp: bool) -> bool:
        """Call `reply` with the answer's bytes, now or later; False for what
        deserves none."""
        local = self._is_local(peer)
        try:
            query = parse(packet)
        except Refused as refused:
            self.counts.add("malformed")
            if refused.reply:
                reply(refused.reply)
            return bool(refused.reply)
        known = self._current()
        code = refusal(query)
        ours = known.zone.covers(query.name)
        if code is None and not ours and not local:
            code = RCODE.REFUSED
        if code is not None:
            self.counts.add("refused")
            reply(bytes(reply_to(query, code, ra=local).pack()))
        elif ours:
            reply(self._own(known, query, packet, local, udp=udp))
        else:
            self.counts.add("forwarded")
            self._forwarder.ask(
                query,
                lambda found: reply(
                    fit(found, query, query.limit if udp else 65535, ra=True)
                ),
            )
        return True

    def _own(
        self, known: Known, query: Query, packet: bytes, local: bool, *, udp: bool
    ) -> bytes:
        found = answer(known.zone, query, self._ttl, ra=local)
        self.counts.add(_word(found.header.rcode, bool(found.rr)))
        full = bytes(found.pack())
        if not udp:
            return full
        reply = fit(full, query, query.limit, ra=local)
        if is_plain(query) and known.zone.lookup(query.name) is not None:
            known.keep(packet, local, reply)
        return reply

    def _current(self) -> Known:
        zone = self._zone()
        known = self._known
        if known.zone is not zone:
            self._known = known = Known(zone)
        return known

    def _serve_udp(self) -> None:
        while not self._ended.is_set():
            try:
                packet, peer, back = self._receive()
            except OSError as error:
                if error.errno == errno.EBADF:
                    return  # closed; whoever looks after us starts another
                self._ended.wait(PAUSE_S)
                continue
            self._turned.set()
            if packet and peer:
                self._take(packet, peer[0], back)

    def _receive(self) -> tuple[bytes, Any, Reply]:
        """A datagram, its sender (None at our own shutdown) and the way back."""
        if not self._wildcard:
            packet, peer = self._udp.recvfrom(4096)
            return packet, peer, lambda reply: self._send(reply, [], peer)
        packet, extra, _, peer = self._udp.recvmsg(4096, socket.CMSG_SPACE(12))
        return packet, peer, lambda reply: self._send(reply, _from(extra), peer)

    def _take(self, packet: bytes, peer: str, reply: Reply) -> None:
        try:
            found = self._current().replies.get((packet[2:], self._is_local(peer)))
            if found is not None:
                self.counts.add("cached")
                reply(packet[:2] + found)
            else:
                self.respond(packet, peer, reply, udp=True)
        except Exception:  # noqa: BLE001 - no datagram may end the loop
            self.counts.add("failed")
            log.exception("dns.bug", packet=packet.hex(), peer=peer)

    def _send(
        self, reply: bytes, extra: list[tuple[int, int, bytes]], peer: Any
    ) -> None:
        with contextlib.suppress(OSError):
            self._udp.sendmsg([reply], extra, 0, peer)

    def _serve_tcp(self) -> None:
        while not self._ended.is_set():
            try:
                link, peer = self._tcp.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return
                self._ended.wait(PAUSE_S)
                continue
            if self._has_room(peer[0]):
                work = threading.Thread(
                    target=self._answer_tcp, args=(link, peer[0]), daemon=True
                )
                work.start()
            else:
                self.counts.add("turned away")
                link.close()

    def _has_room(self, peer: str) -> bool:
        """Whether one more connection of this peer is taken; counts it."""
        with self._lock:
            if self._open.total() >= TCP_OPEN or self._open[peer] >= TCP_OPEN_EACH:
                return False
            self._open[peer] += 1
            return True

    def _answer_tcp(self, link: socket.socket, peer: str) -> None:
        """Queries one after the other, until the peer goes or is too slow."""
        try:
            with link, contextlib.suppress(OSError, EOFError, TimeoutError):
                while not self._ended.is_set():
                    end = time.monotonic() + TCP_S
                    (length,) = struct.unpack("!H", read_exactly(link, 2, end))
                    if not 12 <= length <= LONGEST_TCP:
                        return
                    packet = read_exactly(link, length, end)
                    found: Future[bytes] = Future()
                    if not self.respond(packet, peer, found.set_result, udp=False):
                        return
                    reply = found.result(TCP_S)
                    link.settimeout(TCP_S)
                    link.sendall(struct.pack("!H", len(reply)) + reply)
        finally:
            with self._lock:
                self._open[peer] -= 1
                if not self._open[peer]:
                    del self._open[peer]


def read_exactly(link: socket.socket, count: int, end: float) -> bytes:
    """`count` bytes before the moment `end`; raises TimeoutError or EOFError."""
    found = b""
    while len(found) < count:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        chunk = link.recv(count - len(found))
        if not chunk:
            raise EOFError
        found += chunk
    return found


def is_local(peer: str, guests: ipaddress.IPv4Network) -> bool:
    """Whether other names are forwarded for this address: the machine's own
    programs and this node's guests."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address in guests


def is_plain(query: Query) -> bool:
    """Whether many will ask in the same bytes: random letters' case and options,
    which some resolvers send, would fill the cache with copies."""
    letters = b"".join(query.question.qname.label)
    return letters == letters.lower() and not (query.edns and query.edns.has_options)


def _word(code: int, has_records: bool) -> str:
    if code == RCODE.NXDOMAIN:
        return "no such name"
    return "answered" if has_records else "no address"


def _from(extra: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Control data that makes an answer leave from where the query came to."""
    for level, kind, data in extra:
        if (level, kind) == (socket.IPPROTO_IP, PKTINFO):
            return [(level, kind, bytes(4) + data[8:12] + bytes(4))]
    return []
