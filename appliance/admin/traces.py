"""What is left of an account's name and addresses, found and taken out.

Texts of node.db get a pseudonym in the place of the name. In logs it is overwritten by
as many letters, where it stands, so that whoever writes on may do so. Pure, but for
`cleanse` and `overwrite`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from peewee import Model

from appliance import database, market
from appliance.admin.alerts import store as alerts
from appliance.admin.alerts.delivery import Delivery
from appliance.admin.repairs.kept import Found
from appliance.admin.settings_history import SettingChange
from appliance.events import Event
from appliance.journal import OperationLog
from appliance.operations import LIVE, Operation

KEYS = rb"account|owner|owner_name|caller|user|giver|name|subject"
TEXTS: tuple[tuple[type[Model], tuple[str, ...]], ...] = (
    (Event, ("subject", "text")),
    (OperationLog, ("line",)),
    (SettingChange, ("account", "why")),
    (alerts.Row, ("subject", "title", "value")),
    (alerts.SilenceRow, ("subject", "why", "account")),
    (Found, ("subject", "title", "text", "cure", "link", "ignored_by", "ignored_why")),
)
"""Tables with sentences, in which a name may stand."""
DOCUMENTS = ("params", "memory", "steps", "result", "error")
NAMES = frozenset({"account", "owner", "owner_name", "name"})
SENTENCES = frozenset({"detail", "title", "value"})
"""Members of documents that hold a name, and such that hold sentences."""


def is_personal(address: str) -> bool:
    """Whether an address says anything of who used it."""
    try:
        return not ip_address(address).is_loopback
    except ValueError:
        return False


def word(name: str) -> re.Pattern[str]:
    """The name by itself: not as a part of another."""
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def owner(name: str) -> re.Pattern[str]:
    """The name as that of an owner: of an agent's full name, or in a domain."""
    said = re.escape(name)
    return re.compile(rf"(?<![\w./-]){said}(?=/)|(?<=[\w-]\.){said}(?=\.[a-z])")


def mentions(name: str) -> Callable[[str], bool]:
    found = word(name)
    return lambda text: bool(found.search(text))


def renamed(value: Any, name: str, pseudonym: str, key: str = "") -> Any:
    """A document with the pseudonym where a member is the name, has it as an owner, or
    speaks of it: a name may be a word that means something else elsewhere."""
    if isinstance(value, dict):
        return {k: renamed(item, name, pseudonym, k) for k, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, name, pseudonym, key) for item in value]
    if not isinstance(value, str):
        return value
    if key in SENTENCES or (key in NAMES and value == name):
        return word(name).sub(pseudonym, value)
    return owner(name).sub(pseudonym, value)


def cleanse(name: str, pseudonym: str) -> int:
    """Put the pseudonym into the texts of node.db; says in how many."""
    found, count = word(name), 0
    for table, columns in TEXTS:
        for column in columns:
            field = getattr(table, column)
            rows = table.select().where(field.contains(name))
            for row in list(rows):
                text = found.sub(pseudonym, getattr(row, column))
                if text != getattr(row, column):
                    key: Any = table._meta.primary_key
                    mine = key == getattr(row, key.name)
                    table.update(**{column: text}).where(mine).execute()
                    count += 1
    count += market.reword_tasks(name, partial(renamed, name=name, pseudonym=pseudonym))
    count += _cleanse_messages(name, pseudonym)
    return count + _cleanse_operations(name, pseudonym)


def _cleanse_messages(name: str, pseudonym: str) -> int:
    """Of alerts, as they were sent or wait to be."""
    rows = list(Delivery.select().where(Delivery.body.contains(name)))
    for row in rows:
        text = json.dumps(renamed(json.loads(row.body), name, pseudonym))
        Delivery.update(body=text).where(Delivery.id == row.id).execute()
    return len(rows)


def _cleanse_operations(name: str, pseudonym: str) -> int:
    """Of those that have ended; the others need their names yet."""
    count = 0
    for row in Operation.select().where(Operation.state.not_in(LIVE)):
        change: dict[str, str] = {}
        for column in ("title", "subject"):
            change[column] = word(name).sub(pseudonym, getattr(row, column))
        for column in DOCUMENTS:
            text = getattr(row, column)
            if text and name in text:
                fresh = renamed(json.loads(text), name, pseudonym)
                change[column] = json.dumps(fresh)
        news = {key: text for key, text in change.items() if text != getattr(row, key)}
        if news:
            Operation.update(**news).where(Operation.id == row.id).execute()
            count += 1
    return count


def patterns(name: str, addresses: Iterable[str]) -> list[re.Pattern[bytes]]:
    """Where a name stands in a log as a name: as an owner before `/`, or after a key
    that says so; and the addresses."""
    said = re.escape(name.encode())
    found = [
        re.compile(owner(name).pattern.encode()),
        re.compile(
            rb"(?<![\w-])(?:"
            + KEYS
            + rb")[\"']?\s*[=:]\s*[\"']?("
            + said
            + rb")(?![\w-])"
        ),
    ]
    for address in filter(is_personal, addresses):
        quoted, more = re.escape(address.encode()), b":" if ":" in address else b""
        ends = rb"(?![\w" + more + rb"]|\.\w)"  # a port may follow IPv4
        found.append(re.compile(rb"(?<![\w.:])" + quoted + ends))
    return found


def overwrite(path: Path, wanted: Iterable[re.Pattern[bytes]]) -> int:
    """Write `x` over what the patterns find, in place; says how often."""
    count = 0
    try:
        with path.open("r+b") as file:
            text = file.read()
            for pattern in wanted:
                for match in pattern.finditer(text):
                    start, end = match.span(1 if pattern.groups else 0)
                    file.seek(start)
                    file.write(b"x" * (end - start))
                    count += 1
    except (FileNotFoundError, IsADirectoryError):  # it was rotated away meanwhile
        return count
    return count


def compact() -> bool:
    """Leave nothing of what was deleted in the files; says whether it could be done."""
    return database.compact(database.node)
