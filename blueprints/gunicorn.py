"""Settings of our gunicorn processes, formation-web and formation-gateway.

One worker with threads: the engine of the gateway lives in it, and a node is
small. The host of the process's services ticks in a thread of that worker. The
master reads this module too and stays small: what a worker needs is imported there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.host import Host
    from appliance.wake import Waiter

worker_class = "gthread"
workers = 1
threads = 32
timeout = 0
graceful_timeout = 5
umask = 0o007
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
forwarder_headers = ""  # no client says which path is ours, nor by which scheme it came
secure_scheme_headers: dict[str, str] = {}
ended = threading.Event()
PR_SET_PDEATHSIG = 1
TURN_S = 15.0


def process() -> str:
    """`web` or `gateway`."""
    return os.environ.get("FORMATION_PROCESS", "web")


def when_ready(server: Any) -> None:
    """At SIGHUP the worker reads its settings; gunicorn would start another one, and
    cut what the present one still answers."""

    def pass_on() -> None:
        for pid in list(server.WORKERS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    server.handle_hup = pass_on


def post_fork(server: Any, worker: Any) -> None:
    """A worker ends with its master: two gateways would run one task twice."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def post_worker_init(worker: Any) -> None:
    """Start the rounds of this process's host."""
    from appliance import notify, wake
    from appliance.config import settings
    from appliance.host import Host
    from appliance.process import set_up_logging

    config = settings()
    set_up_logging(config)
    host = Host(config, "gateway" if process() == "gateway" else "web")
    waiter = wake.Waiter(config.run_dir, process())
    host.follow(set_up_logging)
    reloads = threading.Event()

    def reload(number: int, frame: object) -> None:
        reloads.set()
        waiter.poke()

    signal.signal(signal.SIGHUP, reload)
    worker.rounds = threading.Thread(
        target=run_until, args=(host, waiter, reloads, worker), name="host", daemon=True
    )
    worker.rounds.start()
    notify.ready()


def run_until(
    host: Host, waiter: Waiter, reloads: threading.Event, worker: Any
) -> None:
    from appliance import notify
    from appliance.config import settings
    from appliance.process import reload_host
    from blueprints import counting

    run_dir = settings().run_dir
    while not ended.is_set():
        if reloads.is_set():
            reloads.clear()
            reload_host(host)
        host.tick()
        counting.report(run_dir, process())
        if turns(worker):
            notify.alive()
        waiter.wait(3.0)
    host.stop()


def turns(worker: Any) -> bool:
    """Whether the loop that takes connections took a turn lately."""
    return bool(time.monotonic() - worker.tmp.last_update() < TURN_S)


def on_exit(server: Any) -> None:
    from appliance import notify

    notify.stopping()


def worker_exit(server: Any, worker: Any) -> None:
    """Stop what the host runs; a task in the middle is left to the next gateway."""
    from appliance import wake
    from appliance.config import settings

    ended.set()
    wake.notify(settings().run_dir, process())
    worker.rounds.join(4)
