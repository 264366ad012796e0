"""Erasing an account: its agents go to somebody else or go, and then it does.

What others need stays without it: the audit log with its chain, tasks and records under
an id that leads to nobody, sentences with a pseudonym. It is an operation whose steps
can each be done again. Its parameters have the name until all else is done.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from appliance import audit, clock, database, market, operations, shares, state
from appliance.admin import (
    accounts,
    invitations,
    removal,
    second_factor,
    sessions,
    throttle,
    tokens,
    traces,
)
from appliance.admin.accounts import Account, Credential
from appliance.admin.rights import may
from appliance.admin.support import shelf
from appliance.config import settings
from appliance.market import given_by
from appliance.operations import LIVE, Kind, Operation, Run, Step
from appliance.problems import Conflict, Invalid, NotFound, Problem

KIND = "account-erase"


@dataclass(frozen=True)
class Prospect:
    """What erasing an account takes: shown before it is asked for."""

    account: str
    agents: list[str]
    instances: int
    tasks: int
    tokens: int
    sessions: int
    hindrance: str


def prospect(name: str) -> Prospect:
    row = accounts.credential(name)
    try:
        accounts.must_leave_an_operator(row)
        hindrance = ""
    except Conflict as problem:
        hindrance = problem.detail
    return Prospect(
        name,
        market.agents_of(name),
        removal.left_behind(name)["instance"],
        sum(1 for _ in given_by(row.account)),
        len(tokens.of(row.account)),
        len(sessions.of(row.account)),
        hindrance,
    )


def request(name: str, heir: str, asker: Account) -> str:
    """Queue the erasure; `heir` is the name of the account that its agents go to, or
    empty where they are deleted. Returns the operation's id. Raises Problem."""
    row = accounts.credential(name)
    must_be_possible(row, heir)
    for live in operations.recent(1000, live=True):
        if live.kind == KIND and live.subject == row.account:
            raise Conflict(
                "account-erased",
                "The account is being erased already.",
                operation=live.id,
            )
    return operations.submit(
        KIND,
        title="Erasing an account",
        subject=row.account,
        params={"name": name, "heir": heir},
        account=asker.id,
    )


def must_be_possible(row: Credential, heir: str) -> None:
    """Raise Conflict or Invalid where this cannot be done to its end."""
    accounts.must_leave_an_operator(row)
    if not heir:
        return
    try:
        found = accounts.find(accounts.credential(heir).account)
    except NotFound:
        found = None
    if found is None or found.id == row.account or not may(found, "developer"):
        raise Invalid(
            f"{heir[:64]!r} cannot take the agents: name another account that is a "
            "developer or operator.",
            heir="Another developer or operator.",
        )
    market.must_have_room(row.name, heir)


def check(run: Run) -> None:
    """Only the account itself and operators; and nothing is changed yet."""
    row = accounts.credential(run.params["name"])
    asker = accounts.find(run.account)
    itself = run.account == run.subject
    if asker is None or not (itself or may(asker, "operator")):
        raise Problem("not-allowed", "Not done: only operators may.", status=403)
    must_be_possible(row, run.params["heir"])
    run.memory["pseudonym"] = f"gone-{clock.new_id()[-10:]}"
    run.memory["was_disabled"] = row.disabled is not None


def close(run: Run) -> None:
    """Nobody acts as it any longer, and what it has under way ends."""
    addresses = audit.addresses_of(run.params["name"], run.subject)
    addresses |= {found.address for found in sessions.of(run.subject)}
    addresses |= set(throttle.known(run.params["name"]))
    had = run.memory.get("addresses", ())
    run.remember(addresses=sorted({*addresses, *had}))
    accounts.disable(run.params["name"])
    tokens.revoke_all(run.subject)
    mine = Operation.select().where(
        (Operation.account == run.subject) & Operation.state.in_(LIVE)
    )
    for row in mine:
        if row.id != run.id:
            operations.cancel(row.id)


def reopen(run: Run) -> None:
    """Undo: where its agents could not go, the account stays as it was."""
    if accounts.exists(run.params["name"]) and not run.memory["was_disabled"]:
        accounts.disable(run.params["name"], disabled=False)


def settle(run: Run) -> None:
    """Its agents go to the heir, or go."""
    name, heir = run.params["name"], run.params["heir"]
    account = accounts.credential(heir).account if heir else ""
    for agent in market.agents_of(name):
        run.log(f"{agent} is {'handed over' if heir else 'deleted'}")
        if heir:
            market.hand_over_agent(run, agent, heir, account)
        else:
            market.delete_agent(run, agent)
    if heir:
        market.deploy_again(run, heir, account)
    market.forget_owner(name)


def forget(run: Run) -> None:
    """The account goes, and its name everywhere: one step, for who ends the operation
    in its middle would leave a name that nobody looks for any more."""
    drop(run)
    pseudonymise(run)
    clean_logs(run)


def drop(run: Run) -> None:
    """All that lets it in, and its own record."""
    name, id_ = run.params["name"], run.subject
    with database.node.atomic("immediate"):
        sessions.end_all(id_)
        tokens.revoke_all(id_)
        second_factor.turn_off(id_)
        invitations.forget(id_)
        shares.forget_account(id_)
        throttle.forget(name)
        throttle.release(name, id_)
        throttle.release_from(run.memory["addresses"])
        Credential.delete().where(Credential.account == id_).execute()
    for record in state.select("deployment", account=id_):
        agent = state.find("agent", record.body["agent"])
        if agent is not None:  # whose it is asked for it, from now on
            state.change("deployment", record.id, account=agent.body["owner"])
    state.remove("account", id_)


def pseudonymise(run: Run) -> None:
    """Sentences get a pseudonym; the audit log loses who it was."""
    name, addresses = run.params["name"], run.memory["addresses"]
    personal = [address for address in addresses if traces.is_personal(address)]
    rows = audit.erase(
        name, run.subject, addresses=personal, mentions=traces.mentions(name)
    )
    texts = traces.cleanse(name, run.memory["pseudonym"])
    run.log(f"{rows} entries of the audit log and {texts} texts name nobody now")
    run.log(f"{state.forget(name)} deleted records are forgotten")


def clean_logs(run: Run) -> None:
    """Files of the node's own logs; the journal of systemd has only ids."""
    wanted = traces.patterns(run.params["name"], run.memory["addresses"])
    files = [path for path in settings().log_dir.rglob("*") if path.is_file()]
    count = sum(traces.overwrite(path, wanted) for path in files)
    run.log(f"{count} places in {len(files)} files of logs were overwritten")
    gone = shelf.clear(settings())
    run.log(f"{gone} support bundles, which hold parts of the logs, are gone")


def finish(run: Run) -> None:
    """This operation forgets the name itself, and the files what was deleted."""
    if "name" in run.params:  # what was written down meanwhile
        audit.erase(run.subject, mentions=traces.mentions(run.params["name"]))
    run.memory = {"result": {"erased": run.subject}}
    Operation.update(params="{}").where(Operation.id == run.id).execute()
    run.remember()
    if not traces.compact():
        run.log("a reader kept the database from being compacted; it is done later")


ERASE = Kind(
    KIND,
    (
        Step("check", "Check", check),
        Step("close", "Close the account", close, reopen),
        Step("agents", "Hand over or delete its agents", settle),
        Step("forget", "Forget the account and its name", forget),
        Step("finish", "Write the databases anew", finish),
    ),
    role="account",
    private=("name", "heir"),
    asks_once=True,
)


def as_document(found: Prospect) -> dict[str, Any]:
    return asdict(found)
