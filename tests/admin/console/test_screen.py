"""What the console says, from facts alone."""

from __future__ import annotations

from dataclasses import replace

import segno
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.console import menu, screen
from appliance.admin.console.facts import Facts, Service, chosen_of
from appliance.admin.console.screen import Line

FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
NEW = Facts(
    host="formation",
    mdns=True,
    fingerprint=FINGERPRINT,
    claim="3f2a-91bc-77de",
    addresses=("192.168.1.20",),
)
DONE = replace(
    NEW,
    claim="",
    is_set_up=True,
    services=(
        Service("Machines", "", "running"),
        Service("Names", "", "failed", "port 53 is taken"),
    ),
)


def text(lines: list[Line]) -> str:
    return "\n".join(line.text.rstrip() for line in lines)


def test_a_new_node_says_where_it_is_what_it_shows_and_its_claim_code() -> None:
    said = text(screen.home(NEW, 79, 22))
    assert "https://192.168.1.20:8443" in said
    assert "https://formation.local:8443" in said
    assert "3f2a-91bc-77de" in said
    for part in (FINGERPRINT[:47], FINGERPRINT[48:]):
        assert part in said


def test_a_new_node_has_a_picture_that_leads_to_the_wizard() -> None:
    """Read back: each module of the code is where the code has it."""
    made = segno.make_qr("HTTPS://192.168.1.20:8443", error="l", boost_error=False)
    code = screen.picture("https://192.168.1.20:8443")
    shown = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[shown[mark][half] for mark in line] for line in code for half in (0, 1)]
    wanted = [list(row) for row in made.matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted
    assert all(line in text(screen.home(NEW, 79, 22)) for line in map(str.rstrip, code))


def test_nothing_is_wider_or_longer_than_the_screen() -> None:
    for width, height in ((79, 22), (40, 10), (20, 3), (132, 50)):
        lines = screen.home(NEW, width, height)
        assert len(lines) <= height
        assert all(len(line.text) <= width for line in lines)


def test_the_picture_goes_first_where_there_is_no_room() -> None:
    said = text(screen.home(NEW, 60, 22))
    assert "█" not in said
    assert "3f2a-91bc-77de" in said


def test_a_node_that_is_set_up_says_how_its_services_are() -> None:
    said = text(screen.home(DONE, 79, 22))
    assert "Claim code" not in said
    assert "█" not in said
    assert "1 of 2 services run." in said
    assert "!! Names: failed port 53 is taken" in said


def test_a_machine_without_address_says_what_to_look_at() -> None:
    said = text(screen.home(replace(NEW, addresses=(), mdns=False), 79, 22))
    assert "no address" in said
    assert "cable" in said


def test_a_node_that_is_down_says_so_and_still_shows_its_address() -> None:
    down = Facts(host="formation", addresses=("10.0.0.5",), trouble="It is not there.")
    said = text(screen.home(down, 79, 22))
    assert "It is not there." in said
    assert "https://10.0.0.5:8443" in said


def test_addresses_of_guests_loopback_and_single_links_are_left_out() -> None:
    cards = [
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("formation0", "10.42.0.1"),
        ("fbuild3", "198.18.255.1"),
        ("eth0", "fe80::1%eth0"),
        ("eth0", "52:54:00:12:34:56"),
        ("eth0", "2001:db8::5"),
        ("eth1", "192.168.1.20"),
        ("eth1", "169.254.3.3"),
    ]
    assert chosen_of(cards) == ("192.168.1.20", "2001:db8::5")


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert Facts(addresses=("2001:db8::5",)).urls == ("https://[2001:db8::5]:8443",)


def test_arrows_go_round_and_enter_chooses() -> None:
    found = menu.menu(NEW)
    found = menu.pressed(found, menu.UP)
    assert found.at == len(found.entries) - 1
    found = menu.pressed(found, menu.DOWN)
    assert menu.pressed(found, menu.CHOOSE).chosen == found.entries[0].dialog


def test_a_number_chooses_at_once_and_esc_goes_back() -> None:
    found = menu.pressed(menu.menu(NEW), "2")
    assert found.chosen == found.entries[1].dialog
    for key in (menu.LEAVE, "0", "q"):
        assert menu.pressed(found, key).is_over


@given(st.text(max_size=2))
def test_no_other_key_does_anything(key: str) -> None:
    found = menu.menu(NEW)
    after = menu.pressed(found, key)
    known = key in ("q", "0", "up", "down") or (key.isascii() and key.isdigit())
    assert known or after == found
    assert 0 <= after.at < len(after.entries)


def test_a_shell_is_offered_only_where_the_setting_allows_it() -> None:
    shell = menu.SHELL
    assert shell not in menu.menu(NEW).entries
    assert shell in menu.menu(replace(NEW, has_shell=True)).entries


def test_the_menu_fits_a_serial_line() -> None:
    lines = menu.lines(menu.menu(replace(NEW, has_shell=True)), 79)
    assert len(lines) <= 20
    assert all(len(line.text) <= 79 for line in lines)
