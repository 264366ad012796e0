"""Who is at work on an agent: its deployments and deletions go one after the other."""

from __future__ import annotations

import json
import threading

from appliance import operations
from appliance.operations import Operation, Run

DELETIONS = ("delete-agent", "delete-version")


def agent_of(row: Operation) -> str | None:
    """The agent that a deployment or a deletion is about; None where that is not
    known yet, or where it is about something else."""
    if row.kind in DELETIONS:
        return str(row.subject).partition("@")[0]
    if row.kind != "deploy":
        return None
    wanted = json.loads(row.params).get("version", "").partition("@")[0]
    return json.loads(row.memory).get("agent") or wanted or None


def at_work(agent: str) -> list[Operation]:
    """What is known to be at work on an agent, the newest first."""
    live = operations.recent(limit=1000, live=True)
    return [row for row in live if agent_of(row) == agent]


def wait(run: Run, agent: str) -> None:
    """Wait for what was asked for earlier, by the operations' ids: also for a
    deployment of which it is not known yet what it deploys."""
    pause = threading.Event()
    while earlier := [
        row
        for row in operations.recent(limit=1000, live=True)
        if row.kind in ("deploy", *DELETIONS) and row.id < run.id
        if agent_of(row) in (None, agent)
    ]:
        run.check()
        what = "deployment" if earlier[-1].kind == "deploy" else "deletion"
        run.progress(None, f"waiting for the {what} {earlier[-1].id} of the same agent")
        pause.wait(0.5)
