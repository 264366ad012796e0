"""The pages: time of the dashboard, of a scrape, of the command, and memory at rest.

Prints one JSON line for each figure. The node is a throw-away one in a folder and in
network namespaces of its own; libvirt is its test driver, so no VM runs. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
CALLS = int(os.environ.get("BENCH_CALLS", "200"))
IDLE_S = 12.0  # until the last of what starts has settled
INSTANCES, STREAMS = 6, 64
GUNICORN = ("gunicorn", "--config=python:blueprints.gunicorn")
THREADS = {"web": "--threads=32", "gateway": "--threads=256"}


def figure(
    name: str,
    value: float,
    unit: str,
    peer: tuple[str, float] | None,
    goal: str,
    met: bool,
) -> None:
    known, peer_value = peer or (None, None)
    ratio = round(value / peer_value, 2) if peer_value else None
    line = {"figure": name, "value": round(value, 2), "unit": unit, "peer": known}
    line |= {"peer_value": round(peer_value, 2) if peer_value else None}
    line |= {"ratio": ratio, "goal": goal, "met": met}
    print(json.dumps(line), flush=True)


def prepare(folder: Path, uri: str = "test:///default") -> None:
    """Folders and databases of a node that was set up; `uri` is its libvirt."""
    for name in ("data", "run", "log"):
        os.environ[f"FORMATION_{name.upper()}_DIR"] = str(folder / name)
    os.environ |= {
        "FORMATION_CONFIG": str(folder / "none.toml"),
        "FORMATION_VMM__URI": uri,
        "FORMATION_VMM__ACCELERATOR": "tcg",
        "FORMATION_FORMNET__BRIDGE": "formbench0",
        "PYTHONPATH": str(ROOT),
    }
    from appliance import layout, schema, service
    from appliance.config import settings

    layout.prepare(settings())
    schema.open_all(settings())
    service.choose(settings(), list(service.services()))


def start(folder: Path, name: str, *command: str) -> subprocess.Popen[bytes]:
    """A process in a network namespace of its own."""
    log = (folder / "log" / f"{name}.log").open("wb")
    environment = {**os.environ, "FORMATION_PROCESS": name}
    whole = ["unshare", "--net", *command]
    return subprocess.Popen(whole, cwd=ROOT, stdout=log, stderr=log, env=environment)


def start_node(
    folder: Path, **instead: tuple[str, ...]
) -> dict[str, subprocess.Popen[bytes]]:
    """Our processes; `instead` are other commands by name."""
    run = folder / "run"
    binds = {
        "web": (f"--bind=unix:{run}/web.sock", f"--bind=unix:{run}/cli.sock"),
        "gateway": (f"--bind=unix:{run}/gateway/cli.sock",),
    }
    (run / "gateway").mkdir(exist_ok=True)
    modules = {"state": "appliance.state", "dns": "appliance.dns", "jobs": "jobs"}
    started = {
        name: start(folder, name, *instead.get(name, (sys.executable, "-m", module)))
        for name, module in modules.items()
    }
    until((run / "state.sock").exists, "form-state")
    for name, sockets in binds.items():
        command = (sys.executable, "-m", *GUNICORN, THREADS[name], *sockets)
        started[name] = start(folder, name, *command, "blueprints.wsgi:app")
    return started


def start_peers(folder: Path) -> dict[str, subprocess.Popen[bytes]]:
    """supervisord and Caddy as `form serve` runs them, with nothing to do."""
    from appliance.admin.caddy import caddyfile, ensure_certificate
    from appliance.config import settings

    ensure_certificate(settings())
    caddy = folder / "run" / "Caddyfile"
    caddy.write_text(caddyfile(settings()))
    conf = folder / "supervisord.conf"
    conf.write_text(f"[supervisord]\nnodaemon=true\nlogfile={folder}/log/s.log\n")
    command = ("caddy", "run", "--config", str(caddy), "--adapter=caddyfile")
    return {
        "caddy": start(folder, "caddy", *command),
        "supervisord": start(folder, "supervisord", "supervisord", "-c", str(conf)),
    }


def until(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError, OSError):
            if check():
                return
        time.sleep(0.05)
    raise SystemExit(f"{what} did not start within 30 s")


def client(socket: Path, token: str = "") -> httpx.Client:
    """Calls by the socket; those of the gateway need an API token."""
    transport = httpx.HTTPTransport(uds=str(socket))
    made = httpx.Client(transport=transport, base_url="http://localhost", timeout=30)
    if token:
        made.headers["Authorization"] = f"Bearer {token}"
    return made


def fill() -> str:
    """An operator, whose API token comes back, instances, an hour of measurements,
    tasks and events."""
    from appliance import events, metrics, state
    from appliance.admin import accounts, tokens
    from appliance.database import metrics as database
    from appliance.metrics import store

    hashed = accounts.hash_password("correct horse battery")
    account = accounts.create("bench", hashed, ("operator",))
    common = {"agent": "bench/echo", "owner_name": "bench", "name": "echo"}
    common |= {"version": "0.1.0", "node": "n", "port": 8000, "reason": ""}
    common |= {"memory_mib": 512, "vcpu": 1, "disk_gib": 4, "image": "ab"}
    common |= {"state": "stopped", "desired": "stopped", "deployment": "d"}
    for number in range(INSTANCES):
        state.put("instance", f"i{number}", {**common, "address": "10.42.0.9"})
        events.happened(f"echo {number} turned stopped", service="bench")
    subjects = [metrics.NODE, *(f"i{number}" for number in range(INSTANCES))]
    now = time.time()
    with database.atomic():
        for ago in range(0, 3600, 10):
            store.write(
                now - ago,
                {(s, m): 1.0 for s in subjects for m in metrics.METRICS},
            )
    return tokens.create(account, "bench", ["admin"])[0]


def median_ms(call: Callable[[], httpx.Response]) -> float:
    """Median of CALLS calls, after a tenth of that to warm up."""
    times = []
    for number in range(CALLS + CALLS // 10):
        began = time.perf_counter()
        answer = call()
        took = time.perf_counter() - began
        if not answer.is_success:
            raise SystemExit(f"wrong answer: {answer.status_code} {answer.text[:500]}")
        if number >= CALLS // 10:
            times.append(took * 1000)
    return statistics.median(times)


def command_s(*command: str) -> float:
    times = []
    for _ in range(11):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def pss_mb(processes: dict[str, subprocess.Popen[bytes]]) -> dict[str, float]:
    """Proportional set size of each with its children, in MB."""
    found = {}
    for name, process in processes.items():
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
        found[name] = sum(one.memory_full_info().pss for one in family) / 1e6
    return found


@contextlib.contextmanager
def streams(socket: Path, count: int, token: str) -> Iterator[None]:
    """So many dashboards that follow the node live."""
    opened = threading.Semaphore(0)
    ended = threading.Event()

    def follow() -> None:
        with (
            client(socket, token) as own,
            own.stream("GET", "/live/events?view=dashboard", timeout=60) as answer,
        ):
            lines = answer.iter_lines()
            while next(lines) != "event: update":
                pass
            opened.release()
            ended.wait()

    threads = [threading.Thread(target=follow, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        if not opened.acquire(timeout=30):
            raise SystemExit("not every dashboard got its stream")
    yield
    ended.set()
    for thread in threads:
        thread.join()


def measure_pages(run: Path) -> None:
    with client(run / "cli.sock") as web:
        until(lambda: web.get("/healthz").is_success, "formation-web")
        page, static = (
            median_ms(lambda path=path: web.get(path))  # type: ignore[misc]
            for path in ("/", "/static/look.css")
        )
        peer = ("a static file of the same app", static)
        figure("dashboard, median", page, "ms", peer, "at most 20 ms", page <= 20)
        scrape = median_ms(lambda: web.get("/metrics"))
        figure("/metrics, median", scrape, "ms", peer, "at most 50 ms", scrape <= 50)


def measure_streams(run: Path, token: str) -> None:
    socket = run / "gateway" / "cli.sock"
    with client(socket, token) as gateway:
        until(lambda: gateway.get("/healthz").is_success, "formation-gateway")
        path = "/api/v1/market/tasks"
        alone = median_ms(lambda: gateway.get(path))
        with streams(socket, STREAMS, token):
            followed = median_ms(lambda: gateway.get(path))
    peer = ("the same without streams", alone)
    name = f"gateway with {STREAMS} live dashboards open, median"
    figure(name, followed, "ms", peer, "at most twice", followed <= 2 * alone + 1)


def main(folder: Path) -> None:
    prepare(folder)
    started = start_node(folder)
    peers = start_peers(folder)
    try:
        run = folder / "run"
        with client(run / "cli.sock") as web, client(run / "gateway/cli.sock") as other:
            until(lambda: web.get("/healthz").is_success, "formation-web")
            until(lambda: other.get("/healthz").is_success, "formation-gateway")
        time.sleep(IDLE_S)
        ours, theirs = pss_mb(started), pss_mb(peers)
        print(json.dumps({"pss_mb": {k: round(v, 1) for k, v in ours.items()}}))
        total, peer = (
            sum(ours.values()),
            ("supervisord and caddy", sum(theirs.values())),
        )
        name = "memory of our own idle processes (PSS)"
        figure(name, total, "MB", peer, "at most 300 MB", total <= 300)
        token = fill()
        measure_pages(run)
        measure_streams(run, token)
    finally:
        for process in [*started.values(), *peers.values()]:
            process.terminate()
        for process in [*started.values(), *peers.values()]:
            process.wait(60)
    help_ = command_s(sys.executable, "-m", "appliance.cli", "--help")
    nothing = command_s(sys.executable, "-c", "pass")
    peer = ("python that does nothing", nothing)
    figure("form --help, median", help_, "s", peer, "at most 0.3 s", help_ <= 0.3)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
