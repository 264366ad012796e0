"""What may be wished of the machine, and what the files of it say."""

from __future__ import annotations

from configparser import RawConfigParser
from ipaddress import ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.machine import network, ssh, wish
from appliance.problems import Invalid

KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmyhXq0tJHXl4hkV1FmTHAGRy7oPRYvT2m1pDxYqN0P"
    " ada@laptop"
)
STATIC = {"method": "static", "interface": "eth0", "address": "192.168.1.20/24"}


def test_all_at_once_is_taken_and_comes_back_as_it_was() -> None:
    found = wish.checked(
        {
            "time_zone": "Europe/Berlin",
            "host_name": "Cellar",
            "network": {**STATIC, "gateway": "192.168.1.1", "dns": ["9.9.9.9"]},
            "ssh_keys": [KEY],
        }
    )
    assert found.host_name == "cellar"
    assert found.ssh_keys == [KEY]
    assert wish.checked(found.document()) == found


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"host_name": "two words"}, "host_name"),
        ({"host_name": "a.b"}, "host_name"),
        ({"host_name": "-x"}, "host_name"),
        ({"host_name": "a" * 64}, "host_name"),
        ({"colour": "red"}, "colour"),
        ({"network": {"method": "magic"}}, "network.method"),
        ({"network": {"method": "static"}}, "network"),
        ({"network": {**STATIC, "address": "192.168.1.20"}}, "network"),
        ({"network": {**STATIC, "address": "192.168.1.300/24"}}, "network.address"),
        ({"network": {**STATIC, "address": "127.0.0.1/8"}}, "network"),
        ({"network": {**STATIC, "gateway": "10.0.0.1"}}, "network"),
        ({"network": {**STATIC, "gateway": "192.168.1.20"}}, "network"),
        ({"network": {**STATIC, "gateway": "fe80::1"}}, "network"),
        ({"network": {**STATIC, "dns": ["nine"]}}, "network.dns.0"),
        ({"network": {**STATIC, "interface": "a\nb"}}, "network.interface"),
        ({"network": {"method": "dhcp", "address": "10.0.0.5/8"}}, "network"),
        ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "ssh_keys.0"),
        ({"ssh_keys": ["ssh-ed25519 AAAA"]}, "ssh_keys.0"),
        ({"ssh_keys": [f'command="rm" {KEY}']}, "ssh_keys.0"),
        ({"ssh_keys": [KEY.replace("ssh-ed25519 ", "ssh-rsa ")]}, "ssh_keys.0"),
        ({"ssh_keys": KEY}, "ssh_keys"),
    ],
)
def test_what_is_wrong_is_named(answers: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        wish.checked(answers)
    assert field in caught.value.members["errors"], caught.value.members


@given(st.text())
def test_no_host_name_breaks_out_of_its_file(text: str) -> None:
    try:
        found = wish.host_label(text)
    except ValueError:
        return
    assert found.isascii() and not set(found) & set(" \n/.=")


@given(st.text(max_size=80))
def test_no_key_has_two_lines(text: str) -> None:
    found = wish.key_line(f"{KEY} {text}")
    assert "\n" not in found
    assert found.startswith(KEY)


def test_a_key_is_known_by_its_fingerprint() -> None:
    found = ssh.parsed(KEY)
    assert (found.kind, found.comment) == ("ssh-ed25519", "ada@laptop")
    assert found.fingerprint.startswith("SHA256:")
    assert len(found.fingerprint) == 50


def read(text: str) -> RawConfigParser:
    found = RawConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment]
    found.read_string(text)
    return found


@given(
    st.ip_addresses(v=4).filter(
        lambda a: not (a.is_loopback or a.is_multicast or a.is_unspecified)
    ),
    st.integers(1, 31),
)
def test_the_file_of_a_static_network_holds_its_address(ip: Any, prefix: int) -> None:
    found = wish.Network(
        method="static", interface="eth0", address=ip_interface(f"{ip}/{prefix}")
    )
    file = read(network.file_text(found))
    assert file.get("Match", "Name") == "eth0"
    assert file.get("Network", "Address") == f"{ip}/{prefix}"
    assert not file.has_option("Network", "DHCP")


def test_the_file_of_dhcp_takes_every_wired_card() -> None:
    file = read(network.file_text(wish.Network()))
    assert file.get("Match", "Type") == "ether"
    assert file.get("Network", "DHCP") == "yes"
    assert file.get("Network", "MulticastDNS") == "yes"


def test_named_dns_servers_replace_those_of_dhcp() -> None:
    found = wish.checked({"network": {"dns": ["9.9.9.9"]}}).network
    assert found is not None
    file = read(network.file_text(found))
    assert file.get("DHCPv4", "UseDNS") == "no"
    assert file.get("Network", "DNS") == "9.9.9.9"


def test_the_only_card_is_meant_where_none_is_named() -> None:
    found = wish.Network.model_validate({**STATIC, "interface": ""})
    assert network.resolved(found, ["eth0"]).interface == "eth0"
    for known in ([], ["eth0", "eth1"]):
        with pytest.raises(Invalid, match="which card"):
            network.resolved(found, known)
    with pytest.raises(Invalid, match="no card 'eth9'"):
        network.resolved(found.model_copy(update={"interface": "eth9"}), ["eth0"])
