"""Rights on single agents, which their owners give to other accounts.

They stay in node.db, as roles do: whom an agent is shared with is its site's matter,
and no record that goes everywhere.
"""

from __future__ import annotations

from peewee import CompositeKey, FloatField, TextField

from appliance import clock
from appliance.database import NodeModel
from appliance.problems import Invalid

RIGHTS = {
    "call": "Find it in the catalogue and give it tasks.",
    "view": "Also see its instances, logs, measurements and operations.",
    "manage": "Also deploy and stop it, set its secrets, and see and end its tasks.",
}
"""Each includes those before it."""
RANKS = {right: rank for rank, right in enumerate(RIGHTS)}
EVERYONE = "everyone"


class Share(NodeModel):
    """`agent` is a full name, `account` an id or EVERYONE, `giver` an id."""

    agent = TextField()
    account = TextField()
    right = TextField()
    giver = TextField()
    given = FloatField()

    class Meta:
        primary_key = CompositeKey("agent", "account")


def give(agent: str, account: str, right: str, giver: str) -> None:
    """Give this right in the place of the one that was given before."""
    Share.insert(
        agent=agent,
        account=account,
        right=checked(right),
        giver=giver,
        given=clock.now(),
    ).on_conflict_replace().execute()


def checked(right: str) -> str:
    """The right, if it is one; raises Invalid."""
    if right not in RIGHTS:
        known = ", ".join(RIGHTS)
        raise Invalid(
            f"A right is one of {known}; not {right[:40]!r}.", right=f"One of {known}."
        )
    return right


def take(agent: str, account: str) -> bool:
    """Take an account's right away; says whether it had one."""
    mine = (Share.agent == agent) & (Share.account == account)
    return bool(Share.delete().where(mine).execute())


def on(agent: str) -> list[Share]:
    """Who has a right on the agent, the first given first."""
    return list(Share.select().where(Share.agent == agent).order_by(Share.given))


def of(account: str) -> tuple[tuple[str, str], ...]:
    """(agent, right) of all agents that are shared with an account, or with everyone;
    of two rights the stronger."""
    found: dict[str, str] = {}
    for row in Share.select().where(Share.account.in_((account, EVERYONE))):
        held = found.get(row.agent)
        if held is None or RANKS[row.right] > RANKS[held]:
            found[row.agent] = row.right
    return tuple(sorted(found.items()))


def move_agent(agent: str, fresh: str, owner: str) -> None:
    """The rights on an agent go with it to its new name; its new owner needs none."""
    for row in on(agent):
        if row.account != owner:
            give(fresh, row.account, row.right, row.giver)
    forget_agent(agent)


def forget_agent(agent: str) -> None:
    Share.delete().where(Share.agent == agent).execute()


def forget_account(account: str) -> None:
    Share.delete().where(Share.account == account).execute()
