"""The receive loops on UDP and TCP, and forwarding for local clients."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dnslib import RCODE, DNSRecord

from appliance.dns.answer import answer, form_error, parse
from appliance.dns.zone import Zone

CACHE = 20_000
FORWARD_S = 2.0


def resolvers(configured: Sequence[object]) -> list[str]:
    """The resolvers for other names: the setting's or resolv.conf's."""
    if configured:
        return [str(address) for address in configured]
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    words = [line.split() for line in lines if line.startswith("nameserver")]
    return [word[1] for word in words if len(word) > 1]


class DnsServer:
    """Serves one address; `zone` is asked anew for each uncached question."""

    def __init__(
        self,
        host: str,
        port: int,
        zone: Callable[[], Zone],
        ttl: int,
        upstream: Sequence[str],
        guests: ipaddress.IPv4Network,
    ) -> None:
        self._zone, self._ttl, self._upstream = zone, ttl, list(upstream)
        self._guests = guests
        self._cache: dict[bytes, bytes] = {}
        self._cached_for: Zone | None = None
        self._pool = ThreadPoolExecutor(16, "forward")
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind((host, port))
        self.port = int(self._udp.getsockname()[1])
        self._tcp = socket.create_server((host, self.port))
        self._ended = threading.Event()

    def start(self) -> None:
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._udp.shutdown(socket.SHUT_RDWR)
        self._udp.close()
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        self._pool.shutdown(wait=False)

    def _serve_udp(self) -> None:
        while not self._ended.is_set():
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                continue
            if self._ended.is_set():
                return  # the empty datagram of our own shutdown
            known = self._known(query)
            if known is not None:
                self._send(known, peer)
                continue
            self._pool.submit(self._answer_udp, query, peer)

    def _answer_udp(self, query: bytes, peer: tuple[str, int]) -> None:
        self._send(self.respond(query, peer[0], udp=True), peer)

    def _send(self, reply: bytes, peer: tuple[str, int]) -> None:
        if reply:
            with contextlib.suppress(OSError):
                self._udp.sendto(reply, peer)

    def _serve_tcp(self) -> None:
        while not self._ended.is_set():
            try:
                link, peer = self._tcp.accept()
            except OSError:
                continue
            self._pool.submit(self._answer_tcp, link, peer[0])

    def _answer_tcp(self, link: socket.socket, peer: str) -> None:
        with link, contextlib.suppress(OSError, struct.error):
            link.settimeout(5)
            stream = link.makefile("rb")
            while head := stream.read(2):
                query = stream.read(struct.unpack("!H", head)[0])
                reply = self.respond(query, peer, udp=False)
                link.sendall(struct.pack("!H", len(reply)) + reply)

    def _known(self, query: bytes) -> bytes | None:
        zone = self._zone()
        if zone is not self._cached_for:
            self._cache.clear()
            self._cached_for = zone
        found = self._cache.get(query[2:])
        return query[:2] + found if found else None

    def respond(self, query: bytes, peer: str, *, udp: bool) -> bytes:
        """The answer's bytes; empty for what deserves none."""
        record = parse(query)
        if record is None:
            return form_error(query)
        zone = self._zone()
        if zone.covers(str(record.q.qname)) or record.header.opcode:
            reply = bytes(answer(zone, record, self._ttl).pack())
            if udp and len(reply) > 512:
                return bytes(record.truncate().pack())
            if udp and len(self._cache) < CACHE and zone is self._cached_for:
                self._cache[query[2:]] = reply[2:]
            return reply
        if not self._is_local(peer):
            return self._code(record, RCODE.REFUSED)
        return self._forward(record, udp=udp)

    def _is_local(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer)
        return address.is_loopback or address in self._guests

    def _code(self, record: DNSRecord, code: int) -> bytes:
        reply = record.reply(ra=1, aa=0)
        reply.header.rcode = code
        return bytes(reply.pack())

    def _forward(self, record: DNSRecord, *, udp: bool) -> bytes:
        own = secrets.randbelow(65536)
        asked = record.header.id
        record.header.id = own
        packet = record.pack()
        record.header.id = asked
        for resolver in self._upstream:
            with contextlib.suppress(OSError):
                reply = _ask(resolver, packet, udp=udp)
                if struct.unpack("!H", reply[:2])[0] == own:
                    return struct.pack("!H", asked) + reply[2:]
        return self._code(record, RCODE.SERVFAIL)


def _ask(resolver: str, packet: bytes, *, udp: bool) -> bytes:
    if udp:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(FORWARD_S)
            link.connect((resolver, 53))
            link.send(packet)
            return link.recv(4096)
    with socket.create_connection((resolver, 53), FORWARD_S) as link:
        link.sendall(struct.pack("!H", len(packet)) + packet)
        stream = link.makefile("rb")
        return stream.read(struct.unpack("!H", stream.read(2))[0])
