"""Agents shared with accounts, by the accounts' names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance import shares, state
from appliance.admin import accounts
from appliance.admin.accounts import Account
from appliance.admin.rights import may, may_change
from appliance.problems import Invalid, NotFound


@dataclass(frozen=True)
class Given:
    """A right on an agent; `account` is a name, or shares.EVERYONE."""

    agent: str
    account: str
    right: str
    giver: str
    given: float


def may_share(giver: Account, agent: str) -> bool:
    """Its owner and operators share an agent; who only manages it does not."""
    return may_change(giver, agent.partition("/")[0])


def may_see(looker: Account, agent: str) -> bool:
    """Whether the account sees whom the agent is shared with."""
    return may(looker, "auditor") or may_change(looker, agent)


def listing(agent: str) -> list[Given]:
    """Who has a right on the agent beyond its owner, operators and auditors."""
    return named(shares.on(agent))


def about(account: str) -> list[Given]:
    """What was shared with the account of this id, and by it."""
    mine = (shares.Share.account == account) | (shares.Share.giver == account)
    return named(shares.Share.select().where(mine))


def named(rows: Iterable[shares.Share]) -> list[Given]:
    names = {row.account: row.name for row in accounts.everyone()}
    names[shares.EVERYONE] = shares.EVERYONE
    return [
        Given(
            row.agent,
            names[row.account],
            row.right,
            names.get(row.giver, ""),
            row.given,
        )
        for row in rows
        if row.account in names
    ]


def share(agent: str, name: str, right: str, giver: Account) -> None:
    """Give the account of this name, or EVERYONE, this right; raises Invalid."""
    owner = agent.partition("/")[0]
    right, account = shares.checked(right), _id_of(name)
    if name == owner:
        raise Invalid(
            f"{agent} is {owner}'s own; share it with another account.",
            account="That is its owner.",
        )
    shares.give(agent, account, right, giver.id)


def unshare(agent: str, name: str) -> None:
    """Take the right of the account of this name away; raises NotFound."""
    if not shares.take(agent, _id_of(name)):
        raise NotFound("share-unknown", f"{agent} is not shared with {name}.")


def _id_of(name: str) -> str:
    if name == shares.EVERYONE:
        return name
    try:
        return str(accounts.credential(name).account)
    except NotFound as problem:
        raise Invalid(problem.detail, account="No such account.") from None


def must_be_shareable(wanted: Mapping[str, str]) -> None:
    """Raise Invalid unless these are agents and rights on them."""
    for agent, right in wanted.items():
        shares.checked(right)
        if state.find("agent", agent) is None:
            text = f"There is no agent {agent[:100]}."
            raise Invalid(text, agents=text)


def of(account: str) -> list[shares.Share]:
    """What was shared with the account of this id itself."""
    return list(shares.Share.select().where(shares.Share.account == account))
