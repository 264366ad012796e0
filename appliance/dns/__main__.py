"""formation-dns: the DNS server."""

from __future__ import annotations

from appliance import notify, wake
from appliance.config import settings
from appliance.host import Host
from appliance.process import run_rounds, set_up_logging


def main() -> None:
    config = settings()
    set_up_logging(config)
    host = Host(config, "dns")

    def alive() -> None:
        runtime = host.runtime("form-dns")
        if runtime is None or runtime.responds():
            notify.alive()

    run_rounds(host, wake.Waiter(config.run_dir, "dns"), alive=alive)


if __name__ == "__main__":
    main()
