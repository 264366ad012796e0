"""What services, processes and engines can be asked to do, and the words for it."""

from __future__ import annotations

from appliance import operations
from appliance.problems import NotFound
from appliance.wishes import VERBS

DOING = {
    "start": "Starting",
    "stop": "Stopping",
    "restart": "Restarting",
    "reload": "Reloading",
    "enable": "Enabling",
    "disable": "Disabling",
}
DONE = {
    "start": "was started",
    "stop": "was stopped",
    "restart": "was restarted",
    "reload": "was reloaded",
    "enable": "will start with the node",
    "disable": "will no longer start with the node",
}


def must_be_known(what: str, verb: str) -> None:
    """Raise NotFound for a verb that there is not; `what` is a service or a process."""
    if verb not in VERBS:
        known = ", ".join(VERBS)
        raise NotFound("verb-unknown", f"A {what} cannot {verb!r}; it can {known}.")


def submit(kind: str, title: str, name: str, verb: str, account: str) -> str:
    """Queue the act on what is so named; returns the operation's id."""
    return operations.submit(
        kind,
        title=f"{DOING[verb]} {title}",
        subject=name,
        params={"verb": verb},
        account=account,
    )
