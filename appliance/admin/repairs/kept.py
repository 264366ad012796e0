"""What was found, kept in node.db: pages, API and alerts read it from there.

An issue that is gone is forgotten, and with it that somebody ignored it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import FloatField, TextField

from appliance import clock
from appliance.admin.repairs.issue import SEVERITIES, Issue
from appliance.database import NodeModel, node
from appliance.problems import Invalid, NotFound

WHY = 300


class Found(NodeModel):
    """An issue; `id` is its check, and its subject where it has one. `ignored` is the
    mark that it had when it was ignored."""

    id = TextField(primary_key=True)
    name = TextField()
    subject = TextField()
    severity = TextField()
    title = TextField()
    text = TextField()
    cure = TextField()
    link = TextField()
    button = TextField()
    loses = TextField()
    mark = TextField()
    since = FloatField()
    ignored = TextField(default="")
    ignored_by = TextField(default="")
    ignored_why = TextField(default="")
    ignored_at = FloatField(null=True)

    class Meta:
        table_name = "repair"

    @property
    def is_ignored(self) -> bool:
        return bool(self.ignored == self.mark)


class Look(NodeModel):
    """When a check looked last; `trouble` is why it could not."""

    name = TextField(primary_key=True)
    title = TextField()
    looked = FloatField()
    trouble = TextField()

    class Meta:
        table_name = "repair_look"


def id_of(name: str, subject: str) -> str:
    return f"{name}:{subject}" if subject else name


def keep(name: str, title: str, issues: Iterable[Issue]) -> None:
    """Replace what a check found before."""
    now, rows = clock.now(), {id_of(name, one.subject): one for one in issues}
    with node.atomic("immediate"):
        before = {row.id: row for row in Found.select().where(Found.name == name)}
        for id_, issue in rows.items():
            members = {**columns(name, issue), "since": now}
            if id_ not in before:
                Found.create(id=id_, **members)
                continue
            if before[id_].mark == issue.mark:
                del members["since"]
            Found.update(**members).where(Found.id == id_).execute()
        Found.delete().where(Found.id.in_(before.keys() - rows.keys())).execute()
        looked(name, title, "")


def columns(name: str, issue: Issue) -> dict[str, Any]:
    plain = ("subject", "severity", "title", "text", "cure", "link", "mark")
    return {
        "name": name,
        **{key: getattr(issue, key) for key in plain},
        "button": issue.fix.button if issue.fix else "",
        "loses": issue.fix.loses if issue.fix else "",
    }


def looked(name: str, title: str, trouble: str) -> None:
    """Note that a check looked; where it could not, what it found before stays."""
    row = {"name": name, "title": title, "looked": clock.now(), "trouble": trouble}
    Look.insert(**row).on_conflict_replace().execute()


def forget_others(names: Iterable[str]) -> None:
    """Drop what checks found that there are no more."""
    known = list(names)
    for table in (Found, Look):
        table.delete().where(table.name.not_in(known)).execute()


def found() -> list[Found]:
    """All issues: those that nobody ignores first, the most severe first."""
    rows = list(Found.select().order_by(Found.since, Found.id))
    return sorted(rows, key=lambda r: (r.is_ignored, SEVERITIES.index(r.severity)))


def looks() -> list[Look]:
    return list(Look.select().order_by(Look.title))


def get(id_: str) -> Found:
    row = Found.get_or_none(Found.id == id_)
    if row is None:
        raise NotFound(
            "repair-unknown", f"There is no repair {id_[:120]!r}, or it is done by now."
        )
    return row


def count() -> int:
    """Issues that nobody ignores."""
    return int(Found.select().where(Found.ignored != Found.mark).count())


def worst() -> dict[str, str]:
    """Of each check that ever looked, how bad the worst issue is that nobody ignores;
    `ok` where there is none."""
    severities = {look.name: "ok" for look in looks()}
    for row in reversed(found()):
        if not row.is_ignored:
            severities[row.name] = row.severity
    return severities


def ignore(id_: str, account: str, why: str) -> Found:
    """Say no more of an issue until it changes; raises NotFound, Invalid."""
    row, why = get(id_), " ".join(why.split())
    if len(why) > WHY:
        raise Invalid(f"why: at most {WHY} characters.", why="It is too long.")
    Found.update(
        ignored=row.mark, ignored_by=account, ignored_why=why, ignored_at=clock.now()
    ).where(Found.id == id_).execute()
    return get(id_)


def heed(id_: str) -> Found:
    """Say it again."""
    get(id_)
    Found.update(ignored="", ignored_by="", ignored_why="", ignored_at=None).where(
        Found.id == id_
    ).execute()
    return get(id_)
