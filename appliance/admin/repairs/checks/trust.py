"""Does the node take somebody for an operator without a log-in?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from appliance import trust
from appliance.admin.repairs.issue import Issue, Repair
from appliance.config import Settings


def find(settings: Settings) -> Iterator[Issue]:
    auth = settings.auth
    if auth.loopback_trust == "operator":
        yield open_to("everybody on this machine", "auth.loopback_trust")
    for name in ("trusted_addresses", "trusted_nodes"):
        for entry in getattr(auth, name):
            who, role = trust.split(entry)
            if role == "operator":
                yield open_to(who, f"auth.{name}")


def open_to(who: str, setting: str) -> Issue:
    return Issue(
        "warning",
        f"No log-in is asked of {who}"[:120],
        f"By {setting}, {who} may do everything here, without a password or a code.",
        f"Take it out of {setting}, or let it read alone (auditor). If it is meant so, "
        "ignore this.",
        subject=re.sub(r"[^A-Za-z0-9.-]", "_", f"{setting}-{who}")[:100],
        link="/admin/settings",
    )


REPAIR = Repair("trust", "Who need not log in", find)
