"""The appliance's firewall in a network of its own: what comes in, what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from appliance.admin.machine import firewall
from appliance.config import DnsSettings, HttpSettings, Settings

WEB, SSH, OTHER, DNS = 8443, 22, 9999, 53
LISTEN = """
import signal, socket, sys
links = []
for port in map(int, sys.argv[1:]):
    link = socket.socket(); link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind(("0.0.0.0", port)); link.listen(); links.append(link)
print("listening", flush=True)
signal.pause()
"""
REACH = """
import socket, sys
link = socket.socket(); link.settimeout(float(sys.argv[2]))
sys.exit(link.connect_ex(("192.0.2.1", int(sys.argv[1]))))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Lan:
    """A node and a neighbour, joined by a cable."""

    def __init__(self, tag: str) -> None:
        self.node, self.other = f"fw-node-{tag}", f"fw-other-{tag}"
        ip("netns", "add", self.node)
        ip("netns", "add", self.other)
        ip("-n", self.node, "link", "add", "eth0", "type", "veth", "peer", "eth9")
        ip("-n", self.node, "link", "set", "eth9", "netns", self.other)
        for name, card, address in (
            (self.node, "eth0", "192.0.2.1/24"),
            (self.other, "eth9", "192.0.2.2/24"),
        ):
            ip("-n", name, "address", "add", address, "dev", card)
            ip("-n", name, "link", "set", card, "up")
            ip("-n", name, "link", "set", "lo", "up")
        command = [sys.executable, "-c", LISTEN, *map(str, (WEB, SSH, OTHER, DNS))]
        self._server = subprocess.Popen(
            self.inside(self.node, *command), stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "listening\n"

    @staticmethod
    def inside(name: str, *command: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{name}", *command]

    def load(self, rules: str) -> None:
        command = self.inside(self.node, "nft", "-f", "-")
        subprocess.run(command, input=rules, text=True, check=True)

    def reaches(self, port: int, name: str = "", wait: float = 10) -> bool:
        command = [sys.executable, "-c", REACH, str(port), str(wait)]
        entered = self.inside(name or self.other, *command)
        return subprocess.run(entered, check=False).returncode == 0

    def is_closed(self, port: int) -> bool:
        return not self.reaches(port, wait=0.3)

    def close(self) -> None:
        self._server.kill()
        self._server.communicate()
        ip("netns", "delete", self.node)
        ip("netns", "delete", self.other)


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    found = Lan(str(os.getpid()))
    yield found
    found.close()


def rules(settings: Settings, with_ssh: bool) -> str:
    return firewall.ruleset(firewall.openings(settings, with_ssh), "formation0")


def test_all_is_closed_but_the_page(lan: Lan, settings: Settings) -> None:
    assert lan.reaches(OTHER) and lan.reaches(WEB)  # before
    lan.load(rules(settings, with_ssh=False))
    assert lan.reaches(WEB)
    assert lan.is_closed(SSH)
    assert lan.is_closed(OTHER)
    assert lan.is_closed(DNS)


def test_ssh_is_open_where_it_is_on_and_the_node_reaches_itself(
    lan: Lan, settings: Settings
) -> None:
    lan.load(rules(settings, with_ssh=True))
    assert lan.reaches(SSH)
    assert lan.is_closed(OTHER)
    assert lan.reaches(OTHER, lan.node)


def test_what_is_not_named_is_dropped_and_pings_are_not(
    lan: Lan, settings: Settings
) -> None:
    lan.load(rules(settings, with_ssh=False))
    listing = Lan.inside(lan.node, "nft", "list", "table", "inet", firewall.TABLE)
    shown = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    assert "policy drop" in shown
    assert "icmp" in shown


def test_rules_replace_themselves_and_wrong_ones_change_nothing(
    lan: Lan, settings: Settings
) -> None:
    text = rules(settings, with_ssh=False)
    lan.load(text)
    lan.load(text)
    with pytest.raises(subprocess.CalledProcessError):
        lan.load(text + "\nnonsense\n")
    assert lan.reaches(WEB)
    assert lan.is_closed(OTHER)


def test_what_is_open_follows_the_settings(settings: Settings) -> None:
    assert firewall.openings(settings, False) == [("tcp", 8443)]
    http, dns = HttpSettings(https_port=443), DnsSettings(host="0.0.0.0", port=53)
    wider = settings.model_copy(update={"http": http, "dns": dns})
    found = firewall.openings(wider, True)
    assert found == [("tcp", 22), ("tcp", 53), ("tcp", 443), ("udp", 53)]
