"""formation-state: holds the node key and is the only writer of records."""

from __future__ import annotations

import os
import pwd
import threading

from appliance import notify, sockets, wake
from appliance.config import Settings, settings
from appliance.host import Host
from appliance.identity import fingerprint, raw_public, signing_key
from appliance.process import opened, run_rounds, set_up_logging
from appliance.state.server import StateServer
from appliance.state.store import Store


def open_store(config: Settings) -> Store:
    """The node's own store, signing with the node's key."""
    key = signing_key(config)
    return Store(
        config.data_dir / "state" / "state.db",
        fingerprint(raw_public(key)),
        key.sign,
        config.state.headers_kept,
    )


def web_uid() -> int | None:
    """The uid of formation-web, where that account exists."""
    try:
        return pwd.getpwnam("formation-web").pw_uid
    except KeyError:
        return None


def main() -> None:
    config = settings()
    set_up_logging(config)
    os.umask(0o027)  # records are for the folder's group, keys for nobody

    def written(kind: str) -> None:
        for process in ("dns", "jobs", "gateway"):
            wake.notify(config.run_dir, process, kind)

    host = Host(config, "state")
    store = opened(host, lambda: open_store(config))
    host.follow(lambda now: store.keep_headers(now.state.headers_kept))
    path, passed = config.run_dir / "state.sock", sockets.inherited()
    server = StateServer(path, store, web_uid(), written, passed[0] if passed else None)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def alive() -> None:
        if server.responds():
            notify.alive()

    run_rounds(host, wake.Waiter(config.run_dir, "state"), alive=alive)
    server.shutdown()


if __name__ == "__main__":
    main()
