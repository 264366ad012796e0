"""The admin tool at its size: 100 instances, 50 open dashboards, 100 requests a second.

Prints one JSON line for each figure. The node is a throw-away one as in bench/web.py;
libvirt is its test driver with 100 running domains, whose agents all are one small
server. BENCH_SECONDS is how long the load lasts. Needs root.
"""

from __future__ import annotations

import http.server
import itertools
import os
import queue
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import web
from bench.web import client, figure, median_ms, streams, until

SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
RATE, CLIENTS = 100, 16
INSTANCES, DASHBOARDS = 100, 50
PORT = 8000
READS = (
    "/api/v1/vmm/instances",
    "/api/v1/vmm/instances/i7",
    "/api/v1/vmm/instances?q=echo&sort=-state&limit=20",
    "/api/v1/admin/services",
    "/api/v1/admin/services/form-dns",
    "/api/v1/admin/processes",
    "/api/v1/admin/metrics",
    "/api/v1/admin/metrics?metric=cpu",
    "/api/v1/admin/metrics?subject=i3&metric=memory",
    "/api/v1/operations",
    "/api/v1/market/agents",
    "/api/v1/admin/accounts",
    "/api/v1/admin/alerts",
    "/api/v1/dns/status",
)
OF_MACHINES = ("cpu", "memory", "net_in", "net_out", "disk_read", "disk_written")
NEEDLE = "/api/v1/admin/tokens"


class Agents(http.server.BaseHTTPRequestHandler):
    """Every agent: it is healthy."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        return None


def machines() -> str:
    """What libvirt's test driver has: the domains, all of them running."""
    domain = (
        '<domain type="test"><name>formation-i{}</name><memory>524288</memory>'
        "<vcpu>1</vcpu><os><type>hvm</type></os></domain>"
    )
    domains = "".join(domain.format(number) for number in range(INSTANCES))
    return f"<node>{domains}<cpu><mhz>2000</mhz><model>x86_64</model></cpu></node>"


def fill() -> tuple[str, str]:
    """The instances, and an operator: the cookie of its session, and its API token."""
    from appliance import state
    from appliance.admin import accounts, sessions

    token = web.fill()
    account = accounts.operator()
    assert account is not None
    (first, *_) = state.select("instance")
    body = first.body | {"state": "healthy", "desired": "running", "port": PORT}
    body |= {"address": "127.0.0.1", "health_path": "/health"}
    for number in range(INSTANCES):
        state.put("instance", f"i{number}", body | {"name": f"echo-{number}"})
    cookie = sessions.begin(account.id, "192.0.2.1", "bench")
    return cookie, token


def measure_machines(ended: threading.Event) -> None:
    """What libvirt's test driver does not tell of its machines, every ten seconds: an
    hour of it at once."""
    from appliance.database import metrics as database
    from appliance.metrics import store

    def values() -> dict[tuple[str, str], float]:
        subjects = (f"i{number}" for number in range(INSTANCES))
        return {(of, m): random.random() * 100 for of in subjects for m in OF_MACHINES}  # noqa: S311

    with database.atomic():
        for ago in range(0, 3600, 10):
            store.write(time.time() - ago, values())
    while not ended.wait(10):
        store.write(time.time(), values())
    database.close()


def note_processes(started: dict[str, subprocess.Popen[bytes]]) -> None:
    """What formation-jobs would report of them: nobody supervises them here."""
    from appliance.admin import processes
    from appliance.admin.programs import programs
    from appliance.config import settings
    from appliance.provisions import Provision
    from appliance.service import write_json
    from appliance.supervision import Kept

    found = [
        processes.seen(
            program,
            Kept(program.name, "running", started[program.name].pid),
            Provision(),
        )
        for program in programs(settings())
        if program.name in started
    ]
    report = {"looked": time.time(), "keeper": "bench", "holds": [], "processes": found}
    write_json(processes.report_file(settings()), report)


def start_agents(folder: Path) -> subprocess.Popen[bytes]:
    """The agents' server, in the network namespace that formation-jobs joins."""
    up = f"ip link set lo up; exec {sys.executable} {__file__} agents"
    return web.start(folder, "agents", "sh", "-c", up)


def start_node(folder: Path) -> dict[str, subprocess.Popen[bytes]]:
    agents = start_agents(folder)
    jobs = ("nsenter", f"--net=/proc/{agents.pid}/ns/net", sys.executable, "-m", "jobs")
    started = web.start_node(folder, jobs=jobs)
    return {"agents": agents, **started}


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that the process and its children used."""
    root = psutil.Process(process.pid)
    family = [root, *root.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def share_of_core(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Percent of one core that it uses from now on."""
    before, began = cpu_s(process), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(process) - before) / (time.monotonic() - began)


