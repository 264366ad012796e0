"""Addresses and nodes that are trusted: the edges of networks, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import trust

ID = "ab" * 32


@pytest.mark.parametrize(
    ("address", "role"),
    [
        ("192.0.2.0", "auditor"),
        ("192.0.2.255", "auditor"),
        ("192.0.1.255", None),
        ("192.0.3.0", None),
        ("192.0.2.9", "operator"),  # the narrower one says so
        ("::ffff:192.0.2.1", "auditor"),
        ("::ffff:192.0.2.9", "operator"),
        ("::ffff:192.0.3.0", None),
        ("::192.0.2.1", None),
        ("64:ff9b::192.0.2.1", None),
        ("2001:db8::", "auditor"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "auditor"),
        ("2001:db9::", None),
        ("2001:db8::1%eth0", None),
        ("fe80::1", "auditor"),
        ("fe80::1%eth0", None),
        ("192.0.2.1, 198.51.100.1", None),
        ("192.0.2.1:80", None),
        ("0300.0.2.1", None),
        ("3221225985", None),
        (" 192.0.2.1", None),
        ("local", None),
        ("", None),
    ],
)
def test_what_is_within_a_network(address: str, role: str | None) -> None:
    entries = [
        trust.network(entry)
        for entry in (
            "192.0.2.0/24",
            "192.0.2.9=operator",
            "2001:db8::/32=auditor",
            "fe80::/10",
        )
    ]
    assert trust.role_of_address(address, entries) == role


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("128.0.0.0", False),
        ("126.255.255.255", False),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:7f00:1", True),
        ("::127.0.0.1", False),
        ("::2", False),
        ("::1%lo", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:128.0.0.1", False),
        ("127.1", False),
        ("0x7f000001", False),
        ("2130706433", False),
        ("localhost", False),
        ("127.0.0.1, 203.0.113.9", False),
    ],
)
def test_what_is_this_machine(address: str, is_one: bool) -> None:
    assert trust.is_loopback(address) is is_one


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("192.0.2.1/24", "host bits"),
        ("0.0.0.0/0", "everybody"),
        ("::/0=operator", "everybody"),
        ("127.0.0.0/8", "loopback_trust"),
        ("::1", "loopback_trust"),
        ("::ffff:192.0.2.0/120", "IPv4"),
        ("192.0.2.1=root", "role"),
        ("node.example.org", "address or a network"),
        ("", "address or a network"),
    ],
)
def test_a_wrong_network_is_refused_with_a_sentence(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        trust.network(entry)


@pytest.mark.parametrize(
    ("entry", "why"),
    [("ab", "64 characters"), (ID.upper(), "64 characters"), (f"{ID}=all", "role")],
)
def test_a_wrong_node_is_refused_with_a_sentence(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        trust.node(entry)


def test_a_node_is_trusted_by_its_whole_id() -> None:
    entries = [trust.node(f"{ID}=operator"), trust.node("cd" * 32)]
    assert trust.role_of_node(ID, entries) == "operator"
    assert trust.role_of_node("cd" * 32, entries) == "auditor"
    for other in ("", ID[:-1], f"{ID}=operator", "ee" * 32):
        assert trust.role_of_node(other, entries) is None


@given(st.text(max_size=60))
def test_whatever_is_no_address_is_not_trusted(text: str) -> None:
    trust.is_loopback(text)
    assert trust.role_of_address(text, ["203.0.113.77=operator"]) is None
