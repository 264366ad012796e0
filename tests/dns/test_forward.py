"""Other names: asked upstream once for all, and believed only when the answer fits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from dnslib import EDNS0, RCODE, DNSRecord

from appliance.dns import forward
from appliance.dns.forward import Forwarder, resolvers
from appliance.dns.query import Query, parse
from tests.dns.upstream import Answer, Upstream, address_of


def query(name: str = "www.example.org", *extra: EDNS0) -> Query:
    record = DNSRecord.question(name)
    record.add_ar(*extra)
    return parse(bytes(record.pack()))


class Net:
    """Upstreams by need, and a forwarder that asks them in order."""

    def __init__(self) -> None:
        self.ups: list[Upstream] = []
        self.forwarder = Forwarder([])

    def add(self, answer: Answer, whole: Answer | None = None) -> Upstream:
        found = Upstream(answer, whole)
        self.ups.append(found)
        self.forwarder.upstream = [up.place for up in self.ups]
        return found

    def ask(self, asked: Query) -> bytes:
        found: Future[bytes] = Future()
        self.forwarder.ask(asked, found.set_result)
        return found.result(20)

    def close(self) -> None:
        for up in self.ups:
            up.close()
        self.forwarder.stop()


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr(forward, "ASK_S", 0.4)
    found = Net()
    yield found
    found.close()


def right(packet: bytes) -> list[bytes]:
    return [address_of(packet)]


def test_the_answer_has_the_askers_id_and_letters(net: Net) -> None:
    net.add(right)
    asked = query("WwW.exAMPLE.org")
    reply = DNSRecord.parse(net.ask(asked))
    assert (reply.header.id, reply.q) == (asked.id, asked.question)
    assert str(reply.q.qname) == "WwW.exAMPLE.org."
    assert str(reply.rr[0].rdata) == "192.0.2.7"


def test_ids_and_ports_differ_from_query_to_query(net: Net) -> None:
    up = net.add(right)
    for number in range(8):
        net.ask(query(f"n{number}.example.org"))
    assert len({packet[:2] for packet in up.asked}) > 1
    assert len(set(up.ports)) > 1


@pytest.mark.parametrize(
    "forge",
    [
        lambda packet: b"\0\0" + address_of(packet, "6.6.6.6")[2:],
        lambda packet: packet[:2] + packet[2:],
        lambda packet: packet[:2] + b"\x81\x80" + packet[4:10],
        lambda packet: (
            packet[:2]
            + address_of(
                bytes(DNSRecord.question("www.bank.example").pack()), "6.6.6.6"
            )[2:]
        ),
    ],
)
def test_datagrams_that_do_not_fit_are_passed_over(net: Net, forge: object) -> None:
    net.add(lambda packet: [forge(packet), b"", b"x", address_of(packet)])  # type: ignore[operator]
    reply = DNSRecord.parse(net.ask(query()))
    assert str(reply.rr[0].rdata) == "192.0.2.7"


def test_only_a_forger_answers_and_nothing_is_believed(net: Net) -> None:
    net.add(lambda packet: [b"\0\0" + address_of(packet, "6.6.6.6")[2:]])
    assert DNSRecord.parse(net.ask(query())).header.rcode == RCODE.SERVFAIL


def test_the_next_resolver_is_asked_where_one_is_silent_or_fails(net: Net) -> None:
    def fail(packet: bytes) -> list[bytes]:
        reply = DNSRecord.parse(packet).reply()
        reply.header.rcode = RCODE.SERVFAIL
        return [bytes(reply.pack())]

    net.add(lambda packet: [])
    net.add(fail)
    net.add(right)
    assert DNSRecord.parse(net.ask(query())).rr


def test_a_cut_answer_is_fetched_by_tcp(net: Net) -> None:
    def cut(packet: bytes) -> list[bytes]:
        reply = DNSRecord.parse(packet).reply()
        reply.header.tc = 1
        return [bytes(reply.pack())]

    net.add(cut, lambda packet: [address_of(packet, count=100)])
    assert len(DNSRecord.parse(net.ask(query())).rr) == 100


def test_opt_goes_on_as_it_came(net: Net) -> None:
    up = net.add(right)
    net.ask(query("a.example.org", EDNS0(udp_len=4096, flags="do")))
    net.ask(query("b.example.org"))
    first, second = (DNSRecord.parse(packet) for packet in up.asked)
    assert [(opt.rclass, opt.ttl) for opt in first.ar] == [(1232, 0x8000)]
    assert second.ar == []


def test_the_same_question_is_asked_once_for_all_who_wait(net: Net) -> None:
    go = threading.Event()

    def slow(packet: bytes) -> list[bytes]:
        go.wait(10)
        return [address_of(packet)]

    up = net.add(slow)
    waiting: list[tuple[Query, Future[bytes]]] = []
    for name in ["www.example.org", "WWW.example.org"] * 5:
        asked, found = query(name), Future[bytes]()
        net.forwarder.ask(asked, found.set_result)
        waiting.append((asked, found))
    go.set()
    for asked, found in waiting:
        reply = DNSRecord.parse(found.result(20))
        assert (reply.header.id, str(reply.q.qname)) == (
            asked.id,
            str(asked.question.qname),
        )
    assert len(up.asked) == 1


def test_a_resolver_that_asks_us_back_ends_in_a_failure(net: Net) -> None:
    """As dnsmasq does that is told to ask us for everything."""
    back: list[bytes] = []

    def ask_back(packet: bytes) -> list[bytes]:
        net.forwarder.ask(parse(packet), back.append)
        return []

    up = net.add(ask_back)
    assert DNSRecord.parse(net.ask(query())).header.rcode == RCODE.SERVFAIL
    assert len(up.asked) == 1
    assert len(back) == 1


def test_too_many_questions_fail_at_once(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "WAITING", 1)
    go = threading.Event()
    net.add(lambda packet: [address_of(packet)] if go.wait(10) else [])
    first: Future[bytes] = Future()
    net.forwarder.ask(query("a.example.org"), first.set_result)
    assert DNSRecord.parse(net.ask(query("b.example.org"))).header.rcode == (
        RCODE.SERVFAIL
    )
    go.set()
    assert DNSRecord.parse(first.result(20)).rr


def test_without_a_resolver_it_fails_at_once(net: Net) -> None:
    assert DNSRecord.parse(net.ask(query())).header.rcode == RCODE.SERVFAIL


def test_a_resolver_may_have_an_ipv6_address() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as up:
        up.bind(("::1", 0))
        forwarder = Forwarder([up.getsockname()[:2]])
        found: Future[bytes] = Future()
        forwarder.ask(query(), found.set_result)
        packet, peer = up.recvfrom(4096)
        up.sendto(address_of(packet), peer)
        assert DNSRecord.parse(found.result(20)).rr
        forwarder.stop()


def test_resolvers_are_the_settings_or_the_systems_but_never_ourselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "search x\nnameserver 127.0.0.1\nnameserver fe80::1%eth0\n"
        "nameserver 192.0.2.53 # gone\nnameserver\nnameserver nonsense\n"
    )
    monkeypatch.setattr(forward, "RESOLV", file)
    named = ["127.0.0.1", "fe80::1%eth0", "192.0.2.53"]
    assert [a for a, _ in resolvers([], [("127.0.0.1", 5453)])] == named
    assert [a for a, _ in resolvers([], [("127.0.0.1", 53)])] == named[1:]
    assert [a for a, _ in resolvers([], [("0.0.0.0", 53)])] == named[1:]
    assert resolvers(["2001:db8::1"], []) == [("2001:db8::1", 53)]
    monkeypatch.setattr(forward, "RESOLV", tmp_path / "none")
    assert resolvers([], []) == []
