"""formation-dns: the DNS server."""

from __future__ import annotations

from appliance import wake
from appliance.config import settings
from appliance.host import Host
from appliance.process import run_rounds, set_up_logging


def main() -> None:
    config = settings()
    set_up_logging(config)
    run_rounds(Host(config, "dns"), wake.Waiter(config.run_dir, "dns"))


if __name__ == "__main__":
    main()
