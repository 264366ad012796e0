"""All that the node keeps about one account, for whom it is about.

Nothing in it lets anybody in: neither hashes of passwords and tokens, nor the second
factor.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import IO, Any

from appliance import clock, market, operations, state
from appliance.admin import accounts, invitations, sessions, sharing, throttle, tokens
from appliance.admin.settings_history import SettingChange
from appliance.audit import Audit
from appliance.operations import Operation

README = """What this node keeps about the account {name}, as of {now}.

account.json       the account, its roles, where it logged in
sessions.json      browsers that are logged in
tokens.json        API tokens, without the tokens
invitations.json   links that set a password, without the links
rights.json        agents of others that were shared with it, and by it with whom
agents.json        agents that it owns, with versions and instances
tasks.json         tasks that it gave, with what went in and came out
operations.json    what it had the node do
audit.json         what it changed, and what it was refused
settings.json      settings that it changed
"""
Rows = Iterable[Mapping[str, Any]]


def archive(name: str) -> IO[bytes]:
    """A ZIP file of JSON documents, at its beginning; raises NotFound."""
    row = accounts.credential(name)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is read later
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as into:
        now = clock.rfc3339(clock.now())
        into.writestr("README.txt", README.format(name=name, now=now))
        into.writestr("account.json", pretty(account(row)))
        for what, rows in parts(row).items():
            with into.open(f"{what}.json", "w") as member:
                for piece in listed(rows):
                    member.write(piece.encode())
    file.seek(0)
    return file


def pretty(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def listed(rows: Rows) -> Iterator[str]:
    """A JSON array, piece by piece: there may be many tasks."""
    before = "[\n"
    for row in rows:
        yield before + pretty(row).rstrip()
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def account(row: accounts.Credential) -> dict[str, Any]:
    return accounts.as_document(row) | {"known_addresses": throttle.known(row.name)}


def parts(row: accounts.Credential) -> dict[str, Rows]:
    """What is kept, by the names of the files."""
    id_, name = str(row.account), str(row.name)
    return {
        "sessions": [browser(found) for found in sessions.of(id_)],
        "tokens": [tokens.as_document(token) for token in tokens.of(id_)],
        "invitations": invitations.of(id_),
        "rights": [right(share) for share in sharing.about(id_)],
        "agents": map(agent, market.agents_of(name)),
        "tasks": market.given_by(id_),
        "operations": operations_of(id_),
        "audit": audit_of(name, id_),
        "settings": settings_of(name),
    }


def browser(found: sessions.Browser) -> dict[str, Any]:
    times = {"created": clock.rfc3339(found.created), "seen": clock.rfc3339(found.seen)}
    return {"browser": found.browser, "address": found.address, **times}


def right(given: sharing.Given) -> dict[str, Any]:
    return {**asdict(given), "given": clock.rfc3339(given.given)}


def agent(full: str) -> dict[str, Any]:
    found = state.find("agent", full)
    return {
        "id": full,
        **(found.body if found else {}),
        "versions": [r.body for r in state.select("version", agent=full)],
        "instances": [
            {"id": r.id, **r.body} for r in state.select("instance", agent=full)
        ],
    }


def operations_of(account: str) -> Iterator[dict[str, Any]]:
    mine = Operation.select().where(Operation.account == account)
    return map(operations.as_document, mine.order_by(Operation.id))


def audit_of(*names: str) -> Iterator[dict[str, Any]]:
    for row in Audit.select().where(Audit.account.in_(names)).order_by(Audit.id):
        texts = ("account", "address", "action", "subject", "outcome")
        when = clock.rfc3339(row.time)
        yield {"time": when, **{text: getattr(row, text) for text in texts}}


def settings_of(name: str) -> Iterator[dict[str, Any]]:
    for row in SettingChange.select().where(SettingChange.account == name):
        yield {"time": clock.rfc3339(row.time), "why": row.why}
