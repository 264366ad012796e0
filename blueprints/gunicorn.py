"""Settings of our gunicorn processes, formation-web and formation-gateway.

One worker with threads: the engine of the gateway lives in it, and a node is
small. The host of the process's services ticks in a thread of that worker.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from appliance import wake
from appliance.config import settings
from appliance.host import Host

worker_class = "gthread"
workers = 1
threads = int(os.environ.get("FORMATION_THREADS", "32"))
timeout = 0
graceful_timeout = 5
umask = 0o007
worker_tmp_dir = "/dev/shm"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Start the rounds of this process's host."""
    config = settings()
    process = os.environ.get("FORMATION_PROCESS", "web")
    host = Host(config, "gateway" if process == "gateway" else "web")
    waiter = wake.Waiter(config.run_dir, process)

    def rounds() -> None:
        while True:
            host.tick()
            waiter.wait(3.0)

    threading.Thread(target=rounds, name="host", daemon=True).start()
