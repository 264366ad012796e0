"""What guests may reach, as nftables rules. Pure.

DNS of the node and the public internet; never the node itself, other guests, its LAN
or private ranges beyond those that the setting grants. On the bridge a guest may
speak only as itself: its port, MAC and address belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from appliance.formnet.addresses import PORT, Network, guests

PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
)
RESERVED = ("0.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4")
COUNTERS = {
    "names": "Queries for names",
    "out": "To the internet and granted ranges",
    "to_node": "Refused: other ports of the node",
    "to_guests": "Refused: other guests",
    "to_private": "Refused: private ranges and the node's LAN",
    "from_outside": "Refused: from outside to a guest",
    "spoofed": "Refused: somebody else's address",
    "not_ipv4": "Refused: IPv6 and other protocols",
}
TABLES = ("inet", "bridge")  # each is named `formation`


def ruleset(
    found: Network,
    dns_port: int,
    granted: Sequence[IPv4Network],
    lan: Sequence[IPv4Network] = (),
) -> str:
    """Input for `nft -f -`; replaces both tables in one step."""
    return _routed(found, dns_port, granted, lan) + _bridged(found)


def _routed(
    found: Network,
    dns_port: int,
    granted: Sequence[IPv4Network],
    lan: Sequence[IPv4Network],
) -> str:
    at, gateway = f'iifname "{found.bridge}"', found.gateway
    to = f'oifname "{found.bridge}"'
    closed = ", ".join([*PRIVATE, *RESERVED, *map(str, lan)])
    counters = "\n".join(f"  counter {name} {{ }}" for name in COUNTERS)
    grants = "\n".join(
        f"    {at} ip daddr {network} counter name out accept" for network in granted
    )
    return f"""
table inet formation
delete table inet formation
table inet formation {{
{counters}
  set closed {{
    type ipv4_addr; flags interval; auto-merge;
    elements = {{ {closed} }}
  }}
  chain names {{
    type nat hook prerouting priority dstnat;
    {at} ip daddr {gateway} udp dport 53 redirect to :{dns_port}
    {at} ip daddr {gateway} tcp dport 53 redirect to :{dns_port}
  }}
  chain input {{
    type filter hook input priority filter;
    {at} ct state established,related accept
    {at} ip daddr {gateway} udp dport {dns_port} counter name names accept
    {at} ip daddr {gateway} tcp dport {dns_port} counter name names accept
    {at} ip daddr {gateway} icmp type echo-request accept
    {at} counter name to_node drop
  }}
  chain forward {{
    type filter hook forward priority filter;
    {at} {to} counter name to_guests drop
    {to} ct state established,related accept
    {to} counter name from_outside drop
    {at} meta nfproto ipv6 drop
    {at} ip saddr != {found.block} counter name spoofed drop
{grants}
    {at} ip daddr @closed counter name to_private drop
    {at} counter name out
  }}
  chain internet {{
    type nat hook postrouting priority srcnat;
    ip saddr {found.block} oifname != "{found.bridge}" masquerade
  }}
}}
"""


def _bridged(found: Network) -> str:
    """IPv4 and ARP of the port's own addresses; all else, IPv6 too, is dropped."""
    known = ",\n      ".join(
        f'"{name}" . {mac} . {address}' for name, mac, address in guests(found)
    )
    spoofed = "counter name spoofed drop"
    return f"""
table bridge formation
delete table bridge formation
table bridge formation {{
  counter spoofed {{ }}
  counter to_guests {{ }}
  counter not_ipv4 {{ }}
  set guests {{
    type ifname . ether_addr . ipv4_addr
    elements = {{
      {known}
    }}
  }}
  chain prerouting {{
    type filter hook prerouting priority dstnat;
    iifname "{PORT}*" jump guest
  }}
  chain guest {{
    ether type arp iifname . ether saddr . arp saddr ip != @guests {spoofed}
    ether type arp iifname . arp saddr ether . arp saddr ip != @guests {spoofed}
    ether type arp accept
    ether type ip iifname . ether saddr . ip saddr @guests accept
    ether type ip {spoofed}
    counter name not_ipv4 drop
  }}
  chain forward {{
    type filter hook forward priority filter;
    iifname "{PORT}*" counter name to_guests drop
    oifname "{PORT}*" counter name to_guests drop
  }}
}}
"""


@dataclass(frozen=True)
class Blocker:
    """A chain of somebody else's firewall that drops what no rule of it names."""

    family: str
    table: str
    chain: str
    hook: str

    def sentence(self, bridge: str) -> str:
        """What it does, and the cure."""
        what = {"forward": "forwarded packets", "input": "guests' questions for names"}
        text = f"the machine's firewall ({self.family} {self.table} {self.chain}) "
        return text + f"drops {what[self.hook]}: {self._cure(bridge)}"

    def _cure(self, bridge: str) -> str:
        if self.table == "firewalld":
            return (
                f"firewall-cmd --permanent --zone=trusted --add-interface={bridge} "
                "&& firewall-cmd --reload"
            )
        if self.hook == "input":
            return f"iptables -I INPUT -i {bridge} -j ACCEPT"
        return (
            f"iptables -I FORWARD -i {bridge} -j ACCEPT && iptables -I FORWARD "
            f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )


def blockers(listing: Iterable[Mapping[str, Any]], bridge: str) -> list[Blocker]:
    """Chains that drop by policy or by a last rule without conditions, in tables of
    which no rule names the bridge; `listing` is what `nft -j list ruleset` has."""
    objects = list(listing)
    rules = [item["rule"] for item in objects if "rule" in item]
    chains = [item["chain"] for item in objects if "chain" in item]
    named = {_table(rule) for rule in rules if f"'{bridge}'" in str(rule["expr"])}
    found = []
    for chain in chains:
        if chain.get("hook") not in ("forward", "input") or _is_ours(chain):
            continue
        own = [
            rule
            for rule in rules
            if _table(rule) == _table(chain) and rule["chain"] == chain["name"]
        ]
        drops = chain.get("policy") == "drop" or bool(own and _ends(own[-1]))
        if drops and _table(chain) not in named:
            place = (chain["family"], chain["table"], chain["name"])
            found.append(Blocker(*place, chain["hook"]))
    return found


def _table(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["family"], item["table"]


def _is_ours(chain: Mapping[str, Any]) -> bool:
    other_family = chain["family"] not in ("ip", "inet", "bridge")
    return other_family or str(chain["table"]).startswith("formation")


def _ends(rule: Mapping[str, Any]) -> bool:
    """Whether a rule drops all that reaches it."""
    verbs = [next(iter(part)) for part in rule["expr"]]
    return (
        bool(verbs)
        and set(verbs) <= {"counter", "log", "drop", "reject"}
        and (verbs[-1] in ("drop", "reject"))
    )
