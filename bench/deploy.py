"""How long a deployment of a built image takes, against `virsh` alone.

Needs a node that serves (`form serve`) with `examples/echo` deployed. The peer is
the same machine definition started by virsh until its health check answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
GOAL_S, GOAL_RATIO = 6.0, 1.25


def form(*arguments: str) -> str:
    command = [sys.executable, "-m", "appliance.cli", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout


def healthy(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}:8000/health", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def virsh_boot() -> float:
    """Seconds from `virsh start` to a healthy answer, of the same domain."""
    instance, *_, address = form("vmm", "list").split()[:5]
    name = f"formation-{instance}"
    form("vmm", "stop", instance)
    began = time.monotonic()
    subprocess.run(["virsh", "-q", "start", name], check=True, capture_output=True)
    while not healthy(address):
        pass
    took = time.monotonic() - began
    subprocess.run(["virsh", "-q", "destroy", name], check=True, capture_output=True)
    form("vmm", "start", instance)
    return took


def main() -> None:
    began = time.monotonic()
    form("deploy", "examples/echo")
    value = time.monotonic() - began
    peer = virsh_boot()
    figure = {
        "figure": "deploy a built image, to healthy and named",
        "value": round(value, 2),
        "unit": "s",
        "peer": "virsh start of the same domain",
        "peer_value": round(peer, 2),
        "ratio": round(value / peer, 2),
        "goal": f"<= {GOAL_S} s and <= {GOAL_RATIO}",
        "met": value <= GOAL_S and value / peer <= GOAL_RATIO,
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main()
