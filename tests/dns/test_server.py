"""The listeners against real clients, good and bad."""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from dnslib import EDNS0, RCODE, DNSRecord
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from appliance.dns import server as servers
from appliance.dns.forward import Forwarder
from appliance.dns.server import DnsServer, Known, is_local
from appliance.dns.zone import Named, Zone, make_zone
from tests.dns.test_answer import ZONE, hostile
from tests.dns.upstream import Upstream, address_of, patiently

GUESTS = ipaddress.IPv4Network("10.42.0.0/24")
NAME = "echo.formation.internal"


class Served:
    """A server on loopback whose zone can be replaced."""

    def __init__(self, host: str, upstream: Upstream) -> None:
        self.zone = ZONE
        self.forwarder = Forwarder([upstream.place])
        self.server = patiently(
            lambda: DnsServer(host, 0, lambda: self.zone, 5, self.forwarder, GUESTS)
        )
        self.server.start()

    def udp(self, packet: bytes, timeout: float = 10) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(timeout)
            link.connect(("127.0.0.1", self.server.port))
            link.send(packet)
            return link.recv(65535)

    def tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), 10)

    def ask(self, name: str = NAME, kind: str = "A", *extra: EDNS0) -> DNSRecord:
        record = DNSRecord.question(name, kind)
        record.add_ar(*extra)
        return DNSRecord.parse(self.udp(bytes(record.pack())))

    def respond(self, peer: str, packet: bytes) -> list[bytes]:
        found: list[bytes] = []
        self.server.respond(packet, peer, found.append, udp=True)
        return found


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream(lambda packet: [address_of(packet)])
    yield found
    found.close()


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def served(request: Any, upstream: Upstream) -> Iterator[Served]:
    found = Served(request.param, upstream)
    yield found
    found.server.stop()
    found.forwarder.stop()


