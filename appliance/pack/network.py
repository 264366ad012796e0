"""A network of its own for a step of a build: a veth pair, NAT, an nft table.

The far end is in the step's network namespace and goes with it; what is left after
a crash is found by `sweep`. All that make and remove networks take turns by a lock
on the machine's own network namespace.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.formnet import (
    PRIVATE,
    forwarding_holders,
    leave_forwarding,
    need_forwarding,
)
from appliance.pack.reach import Reach
from appliance.problems import Problem, Unavailable

LINK, TABLE = "fbuild", "formation_build_"
RESERVED = ("0.0.0.0/8", "198.18.0.0/15", "240.0.0.0/4")


@dataclass(frozen=True)
class Pair:
    """The two ends of slot `number` of the builds' range."""

    number: int
    gateway: IPv4Address
    address: IPv4Address

    @property
    def link(self) -> str:
        return f"{LINK}{self.number}"

    @property
    def table(self) -> str:
        return f"{TABLE}{self.number}"


def pairs(block: IPv4Network) -> Iterator[Pair]:
    """Every slot of the range, four addresses each."""
    for number, part in enumerate(block.subnets(new_prefix=30)):
        yield Pair(number, part[1], part[2])


def ruleset(pair: Pair, reach: Reach, closed: Sequence[IPv4Network]) -> str:
    """Input for `nft -f -`: what is needed, then nothing private, then the rest."""
    at = f'iifname "{pair.link}"'
    closed_to = ", ".join([*PRIVATE, *RESERVED, *map(str, closed)])
    away = [a for a in reach.resolvers if not a.is_loopback]
    needed = [f"ip daddr {a} meta l4proto {{ tcp, udp }} th dport 53" for a in away]
    needed += [f"ip daddr {a} tcp dport {port}" for a, port in reach.endpoints]
    grants = "\n    ".join(f"{at} {what} accept" for what in needed)
    local, names, answers = reach.local_resolver, "", ""
    if local is not None:
        names = f"{at} ip daddr {pair.gateway} meta l4proto {{ tcp, udp }} "
        names += f"th dport 53 dnat ip to {local}"
        answers = f"{at} ct status dnat snat ip to 127.0.0.1"
    return f"""
table inet {pair.table}
delete table inet {pair.table}
table inet {pair.table} {{
  set closed {{
    type ipv4_addr; flags interval; auto-merge;
    elements = {{ {closed_to} }}
  }}
  chain names {{
    type nat hook prerouting priority dstnat;
    {names}
  }}
  chain answers {{
    type nat hook input priority 100;
    {answers}
  }}
  chain input {{
    type filter hook input priority filter;
    {at} ct state established,related accept
    {at} ct status dnat accept
    {grants}
    {at} drop
  }}
  chain forward {{
    type filter hook forward priority filter;
    oifname "{pair.link}" ct state established,related accept
    oifname "{pair.link}" drop
    {grants}
    {at} ip daddr @closed drop
    {at} meta nfproto ipv6 drop
  }}
  chain internet {{
    type nat hook postrouting priority srcnat;
    ip saddr {pair.address} oifname != "{pair.link}" masquerade
  }}
}}
"""


@contextmanager
def attached(
    pid: int,
    reach: Reach,
    block: IPv4Network,
    closed: Sequence[IPv4Network],
    forwarding: Path,
) -> Iterator[Pair]:
    """Give the network namespace of `pid` a way out, until the block ends; who needs
    the machine's forwarding is kept in the folder `forwarding`."""
    with _turn():
        pair = _free(block)
        try:
            need_forwarding(forwarding, pair.link)
            _make(pair, pid, ruleset(pair, reach, closed), reach)
        except (Problem, OSError):
            _remove(pair.number, forwarding)
            raise
    try:
        yield pair
    finally:
        with _turn():
            _remove(pair.number, forwarding)


def sweep(forwarding: Path) -> None:
    """Remove the networks of steps that are dead."""
    with _turn():
        for number in _dead(forwarding):
            _remove(number, forwarding)


def dead(forwarding: Path) -> list[str]:
    """The links of steps that are dead, which left theirs or their table."""
    with _turn():
        return [f"{LINK}{number}" for number in _dead(forwarding)]


def _dead(forwarding: Path) -> list[int]:
    listed = subprocess.run(
        ["nft", "list", "tables"], capture_output=True, text=True, check=False
    ).stdout
    numbers = set(re.findall(rf"\b{TABLE}(\d+)", listed))
    names = [*(path.name for path in _links()), *forwarding_holders(forwarding)]
    numbers |= {n.removeprefix(LINK) for n in names if n.startswith(LINK)}
    return sorted(int(n) for n in numbers if not _lives(f"{LINK}{n}"))


def _links() -> list[Path]:
    return list(Path("/sys/class/net").glob(f"{LINK}[0-9]*"))


def _lives(link: str) -> bool:
    """Whether the process that the link was made for is still there."""
    try:
        pid = Path("/sys/class/net", link, "ifalias").read_text().strip()
    except OSError:
        return False
    return bool(pid) and Path("/proc", pid).exists()


@contextmanager
def _turn() -> Iterator[None]:
    with Path("/proc/self/ns/net").open() as namespace:
        fcntl.flock(namespace, fcntl.LOCK_EX)
        yield


def _free(block: IPv4Network) -> Pair:
    taken = {path.name for path in _links()}
    for pair in pairs(block):
        if pair.link not in taken:
            return pair
    raise Unavailable("builds-exhausted", f"{block} has no room for one more build.")


def _make(pair: Pair, pid: int, rules: str, reach: Reach) -> None:
    _run(["nft", "-f", "-"], rules)
    near = f"link add {pair.link} type veth peer name eth0 netns {pid}\n"
    near += f"link set {pair.link} alias {pid}\n"
    near += f"addr add {pair.gateway}/30 dev {pair.link}\nlink set {pair.link} up\n"
    _run(["ip", "-batch", "-"], near)
    far = f"link set lo up\naddr add {pair.address}/30 dev eth0\nlink set eth0 up\n"
    far += f"route add default via {pair.gateway}\n"
    _run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], far)
    conf = Path("/proc/sys/net/ipv4/conf", pair.link)
    (conf / "rp_filter").write_text("1\n")
    (conf / "route_localnet").write_text("1\n" if reach.local_resolver else "0\n")


def _remove(number: int, forwarding: Path) -> None:
    table, link = f"{TABLE}{number}", f"{LINK}{number}"
    subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    gone = f"table inet {table}\ndelete table inet {table}\n"
    subprocess.run(
        ["nft", "-f", "-"], input=gone, capture_output=True, text=True, check=False
    )
    leave_forwarding(forwarding, link)


def _run(command: list[str], text: str) -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem(
            "build-network-failed",
            f"A build's network cannot be made: {' '.join(command[:2])}: "
            f"{done.stderr.strip()[-300:]}",
            status=500,
        )
