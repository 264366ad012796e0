"""What guests may reach, as an nftables table. Pure.

DNS of the node and the public internet; never the node itself, other guests, or
private ranges beyond those that the setting grants.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from appliance.formnet.addresses import Network

PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
)


def ruleset(found: Network, dns_port: int, granted: Sequence[IPv4Network]) -> str:
    """Input for `nft -f -`; replaces the whole table in one step."""
    bridge = f'"{found.bridge}"'
    grants = "\n".join(
        f"    iifname {bridge} ip daddr {network} accept" for network in granted
    )
    return f"""
table inet formation
delete table inet formation
table inet formation {{
  chain names {{
    type nat hook prerouting priority dstnat;
    iifname {bridge} ip daddr {found.gateway} udp dport 53 redirect to :{dns_port}
    iifname {bridge} ip daddr {found.gateway} tcp dport 53 redirect to :{dns_port}
  }}
  chain input {{
    type filter hook input priority filter;
    iifname {bridge} ct state established,related accept
    iifname {bridge} udp dport {dns_port} accept
    iifname {bridge} tcp dport {dns_port} accept
    iifname {bridge} icmp type echo-request accept
    iifname {bridge} drop
  }}
  chain forward {{
    type filter hook forward priority filter;
    iifname {bridge} oifname {bridge} drop
    oifname {bridge} ct state established,related accept
    oifname {bridge} drop
{grants}
    iifname {bridge} ip daddr {{ {", ".join(PRIVATE)} }} drop
    iifname {bridge} meta nfproto ipv6 drop
  }}
  chain internet {{
    type nat hook postrouting priority srcnat;
    ip saddr {found.block} oifname != {bridge} masquerade
  }}
}}
"""