@dataclass
class Load:
    """RATE requests a second, begun by the clock whether or not the last ones have
    ended; what was answered, and how late."""

    socket: Path
    token: str
    answers: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    due: queue.Queue[float | None] = field(default_factory=queue.Queue)

    def run(self, seconds: float) -> None:
        workers = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        for worker in workers:
            worker.start()
        began = time.monotonic()
        for number in range(int(seconds * RATE)):
            moment = began + number / RATE
            time.sleep(max(0.0, moment - time.monotonic()))
            self.due.put(moment)
        for _ in workers:
            self.due.put(None)
        for worker in workers:
            worker.join()

    def _work(self) -> None:
        chosen = random.Random(threading.get_ident())  # noqa: S311
        with client(self.socket) as own:
            own.headers["Authorization"] = f"Bearer {self.token}"
            while (moment := self.due.get()) is not None:
                self._call(own, chosen)
                self.times.append((time.monotonic() - moment) * 1000)

    def _call(self, own: httpx.Client, chosen: random.Random) -> None:
        try:
            if chosen.random() < 0.05:
                answer = self._write(own)
            else:
                answer = own.get(chosen.choice(READS))
            where = f"{answer.status_code} {answer.request.url.path}"
            self.answers["good" if answer.is_success else where] += 1
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1

    def _write(self, own: httpx.Client) -> httpx.Response:
        """Make an API token and take it back."""
        made = own.post(NEEDLE, json={"name": "bench", "scopes": ["read"]})
        if not made.is_success:
            return made
        return own.delete(f"{NEEDLE}/{made.json()['id']}")

    @property
    def failed(self) -> int:
        return sum(self.answers.values()) - self.answers["good"]


def measure_pages(run: Path, cookie: str) -> None:
    with client(run / "web.sock") as own:
        own.headers["Cookie"] = f"formation={cookie}"
        plain = median_ms(lambda: own.get("/static/look.css"))
        peer = ("a static file of the same app", plain)
        page = median_ms(lambda: own.get("/"))
        name = f"dashboard with {INSTANCES} instances, median"
        figure(name, page, "ms", peer, "under 25 ms", page < 25)
        pages = median_ms(lambda: own.get("/vmm/"))
        figure("list of the instances, median", pages, "ms", peer, "", True)
        scrape = median_ms(lambda: own.get("/metrics"))
        figure("/metrics, median", scrape, "ms", peer, "under 50 ms", scrape < 50)


def measure_dashboards(run: Path, token: str, gateway: subprocess.Popen[bytes]) -> None:
    alone = share_of_core(gateway, SECONDS / 2)
    with streams(run / "gateway" / "cli.sock", DASHBOARDS, token):
        used = share_of_core(gateway, SECONDS / 2)
    peer = ("the same process without them", alone)
    name = f"CPU of {DASHBOARDS} open dashboards"
    figure(name, used, "% of a core", peer, "under 15 %", used < 15)


def measure_load(run: Path, token: str, server: subprocess.Popen[bytes]) -> None:
    calm = Load(run / "web.sock", token)
    calm.run(SECONDS)
    p95 = statistics.quantiles(calm.times, n=20)[-1]
    name = f"errors of {RATE} mixed API requests a second for {SECONDS} s"
    figure(name, calm.failed, f"of {calm.answers.total()}", None, "0", not calm.failed)
    figure("their answer, 95th percentile", p95, "ms", None, "", True)
    stirred = Load(run / "web.sock", token)
    ended = threading.Event()

    def reload() -> None:
        master = psutil.Process(server.pid)
        for _ in itertools.count():
            if ended.wait(2):
                return
            master.send_signal(signal.SIGHUP)

    reloading = threading.Thread(target=reload)
    reloading.start()
    stirred.run(SECONDS / 3)
    ended.set()
    reloading.join()
    lost = stirred.failed
    figure("lost under that load, reloaded every 2 s", lost, "", None, "0", not lost)
    for load in (calm, stirred):
        if load.failed:
            print(dict(load.answers), file=sys.stderr)


def main(folder: Path) -> None:
    (folder / "machines.xml").write_text(machines())
    web.prepare(folder, uri=f"test://{folder}/machines.xml")
    started = start_node(folder)
    run, ended = folder / "run", threading.Event()
    try:
        with client(run / "cli.sock") as own, client(run / "gateway/cli.sock") as other:
            until(lambda: own.get("/healthz").is_success, "formation-web")
            until(lambda: other.get("/healthz").is_success, "formation-gateway")
        cookie, token = fill()
        note_processes(started)
        threading.Thread(target=measure_machines, args=(ended,)).start()
        time.sleep(web.IDLE_S)
        measure_pages(run, cookie)
        measure_dashboards(run, token, started["gateway"])
        measure_load(run, token, started["web"])
    finally:
        ended.set()
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["agents"]:
        http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Agents).serve_forever()
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
