"""How long a deployment of a built image takes, against `virsh` alone.

Needs a node that serves (`form serve`) and is set up. The peer is a new overlay
on the same image and the same machine definition, started by virsh. Both times
end with a healthy answer; they take turns, and the medians are compared.
"""

from __future__ import annotations

import io
import json
import os
import re
import statistics
import subprocess
import tarfile
import time
from pathlib import Path
from threading import Event
from typing import Any

import httpx

from appliance.config import settings

ROOT = Path(__file__).resolve().parents[1]
GOAL_S, GOAL_RATIO, LIMIT_S = 6.0, 1.25, 120
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
NAME = "bench-peer"


def node() -> httpx.Client:
    socket = str(settings().run_dir / "cli.sock")
    transport = httpx.HTTPTransport(uds=socket)
    return httpx.Client(
        transport=transport, base_url="http://localhost", timeout=LIMIT_S
    )


def deploy(client: httpx.Client) -> tuple[float, dict[str, Any]]:
    """Seconds from the upload to `healthy`, and the ended operation."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(ROOT / "examples/echo", arcname=".")
    began = time.time()
    found = client.post(
        "/api/v1/pack/deployments", files={"archive": ("echo", archive.getvalue())}
    ).json()
    operation = ended(client, found["id"])
    if operation["state"] != "completed":
        raise SystemExit(f"the deployment {operation['state']}: {operation['error']}")
    steps = {step["name"]: step for step in operation["steps"]}
    return steps["healthy"]["ended"] - began, operation


def ended(client: httpx.Client, id_: str) -> dict[str, Any]:
    pause, limit = Event(), time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        operation: dict[str, Any] = client.get(f"/api/v1/operations/{id_}").json()
        if operation["state"] not in ("queued", "working"):
            return operation
        pause.wait(0.2)
    raise SystemExit(f"the operation {id_} did not end within {LIMIT_S} s")


def change(client: httpx.Client, instance: str, verb: str) -> None:
    found = client.post(f"/api/v1/vmm/instances/{instance}/{verb}").json()
    ended(client, found["id"])


def virsh(*arguments: str, text: str | None = None) -> str:
    command = ["virsh", "-q", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def virsh_boot(result: dict[str, Any]) -> float:
    """Seconds that qemu-img and virsh take to a healthy answer."""
    folder = settings().instances_dir / result["instance"]
    disk = folder / "bench.qcow2"
    about = ["qemu-img", "info", "--output=json", str(folder / "disk.qcow2")]
    old = json.loads(subprocess.run(about, check=True, capture_output=True).stdout)
    xml = virsh("dumpxml", "--inactive", f"formation-{result['instance']}")
    xml = re.sub(r"<name>.*?</name>", f"<name>{NAME}</name>", xml, count=1)
    xml = re.sub(r"<uuid>.*?</uuid>", "", xml, count=1)
    xml = xml.replace("disk.qcow2", disk.name).replace("console.log", "bench.log")
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2"]
    overlay += ["-b", old["full-backing-filename"], str(disk)]
    began = time.monotonic()
    subprocess.run([*overlay, str(old["virtual-size"])], check=True)
    virsh("create", "/dev/stdin", text=xml)
    try:
        wait_healthy(f"http://{result['address']}:8000/health")
        return time.monotonic() - began
    finally:
        virsh("destroy", NAME)
        disk.unlink()
        (folder / "bench.log").unlink(missing_ok=True)


def wait_healthy(url: str) -> None:
    pause, limit = Event(), time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        pause.wait(0.05)
    raise SystemExit(f"{url} did not answer within {LIMIT_S} s")


def main() -> None:
    ours: list[float] = []
    peers: list[float] = []
    with node() as client:
        deploy(client)  # builds what is not built
        for _ in range(ROUNDS):
            took, operation = deploy(client)
            ours.append(took)
            instance = operation["result"]["instance"]
            change(client, instance, "stop")
            peers.append(virsh_boot(operation["result"]))
            change(client, instance, "start")
    value, peer = statistics.median(ours), statistics.median(peers)
    figure = {
        "figure": "deploy a built image, to healthy",
        "value": round(value, 2),
        "unit": "s",
        "peer": "the same overlay and definition, virsh alone",
        "peer_value": round(peer, 2),
        "ratio": round(value / peer, 2),
        "goal": f"<= {GOAL_S} s and <= {GOAL_RATIO} of the peer",
        "met": value <= GOAL_S and value / peer <= GOAL_RATIO,
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main()
