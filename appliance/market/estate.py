"""What becomes of an account's agents when it goes: another's, or nobody's.

A full name begins with its owner's, so an agent that is handed over is registered anew
and the old one goes; what runs is started again under the new name. Every part can be
done again.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from appliance import events, shares, state, vmm
from appliance.config import settings
from appliance.market import orders, secrets, tasks, turns, withdraw
from appliance.operations import Run
from appliance.problems import Conflict


def agents_of(owner: str) -> list[str]:
    """Full names of the agents of the account of this name."""
    return [record.id for record in state.select("agent", owner_name=owner)]


def must_have_room(owner: str, heir: str) -> None:
    """Raise Conflict where both have an agent of the same name."""
    theirs = {agent.partition("/")[2] for agent in agents_of(heir)}
    for agent in agents_of(owner):
        name = agent.partition("/")[2]
        if name in theirs:
            raise Conflict(
                "agent-taken",
                f"{heir} has an agent {name} already. Delete one of the two first, or "
                "hand the agents over to somebody else.",
            )


def delete(run: Run, agent: str) -> None:
    """The agent goes, with all on its volumes."""
    part = replace(run, subject=agent, params={"volumes": True})
    run.memory.pop("builds", None)
    for do in (
        withdraw.release,
        withdraw.unname,
        withdraw.forget_secrets,
        withdraw.delete_volumes,
        withdraw.leave,
    ):
        run.check()
        do(part)


def hand_over(run: Run, agent: str, heir: str, account: str) -> None:
    """The agent becomes one of the account `account`, whose name is `heir`."""
    owner, _, name = agent.partition("/")
    turns.wait(run, agent)
    _begin(run, agent, f"{heir}/{name}")
    part = replace(run, subject=agent)
    withdraw.release(part)
    withdraw.unname(part)
    secrets.hand_over(owner, name, heir)
    move_volumes(owner, name, heir)
    _register_anew(agent, f"{heir}/{name}", account)
    tasks.hand_over(agent, account)
    shares.move_agent(agent, f"{heir}/{name}", account)
    _withdraw(agent)
    text = f"{heir}/{name} was handed over to {heir}"
    events.happened(text, service="marketplace", subject=f"{heir}/{name}")


def deploy_again(run: Run, heir: str, account: str) -> None:
    """What ran of the agents that were handed over, as their new owner's."""
    for name, version in run.memory.get("ran", {}).items():
        done = run.memory.get("again", {})
        if version and name not in done:
            made = orders.again(heir, name, version, account)
            run.remember(again={**done, name: made})
            run.log(f"{heir}/{name} is deployed again by the operation {made}")


def _begin(run: Run, agent: str, fresh: str) -> None:
    """Remember which version runs, before a crash can make that unknown; and that the
    new name was free."""
    if agent not in run.memory.get("moving", []):
        if state.find("agent", fresh) is not None:
            raise Conflict("agent-taken", f"There is an agent {fresh} by now.")
        run.remember(moving=[*run.memory.get("moving", []), agent])
    running = [r.body for r in state.select("instance", agent=agent)]
    wanted = [body for body in running if body.get("desired") == "running"]
    ran = run.memory.get("ran", {})
    if wanted:
        ran = {**ran, agent.partition("/")[2]: wanted[-1].get("version")}
    run.remember(ran=ran)


def move_volumes(owner: str, name: str, heir: str) -> None:
    source, target = folder(owner) / name, folder(heir) / name
    if source.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)


def forget_owner(owner: str) -> None:
    """What agents of the account of this name left that went earlier, or that never
    were: volumes and secrets."""
    secrets.forget_all(owner)
    shutil.rmtree(folder(owner), ignore_errors=True)


def folder(owner: str) -> Path:
    """Where the volumes of an account's agents are."""
    return vmm.volume_file(settings(), owner, "x", "/x").parents[1]


def _register_anew(agent: str, fresh: str, account: str) -> None:
    """Versions first: the agent names the latest of them."""
    for record in state.select("version", agent=agent):
        body = {**record.body, "agent": fresh}
        state.put("version", f"{fresh}@{body['version']}", body)
    found = state.find("agent", agent)
    if found is not None:
        owned = {"owner": account, "owner_name": fresh.partition("/")[0]}
        state.put("agent", fresh, {**found.body, **owned})


def _withdraw(agent: str) -> None:
    for kind in ("deployment", "version"):
        for record in state.select(kind, agent=agent):
            state.remove(kind, record.id)
    state.remove("agent", agent)
