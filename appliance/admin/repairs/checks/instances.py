"""Are instances as they should be, or does what is stay apart from what is wished?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import clock, market, operations, state, vmm
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.repairs.mending import follow
from appliance.config import Settings
from appliance.operations import Run
from appliance.problems import Conflict

SETTLES_S = 300.0
BUTTONS = {
    "deploy": "Deploy it again",
    "start": "Start it",
    "reboot": "Reboot it",
    "stop": "Stop it",
}


def find(settings: Settings) -> Iterator[Issue]:
    machines = vmm.states()
    live = operations.recent(limit=1000, live=True)
    attended = {row.id for row in live} | {row.subject for row in live}
    for record in state.select("instance"):
        if record.id in attended or clock.now() - changed(record) < SETTLES_S:
            continue
        body, machine = record.body, machines.get(record.id, "absent")
        verb = wanted(body["desired"], body["state"], machine)
        if verb:
            yield apart(record, machine, verb)


def changed(record: state.Record) -> float:
    """When its record was written last."""
    return (record.hlc >> 16) / 1000


def wanted(desired: str, now: str, machine: str) -> str:
    """The operation that brings both together; empty where they are. Pure."""
    if desired == "stopped":
        return "stop" if machine == "running" else ""
    if desired != "running" or now == "healthy":
        return ""
    return {"absent": "deploy", "off": "start"}.get(machine, "reboot")


def apart(record: state.Record, machine: str, verb: str) -> Issue:
    body = record.body
    word = {"absent": "gone"}.get(machine, machine)
    why = f": {body['reason']}" if body["reason"] else ""
    return Issue(
        "warning",
        f"{body['name']} is not as it should be",
        f"{body['agent']} ({record.id}) should be {body['desired']}; it is "
        f"{body['state']}{why}, and its machine is {word}. The node tries by itself, "
        "and has not managed for five minutes.",
        f"Its console says more: form vmm console {record.id}",
        subject=record.id,
        fix=Fix(BUTTONS[verb], losses(verb)),
        link=f"/vmm/{record.id}",
        state=f"{body['desired']} {body['state']} {machine}",
    )


def losses(verb: str) -> str:
    if verb != "deploy":
        return ""
    return "What the old instance wrote outside its volumes is not in the new one."


def mend(run: Run, subject: str) -> None:
    record = state.find("instance", subject)
    if record is None:
        return
    body = record.body
    machine = vmm.states().get(subject, "absent")
    verb = run.memory.get("verb") or wanted(body["desired"], body["state"], machine)
    if not verb:
        return
    run.remember(verb=verb)
    follow(run, lambda: submit(record, verb, run.account))


def submit(record: state.Record, verb: str, account: str) -> str:
    body = record.body
    if verb == "deploy":
        if "owner_name" not in body:
            raise Conflict("instance-unowned", f"{record.id} has no owner.")
        return market.again(body["owner_name"], body["name"], body["version"], account)
    title = f"{verb.capitalize()} {body['name']}"
    return operations.submit(
        verb, title=title, subject=record.id, params={}, account=account
    )


REPAIR = Repair("instances", "Instances as wished", find, mend)
