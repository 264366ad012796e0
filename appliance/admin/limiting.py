"""Limits of processes, as an operation: kept first, then applied to what runs."""

from __future__ import annotations

from dataclasses import asdict

from appliance import bounds, events, operations, supervision
from appliance.admin.processes import refresh, report
from appliance.admin.programs import known, units
from appliance.config import settings
from appliance.launcher import THREADS
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, Unavailable
from appliance.provisions import Limits, must_be_enough, provide

MIB = 1 << 20


def request(name: str, limits: Limits, account: str) -> str:
    """Queue it; returns the operation's id. Raises NotFound, Invalid, Conflict."""
    program = known(settings(), name)
    if not program.may_limit:
        raise Conflict(
            "process-unlimited",
            f"{name} has no limits: what it starts, machines, have those of their "
            "Formfiles.",
        )
    must_be_enough(limits, needed(name))
    return operations.submit(
        "process-limits",
        title=f"Limiting formation-{name}",
        subject=name,
        params=asdict(limits),
        account=account,
    )


def needed(name: str) -> dict[str, int]:
    """What the process uses or may need, by the names of the limits."""
    try:
        found = report(settings())["processes"]
    except Unavailable:
        found = []
    seen: dict[str, int] = next((one for one in found if one["name"] == name), {})
    return {
        "memory_mib": -(-seen.get("memory", 0) // MIB),
        "files": seen.get("files", 0),
        "tasks": max(seen.get("tasks", 0), THREADS.get(name, 0)),
    }


def apply(run: Run) -> None:
    limits = Limits(**run.params)
    keeper = supervision.current(settings(), units(settings()))
    provide(settings(), run.subject, limits=limits)
    later = keeper.limit(run.subject, limits)
    for name, value in asdict(limits).items():
        run.log(f"{name} {value or 'without limit'}{note(name, value, later)}")
    refresh(settings())
    text = f"The limits of formation-{run.subject} were changed"
    events.happened(text, service="admin", subject=run.subject)
    run.memory["result"] = asdict(limits)


def note(name: str, value: int, later: frozenset[str]) -> str:
    """What is to be known of how a limit holds."""
    if value and name not in bounds.held():
        return ": this machine's kernel cannot hold it to that"
    if name in later:
        return ": from its next start, what runs cannot be changed on this machine"
    return ""


LIMIT = Kind("process-limits", (Step("apply", "Apply", apply),), "operator")
