"""The appliance's firewall: closed but for what runs. nft(8).

What services open to others is in their settings, and so it is here; the page stays
reachable whatever else is closed. Guests and builds have tables of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from appliance.admin.machine import ssh
from appliance.admin.ports import Port, wanted
from appliance.appliance_image import is_appliance
from appliance.config import Settings
from appliance.problems import Problem

TABLE = "formation_node"


def openings(settings: Settings, with_ssh: bool) -> list[tuple[str, int]]:
    """(tcp or udp, port) that others may reach. Pure."""
    found = {(port.kind, port.number) for port in wanted(settings) if is_open(port)}
    found |= {("tcp", ssh.PORT)} if with_ssh else set()
    return sorted(found)


def is_open(port: Port) -> bool:
    return not port.host or not ip_address(port.host).is_loopback


def ruleset(open_ports: Iterable[tuple[str, int]], bridge: str) -> str:
    """Input for `nft -f -`; replaces the table in one step. Pure."""
    accepts = "\n".join(f"    {kind} dport {port} accept" for kind, port in open_ports)
    return f"""
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lo" accept
    iifname "{bridge}" accept comment "guests: table formation"
    iifname "fbuild*" accept comment "builds: their own tables"
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp sport 67 udp dport 68 accept comment "DHCP"
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"
    ip daddr 224.0.0.251 udp dport 5353 accept comment "mDNS"
    ip6 daddr ff02::fb udp dport 5353 accept comment "mDNS"
{accepts}
  }}
}}
"""


def rules(settings: Settings) -> str:
    return ruleset(openings(settings, bool(ssh.lines())), settings.formnet.bridge)


def loaded_file(settings: Settings) -> Path:
    return settings.run_dir / "jobs" / "firewall.nft"


def refresh(settings: Settings) -> None:
    """On the appliance: put the rules into force where they are not."""
    if not is_appliance():
        return
    text, file = rules(settings), loaded_file(settings)
    if file.exists() and file.read_text() == text and is_loaded():
        return
    load(text)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def is_loaded() -> bool:
    return _nft("list", "table", "inet", TABLE).returncode == 0


def load(text: str) -> None:
    """Raises Problem and changes nothing where nft refuses."""
    done = _nft("-f", "-", text=text)
    if done.returncode:
        raise Problem("firewall-failed", f"nft: {done.stderr.strip()[:300]}")


def _nft(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nft", *arguments], input=text, capture_output=True, text=True, check=False
    )
