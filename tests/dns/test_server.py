"""Names over the wire: healthy instances answer, others do not."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterator

import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from appliance.dns.answer import answer, form_error, parse
from appliance.dns.server import DnsServer
from appliance.dns.zone import Named, Zone, make_zone

ZONE = make_zone(
    "formation.internal",
    [
        Named("ada", "echo", "10.42.0.2", True),
        Named("ada", "ill", "10.42.0.3", False),
        Named("bob", "echo", "10.42.0.4", True),
    ],
    7,
)


def ask(name: str, kind: str = "A", zone: Zone = ZONE) -> DNSRecord:
    record = parse(bytes(DNSRecord.question(name, kind).pack()))
    assert record is not None
    return answer(zone, record, 5)


def test_a_healthy_agent_has_its_address_under_both_names() -> None:
    for name in ("echo.formation.internal", "ECHO.ada.formation.internal"):
        assert str(ask(name).rr[0].rdata) == "10.42.0.2"
    assert str(ask("echo.bob.formation.internal").rr[0].rdata) == "10.42.0.4"


def test_a_short_name_stays_with_who_claimed_it() -> None:
    named = [
        Named("ada", "echo", "10.42.0.2", True),
        Named("bob", "echo", "10.42.0.4", True),
    ]
    zone = make_zone("formation.internal", named, 7, {"echo": "bob"})
    assert zone.lookup("echo.formation.internal") == ("10.42.0.4",)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("ill.formation.internal", "A", RCODE.NOERROR),
        ("echo.formation.internal", "AAAA", RCODE.NOERROR),
        ("ada.formation.internal", "A", RCODE.NOERROR),
        ("nobody.formation.internal", "A", RCODE.NXDOMAIN),
    ],
)
def test_without_an_answer_there_is_the_soa(name: str, kind: str, code: int) -> None:
    reply = ask(name, kind)
    assert (reply.header.rcode, len(reply.rr)) == (code, 0)
    assert QTYPE[reply.auth[0].rtype] == "SOA"


@given(st.binary(max_size=600))
def test_hostile_bytes_never_raise(packet: bytes) -> None:
    record = parse(packet)
    if record is None:
        assert isinstance(form_error(packet), bytes)
    else:
        answer(ZONE, record, 5).pack()


@pytest.fixture
def server() -> Iterator[DnsServer]:
    guests = ipaddress.ip_network("10.42.0.0/24")
    assert isinstance(guests, ipaddress.IPv4Network)
    found = DnsServer("127.0.0.1", 0, lambda: ZONE, 5, [], guests)
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_gets_the_address(server: DnsServer, transport: str) -> None:
    command = ["dig", "+short", transport, "@127.0.0.1", "-p", str(server.port)]
    done = subprocess.run(
        [*command, "echo.formation.internal"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "10.42.0.2"
