"""Who has a port is looked at from outside, and told in words."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest

from appliance.admin import checks, listeners, processes
from appliance.admin.listeners import Listener
from appliance.admin.ports import Port, wanted
from appliance.config import Settings

from .test_serving import with_ports


@pytest.fixture
def somebody(settings: Settings) -> Iterator[Settings]:
    """A node whose port for names is taken, by this very process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        dns = settings.dns.model_copy(update={"port": port})
        yield settings.model_copy(update={"dns": dns})


def report(settings: Settings, local: str) -> None:
    """What formation-jobs would write of form-dns."""
    link = {"kind": "udp", "local": local, "state": "none", "remote": ""}
    found = {"processes": [{"name": "dns", "connections": [link]}]}
    processes.report_file(settings).write_text(json.dumps(found))


def test_a_port_that_another_program_has_is_told_with_its_name(
    somebody: Settings,
) -> None:
    verdict = checks.dns_port(somebody)
    assert not verdict.ok
    assert f"UDP port {somebody.dns.port} is taken by" in verdict.text
    assert f"process {os.getpid()}" in verdict.text
    assert "dns.port" in verdict.cure


def test_form_dns_itself_is_no_obstacle(somebody: Settings) -> None:
    report(somebody, f"127.0.0.1:{somebody.dns.port}")
    verdict = checks.dns_port(somebody)
    assert verdict.ok and not verdict.warning
    assert "form-dns answers" in verdict.text
    report(somebody, "127.0.0.2:9")
    assert not checks.dns_port(somebody).ok


def test_looking_takes_no_port(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = with_ports(settings, 8443)

    def bind(*of: object) -> None:
        raise AssertionError("a check bound a port")

    monkeypatch.setattr(socket.socket, "bind", bind)
    assert "is free for names" in checks.dns_port(free).text


@pytest.mark.parametrize(
    ("listener", "is_there"),
    [
        (Listener("udp", "127.0.0.1", 53), True),
        (Listener("udp", "0.0.0.0", 53), True),
        (Listener("udp", "::", 53), True),
        (Listener("udp", "10.0.0.1", 53), False),
        (Listener("udp", "::1", 53), False),
        (Listener("tcp", "127.0.0.1", 53), False),
        (Listener("udp", "127.0.0.1", 54), False),
    ],
)
def test_what_is_in_the_way_of_a_port(listener: Listener, is_there: bool) -> None:
    port = Port("dns.port", "udp", "127.0.0.1", 53, "dns")
    assert listener.is_at(port) is is_there
    assert (listeners.at(port, [listener]) is not None) is is_there


def test_a_port_at_all_addresses_is_taken_by_one_at_any() -> None:
    port = Port("http.https_port", "tcp", "", 8443, "caddy")
    assert Listener("tcp", "192.0.2.1", 8443).is_at(port)


def test_who_cannot_be_seen_is_another_program(settings: Settings) -> None:
    assert listeners.holder(settings, Listener("tcp", "::", 1)) == "another program"
    gone = Listener("tcp", "::", 1, 2**22 + 1)
    assert listeners.holder(settings, gone) == f"process {2**22 + 1}"


def test_places_are_written_as_the_report_has_them() -> None:
    assert Listener("tcp", "::1", 80).place == "[::1]:80"
    assert Listener("tcp", "127.0.0.1", 80).place == "127.0.0.1:80"


def test_every_port_is_set_by_a_setting(settings: Settings) -> None:
    for port in wanted(settings):
        section, _, key = port.setting.partition(".")
        assert getattr(getattr(settings, section), key) == port.number
