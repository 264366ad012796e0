"""nftables through its command: loading rules, and reading what the kernel has."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from typing import Any

from appliance.formnet.firewall import TABLES
from appliance.problems import Problem


def load(rules: str) -> None:
    """Put the rules into force in one step; raises Problem and changes nothing."""
    done = _nft("-f", "-", text=rules)
    if done.returncode:
        raise Problem("firewall-failed", f"nft: {done.stderr.strip()[:300]}")


def remove() -> None:
    """Take our tables away, where they are."""
    for family in TABLES:
        table = f"table {family} formation\n"
        _nft("-f", "-", text=f"{table}delete {table}")


def listing(*what: str) -> list[dict[str, Any]]:
    """The objects of `nft -j list …`; empty where there are none."""
    done = _nft("-j", "list", *what)
    return list(json.loads(done.stdout)["nftables"]) if not done.returncode else []


def text() -> str:
    """Our rules as nft prints them, without the long set of who is who."""
    parts = [
        _nft("-s", "-t", "list", "table", family, "formation") for family in TABLES
    ]
    return "".join(part.stdout for part in parts)


def in_force() -> list[dict[str, Any]]:
    return [
        item
        for family in TABLES
        for item in listing("table", family, "formation")
        if "metainfo" not in item
    ]


def digest(objects: list[dict[str, Any]]) -> str:
    """The same for the same rules, whatever was counted meanwhile."""
    return sha256(json.dumps(_still(objects)).encode()).hexdigest()


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        moving = ("handle", "packets", "bytes")
        return {k: _still(v) for k, v in sorted(value.items()) if k not in moving}
    if isinstance(value, list):
        return [_still(item) for item in value]
    return value


def packets(objects: list[dict[str, Any]]) -> dict[str, int]:
    """Packets by counter, summed over both tables."""
    found: dict[str, int] = {}
    for counter in (item["counter"] for item in objects if "counter" in item):
        name = counter["name"]
        found[name] = found.get(name, 0) + counter["packets"]
    return found


def _nft(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Problem(
            "firewall-missing", "nft is not there: apt install nftables."
        ) from None
