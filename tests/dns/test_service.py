"""The service: a zone that follows the records, listeners that follow the bridge."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dnslib import RCODE, DNSRecord

from appliance import config, formnet, identity, state
from appliance.config import Settings
from appliance.dns import service
from appliance.dns.names import list_names, read_zone, vanity_domains
from appliance.dns.service import DnsRuntime, newer
from appliance.dns.zone import Named, make_zone
from appliance.state.server import StateServer

ZONE = "formation.internal"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any]) -> Any:
    for _ in range(1000):
        found = what()
        if found:
            return found
        threading.Event().wait(0.01)
    raise AssertionError(what)


def instance(owner: str, name: str, address: str, **more: Any) -> None:
    body = {"owner_name": owner, "name": name, "address": address, "reason": ""}
    body |= {"agent": f"{owner}/{name}", "state": "healthy", "desired": "running"}
    state.put("instance", f"{owner}-{name}-{address}", body | more)


@pytest.fixture
def runtime(
    records: StateServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DnsRuntime]:
    monkeypatch.setenv("FORMATION_DNS__PORT", str(free_port()))
    monkeypatch.setenv("FORMATION_FORMNET__CIDR", "127.77.0.0/16")
    monkeypatch.setattr(service, "ROUND_S", 0.01)
    monkeypatch.setattr(service, "SLOW_S", 0.01)
    config.settings.cache_clear()
    found = DnsRuntime(config.settings())
    found.start()
    yield found
    found.stop()


def ask(host: str, name: str) -> DNSRecord:
    port = config.settings().dns.port
    return DNSRecord.parse(DNSRecord.question(name).send(host, port, timeout=10))


def test_names_follow_health(runtime: DnsRuntime) -> None:
    instance("ada", "echo", "10.42.0.2")
    until(lambda: ask("127.0.0.1", f"echo.{ZONE}").rr)
    instance("ada", "echo", "10.42.0.2", state="unhealthy")
    until(lambda: not ask("127.0.0.1", f"echo.{ZONE}").rr)
    state.remove("instance", "ada-echo-10.42.0.2")
    until(lambda: ask("127.0.0.1", f"echo.{ZONE}").header.rcode == RCODE.NXDOMAIN)


def test_an_instance_that_is_to_go_answers_no_more(records: StateServer) -> None:
    settings = config.settings()
    instance("ada", "echo", "10.42.0.2", desired="deleted")
    assert read_zone(settings, ZONE).lookup(f"echo.{ZONE}") == ()


def test_guests_are_served_at_the_gateway_and_after_it_moved(
    runtime: DnsRuntime, settings: Settings
) -> None:
    until(lambda: "127.77.0.1" in runtime._servers)  # noqa: SLF001
    assert ask("127.77.0.1", f"nobody.{ZONE}").header.rcode == RCODE.NXDOMAIN
    node = identity.node_id(settings)
    assert node
    state.put("node", node, {"cidr": "127.78.0.0/16", "zone": ZONE})
    until(lambda: "127.78.0.1" in runtime._servers)  # noqa: SLF001
    until(lambda: "127.77.0.1" not in runtime._servers)  # noqa: SLF001
    assert ask("127.78.0.1", f"nobody.{ZONE}").header.rcode == RCODE.NXDOMAIN


def test_a_gateway_that_is_not_there_yet_is_waited_for(
    runtime: DnsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = formnet.Network("none0", "192.0.2.1", runtime_block())
    monkeypatch.setattr(formnet, "own_network", lambda config: gone)
    until(lambda: list(runtime._servers) == ["127.0.0.1"])  # noqa: SLF001
    assert runtime.status() == ("running", "")


def runtime_block() -> Any:
    from ipaddress import IPv4Network

    return IPv4Network("192.0.2.0/24")


def test_a_listener_that_died_is_replaced(runtime: DnsRuntime) -> None:
    first = runtime._servers["127.0.0.1"]  # noqa: SLF001
    first.stop()
    until(lambda: runtime._servers.get("127.0.0.1", first) is not first)  # noqa: SLF001
    assert ask("127.0.0.1", f"nobody.{ZONE}").header.rcode == RCODE.NXDOMAIN


def test_trouble_with_the_records_is_said_and_passes(
    runtime: DnsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peewee import OperationalError

    def locked() -> int:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(state, "changed_marker", locked)
        until(lambda: runtime.status() == ("degraded", "database is locked"))
    until(lambda: runtime.status() == ("running", ""))


def test_a_serial_only_grows() -> None:
    before = make_zone(ZONE, [], 100)
    changed = make_zone(ZONE, [Named("ada", "echo", "10.42.0.2", True)], 50)
    assert newer(before, changed).serial == 101
    same = make_zone(ZONE, [], 500)
    assert newer(before, same) is before
    later = make_zone(ZONE, changed_names(), 500)
    assert newer(before, later).serial == 500


def changed_names() -> list[Named]:
    return [Named("ada", "echo", "10.42.0.2", True)]


def test_a_wildcard_serves_guests_by_itself(
    records: StateServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_DNS__PORT", str(free_port()))
    monkeypatch.setenv("FORMATION_DNS__HOST", "0.0.0.0")
    config.settings.cache_clear()
    runtime = DnsRuntime(config.settings())
    runtime.start()
    try:
        runtime._attend()  # noqa: SLF001
        assert list(runtime._servers) == ["0.0.0.0"]  # noqa: SLF001
        assert ask("127.0.0.9", f"nobody.{ZONE}").header.rcode == RCODE.NXDOMAIN
    finally:
        runtime.stop()


def test_the_report_says_where_and_how_much(runtime: DnsRuntime) -> None:
    ask("127.0.0.1", f"nobody.{ZONE}")
    file = config.settings().run_dir / "dns" / "report.json"
    until(lambda: file.exists() and json.loads(file.read_text())["queries"])
    report = json.loads(file.read_text())
    assert report["queries"] == {"no such name": 1}
    assert f"127.0.0.1 port {config.settings().dns.port}" in report["listens"]


def test_names_say_whose_they_are_and_domains_are_kept(
    records: StateServer, settings: Settings
) -> None:
    instance("ada", "echo", "10.42.0.2", state="unhealthy")
    instance("bob", "echo", "10.42.0.3")
    state.put("domain", f"echo.{ZONE}", {"agent": "bob/echo", "instance": "x"})
    domain = {"host": "www.example.org", "path": "/", "port": 80}
    state.put("deployment", "d", {"agent": "bob/echo", "domains": [domain]})
    names = list_names(read_zone(settings, ZONE))
    assert [(n.fqdn, n.health, n.addresses, n.holder) for n in names] == [
        (f"echo.ada.{ZONE}", "unhealthy", (), None),
        (f"echo.{ZONE}", "healthy", ("10.42.0.3",), "bob"),
        (f"echo.bob.{ZONE}", "healthy", ("10.42.0.3",), None),
    ]
    assert [(v.domain, v.agent) for v in vanity_domains()] == [
        ("www.example.org", "bob/echo")
    ]


def test_a_reload_under_load_loses_no_query_and_no_connection(
    runtime: DnsRuntime,
) -> None:
    instance("ada", "echo", "10.42.0.2")
    until(lambda: ask("127.0.0.1", f"echo.{ZONE}").rr)
    before = runtime._servers["127.0.0.1"]  # noqa: SLF001
    stop, answers, lost = threading.Event(), [], []

    def query(tcp: bool) -> None:
        port, name = config.settings().dns.port, f"echo.{ZONE}"
        while not stop.is_set():
            try:
                question = DNSRecord.question(name)
                found = question.send("127.0.0.1", port, tcp=tcp, timeout=10)
                answers.append(DNSRecord.parse(found).rr[0].ttl)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is lost
                lost.append(error)

    clients = [
        threading.Thread(target=query, args=(tcp,)) for tcp in (False, False, True)
    ]
    for client in clients:
        client.start()
    for ttl in range(10, 60):
        config.config_file().write_text(f"[dns]\nttl = {ttl}\n")
        config.reload()
        runtime.reload()
        seen = len(answers)
        until(lambda seen=seen: len(answers) > seen or lost)
    until(lambda: answers[-1] == 59 or lost)
    stop.set()
    for client in clients:
        client.join()
    assert lost == [] and len(set(answers)) > 5
    assert runtime._servers["127.0.0.1"] is before  # noqa: SLF001


def test_another_port_is_served_after_a_reload(
    runtime: DnsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_DNS__PORT", str(free_port()))
    config.reload()
    runtime.reload()
    port = config.settings().dns.port
    until(lambda: port in {s.port for s in list(runtime._servers.values())})  # noqa: SLF001
    assert ask("127.0.0.1", f"nobody.{ZONE}").header.rcode == RCODE.NXDOMAIN