def framed(*packets: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


def read_all(link: socket.socket, count: int) -> list[DNSRecord]:
    with link.makefile("rb") as stream:
        found = []
        for _ in range(count):
            head = stream.read(2)
            found.append(DNSRecord.parse(stream.read(struct.unpack("!H", head)[0])))
        return found


def is_ended(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("transport", ["+notcp", "+tcp", "+noedns", "+edns=1"])
def test_dig_gets_the_address(served: Served, transport: str) -> None:
    command = ["dig", "+short", transport, "@127.0.0.1", "-p", str(served.server.port)]
    done = subprocess.run(
        [*command, "echo.formation.internal"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "10.42.0.2"


def test_a_long_answer_comes_by_tcp(served: Served) -> None:
    name = "many.ada.formation.internal"
    cut = served.ask(name)
    assert (cut.header.tc, cut.rr) == (1, [])
    assert len(served.ask(name, "A", EDNS0(udp_len=4096)).rr) == 59
    with served.tcp() as link:
        link.sendall(framed(bytes(DNSRecord.question(name).pack())))
        assert len(read_all(link, 1)[0].rr) == 59


def test_many_queries_go_through_one_connection(served: Served) -> None:
    asked = [DNSRecord.question(n) for n in (NAME, "www.example.org", NAME)]
    with served.tcp() as link:
        link.sendall(framed(*(bytes(record.pack()) for record in asked)))
        found = read_all(link, 3)
    assert [r.header.id for r in found] == [r.header.id for r in asked]
    assert [str(r.rr[0].rdata) for r in found] == [
        "10.42.0.2",
        "192.0.2.7",
        "10.42.0.2",
    ]


@pytest.mark.parametrize("said", [b"\0\0", b"\0\5hello", b"\xff\xff"])
def test_a_length_that_no_query_has_ends_the_connection(
    served: Served, said: bytes
) -> None:
    with served.tcp() as link:
        link.sendall(said)
        assert is_ended(link)


def test_slow_and_many_connections_hold_nobody_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "TCP_OPEN_EACH", 3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(served.tcp()).sendall(b"\0")
        while served.server._open.total() < 3:  # noqa: SLF001
            threading.Event().wait(0.01)
        with served.tcp() as late:
            assert late.recv(1) == b""
        assert served.ask().rr
    while served.server._open:  # noqa: SLF001
        threading.Event().wait(0.01)
    with served.tcp() as again:
        again.sendall(framed(bytes(DNSRecord.question(NAME).pack())))
        assert read_all(again, 1)[0].rr


def test_a_slow_message_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "TCP_S", 0.1)
    with served.tcp() as link:
        link.sendall(b"\0")
        assert link.recv(1) == b""


def test_the_same_bytes_are_answered_from_memory(served: Served) -> None:
    packet = bytes(DNSRecord.question(NAME).pack())
    first = served.udp(packet)
    other = b"zz" + packet[2:]
    assert served.udp(other) == b"zz" + first[2:]
    assert served.server.counts.now() == {"answered": 1, "cached": 1}


def test_memory_tells_flags_apart(served: Served) -> None:
    record = DNSRecord.question(NAME)
    assert served.ask().header.rd == 1
    record.header.rd = 0
    assert DNSRecord.parse(served.udp(bytes(record.pack()))).header.rd == 0
    assert served.server.counts.now() == {"answered": 2}


def test_memory_is_not_filled_by_letters_case_nor_options(served: Served) -> None:
    kept = served.server._known.replies  # noqa: SLF001
    for name in ("eCHO.formation.internal", "nobody.formation.internal"):
        served.ask(name)
    assert kept == {}
    served.ask()
    assert len(kept) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "CACHE", 3)
    known = Known(ZONE)
    for number in range(20):
        known.keep(b"id%d" % number, True, b"idreply")
        assert len(known.replies) <= 3


def test_a_zone_that_changed_is_answered_at_once(served: Served) -> None:
    assert served.ask().rr
    served.zone = make_zone("formation.internal", [], 8)
    assert served.ask().header.rcode == RCODE.NXDOMAIN
    served.zone = ZONE
    assert served.ask().rr


def test_an_answer_of_an_older_zone_is_never_kept_for_the_newer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race: the zone is replaced while an answer of the old one is made."""
    newer = make_zone("formation.internal", [], 8)
    make = servers.answer

    def late(zone: Zone, *of: Any, **named: Any) -> DNSRecord:
        found = make(zone, *of, **named)
        if zone is ZONE:
            served.zone = newer
            served.server._current()  # noqa: SLF001
        return found

    monkeypatch.setattr(servers, "answer", late)
    packet = bytes(DNSRecord.question(NAME).pack())
    assert DNSRecord.parse(served.udp(packet)).rr
    assert DNSRecord.parse(served.udp(packet)).header.rcode == RCODE.NXDOMAIN


@pytest.mark.parametrize(
    ("peer", "code"),
    [
        ("127.0.0.1", RCODE.NOERROR),
        ("10.42.0.9", RCODE.NOERROR),
        ("10.42.1.9", RCODE.REFUSED),
        ("203.0.113.5", RCODE.REFUSED),
    ],
)
def test_other_names_are_for_this_machine_and_its_guests(
    served: Served, upstream: Upstream, peer: str, code: int
) -> None:
    packet = bytes(DNSRecord.question("www.example.org").pack())
    got = threading.Event()
    found: list[bytes] = []

    def take(reply: bytes) -> None:
        found.append(reply)
        got.set()

    served.server.respond(packet, peer, take, udp=True)
    assert got.wait(10)
    reply = DNSRecord.parse(found[0])
    assert reply.header.rcode == code
    assert reply.header.ra == (code == RCODE.NOERROR)
    if code == RCODE.REFUSED:
        assert len(found[0]) <= len(packet)
        assert upstream.asked == []


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:203.0.113.5", False),
        ("fe80::1%eth0", False),
        ("10.42.0.77", True),
    ],
)
def test_who_is_local(address: str, local: bool) -> None:
    assert is_local(address, GUESTS) is local


@hypothesis_settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(packets=st.lists(hostile(), max_size=5))
def test_strangers_gain_nothing_by_hostile_packets(
    served: Served, packets: list[bytes]
) -> None:
    for packet in packets:
        for reply in served.respond("203.0.113.5", packet):
            assert len(reply) <= max(3 * len(packet) + 60, 512)


def test_a_bug_met_by_a_datagram_does_not_end_the_loop(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(packet: bytes) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(servers, "parse", fail)
    with pytest.raises(TimeoutError):
        served.udp(b"x" * 20, timeout=0.3)
    assert served.ask().rr
    assert served.server.counts.now()["failed"] == 1


class Broken:
    """A socket whose every receive fails, as a broken interface's does."""

    def __init__(self) -> None:
        self.calls = 0

    def recvfrom(self, size: int) -> None:
        self.calls += 1
        raise OSError(100, "Network is down")

    def recvmsg(self, *of: int) -> None:
        self.recvfrom(0)


def test_an_error_of_the_socket_neither_ends_nor_heats(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    server = served.server
    broken, whole = Broken(), server._udp  # noqa: SLF001

    class Ended:
        def is_set(self) -> bool:
            return len(pauses) == 3

        def wait(self, seconds: float) -> None:
            pauses.append(seconds)

    monkeypatch.setattr(server, "_udp", broken)
    monkeypatch.setattr(server, "_ended", Ended())
    server._serve_udp()  # noqa: SLF001
    assert broken.calls == 3
    assert pauses == [servers.PAUSE_S] * 3
    monkeypatch.setattr(server, "_udp", whole)


def test_a_server_whose_socket_was_closed_says_so(upstream: Upstream) -> None:
    served = Served("127.0.0.1", upstream)
    assert served.server.is_alive
    served.server.stop()
    assert not served.server.is_alive
    served.forwarder.stop()


def test_a_port_that_is_taken_leaves_no_socket_open(upstream: Upstream) -> None:
    forwarder = Forwarder([])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            DnsServer("127.0.0.1", port, lambda: ZONE, 5, forwarder, GUESTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", port))
    forwarder.stop()


def test_ten_thousand_names_are_answered_one_by_one(served: Served) -> None:
    named = [Named("ada", f"a{n}", "10.42.0.2", True) for n in range(10_000)]
    served.zone = make_zone("formation.internal", named, 9)
    assert served.ask("a9999.formation.internal").rr
