"""How the machine is set: looked at by formation-jobs, read by all."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from appliance.admin.machine import names, network, ssh
from appliance.appliance_image import is_appliance
from appliance.config import Settings
from appliance.problems import Unavailable
from appliance.service import write_json

Document = dict[str, Any]


def report_file(settings: Settings) -> Path:
    return settings.run_dir / "jobs" / "machine.json"


def report(settings: Settings) -> Document:
    """The last look; raises Unavailable before the first."""
    try:
        document: Document = json.loads(report_file(settings).read_text())
    except (OSError, ValueError):
        raise Unavailable(
            "machine-unseen",
            "The machine was not looked at yet. formation-jobs does it as soon as it "
            "runs; form status says whether it does.",
        ) from None
    return document


def refresh(settings: Settings) -> None:
    write_json(report_file(settings), look())


def look() -> Document:
    managed = is_appliance()
    keys = [asdict(ssh.parsed(line)) for line in ssh.lines()] if managed else []
    return {
        "managed": managed,
        "host_name": names.host_name(),
        "time_zone": names.time_zone(),
        "mdns_name": f"{names.host_name()}.local" if managed else "",
        "network": network.kept().model_dump(mode="json"),
        "cards": cards(),
        "ssh_keys": [{k: v for k, v in key.items() if k != "line"} for key in keys],
    }


def cards() -> list[Document]:
    """Network cards with their addresses."""
    links, states = psutil.net_if_addrs(), psutil.net_if_stats()
    families = (socket.AF_INET, socket.AF_INET6)
    return [
        {
            "name": name,
            "is_up": bool(states.get(name) and states[name].isup),
            "addresses": [
                link.address.partition("%")[0]
                for link in links.get(name, ())
                if link.family in families
            ],
            "hardware": next(
                (a.address for a in links.get(name, ()) if a.family == psutil.AF_LINK),
                "",
            ),
        }
        for name in network.cards()
    ]
