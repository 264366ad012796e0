"""run_task through formation-gateway against a direct call of the same agent.

Prints one JSON line for each figure. The node is a throw-away one: form-state,
and gunicorn on a Unix socket as in the product, in a folder of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "examples" / "echo"))
GOAL_MS = 6.0
CALLS = int(os.environ.get("BENCH_CALLS", "300"))
BODY = {"input": {"text": "hi"}}


def start_agent() -> int:
    """examples/echo on a free port of loopback."""
    from agent import Agent, ThreadingHTTPServer

    class Quiet(Agent):  # type: ignore[misc, valid-type]
        def log_message(self, format: str, *arguments: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def start_node(folder: Path) -> list[subprocess.Popen[bytes]]:
    """form-state and the gateway; both write their logs into the folder."""
    for name in ("data", "run", "log"):
        os.environ[f"FORMATION_{name.upper()}_DIR"] = str(folder / name)
    os.environ["FORMATION_PROCESS"] = "gateway"
    os.environ["FORMATION_CONFIG"] = str(folder / "none.toml")
    from appliance import layout, schema, service
    from appliance.config import settings

    layout.prepare(settings())
    schema.open_all(settings())
    service.choose(settings(), ["form-state", "marketplace", "admin"])
    gunicorn = ["gunicorn", "--config=python:blueprints.gunicorn"]
    socket = f"--bind=unix:{folder / 'run' / 'cli.sock'}"
    commands = ["appliance.state"], [*gunicorn, socket, "blueprints.wsgi:app"]
    log = (folder / "log" / "processes.log").open("wb")
    return [
        subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, stdout=log, stderr=log
        )
        for command in commands
    ]


def until(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if check():
                return
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(0.05)
    raise SystemExit(f"{what} did not start within 30 s")


def register(port: int) -> None:
    """An operator, and the records of one healthy instance."""
    from appliance import state
    from appliance.admin import accounts

    hashed = accounts.hash_password("correct horse battery")
    account = accounts.create("bench", hashed, ("operator",))
    agent = {"owner": account.id, "owner_name": "bench", "name": "echo"}
    state.put("agent", "bench/echo", {**agent, "latest": "0.1.0"})
    instance = {**agent, "agent": "bench/echo", "version": "0.1.0", "node": "n"}
    where = {"address": "127.0.0.1", "port": port, "state": "healthy", "reason": ""}
    state.put("instance", "i", {**instance, **where})


def median_ms(call: Callable[[], httpx.Response]) -> float:
    """Median of CALLS calls, after a tenth of that to warm up."""
    times = []
    for number in range(CALLS + CALLS // 10):
        began = time.perf_counter()
        answer = call()
        took = time.perf_counter() - began
        if answer.json().get("output") != BODY["input"]:
            raise SystemExit(f"wrong answer: {answer.text}")
        if number >= CALLS // 10:
            times.append(took * 1000)
    return statistics.median(times)


def compare(folder: Path) -> dict[str, object]:
    port = start_agent()
    processes = start_node(folder)
    socket = folder / "run" / "cli.sock"
    client = httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost"
    )
    try:
        until((folder / "run" / "state.sock").exists, "form-state")
        register(port)
        until(lambda: client.get("/api/v1/market/agents").is_success, "the gateway")
        run = "/api/v1/market/agents/bench/echo/run_task"
        through = median_ms(lambda: client.post(run, json=BODY))
        direct_client, direct = httpx.Client(), {"task_id": "1", **BODY}
        url = f"http://127.0.0.1:{port}/run_task"
        alone = median_ms(lambda: direct_client.post(url, json=direct))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)
    return {
        "figure": "gateway run_task, median",
        "value": round(through, 2),
        "unit": "ms",
        "peer": "the same agent called directly",
        "peer_value": round(alone, 2),
        "ratio": round(through / alone, 2),
        "goal": f"at most {GOAL_MS:g} ms more",
        "met": through - alone <= GOAL_MS,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(compare(Path(name))))
