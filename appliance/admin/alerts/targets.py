"""Where alerts are told: e-mail and webhooks, with secrets sealed to the node.

Operators alone set them. What is sent comes from formation-jobs, so an address may
lead to the node itself or its LAN; redirects are not followed, and of an answer only
its status is kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any
from urllib.parse import urlsplit

from peewee import BlobField, FloatField, TextField

from appliance import clock, identity
from appliance.admin.alerts.rules import NAME
from appliance.config import Settings
from appliance.database import NodeModel
from appliance.problems import Invalid, NotFound

KINDS = ("email", "standard", "ntfy", "slack")
TLS = ("starttls", "tls", "none")
SECRET_PREFIX = "whsec_"


@dataclass(frozen=True)
class Mail:
    """An SMTP server and who is written to."""

    host: str
    port: int
    tls: str
    sender: str
    to: str
    user: str = ""


@dataclass(frozen=True)
class Hook:
    """A web address that is posted to."""

    url: str


@dataclass(frozen=True)
class Target:
    """`kind` is email, or the shape of a webhook: standard, ntfy, slack."""

    name: str
    kind: str
    where: Mail | Hook
    has_secret: bool


class Row(NodeModel):
    name = TextField(primary_key=True)
    kind = TextField()
    body = TextField()
    sealed = BlobField(null=True)
    changed = FloatField()

    class Meta:
        table_name = "alert_target"


def as_target(row: Row) -> Target:
    body = json.loads(row.body)
    where: Mail | Hook = Mail(**body) if row.kind == "email" else Hook(**body)
    return Target(row.name, row.kind, where, row.sealed is not None)


def every() -> list[Target]:
    return [as_target(row) for row in Row.select().order_by(Row.name)]


def get(name: str) -> Target:
    return as_target(_row(name))


def _row(name: str) -> Row:
    row = Row.get_or_none(Row.name == name)
    if row is None:
        raise NotFound("target-unknown", f"Alerts are not told to any {name!r}.")
    return row


def document(target: Target) -> dict[str, Any]:
    """As the API shows it; the secret stays inside, and so does a webhook's path,
    which often is one."""
    found = {"name": target.name, "kind": target.kind, "has_secret": target.has_secret}
    if isinstance(target.where, Mail):
        return {**found, **asdict(target.where)}
    return {**found, "host": urlsplit(target.where.url).netloc.rpartition("@")[2]}


def put(settings: Settings, name: str, wish: Mapping[str, Any]) -> Target:
    """Make a target or replace it; without `secret` it keeps the one it has, unless
    it leads somewhere else now."""
    kind = wish.get("kind")
    given = {k: v for k, v in wish.items() if k not in ("kind", "secret", "name")}
    errors = {} if NAME.fullmatch(name) else {"name": "name: a to z, 0 to 9 and -"}
    if kind not in KINDS:
        errors["kind"] = f"kind: one of {', '.join(KINDS)}"
    else:
        errors |= wrong(str(kind), given)
    secret = wish.get("secret") or ""
    errors |= wrong_secret(str(kind), secret)
    if errors:
        raise Invalid("; ".join(errors.values()) + ".", **errors)
    where = mail(given) if kind == "email" else Hook(given["url"].strip())
    body = json.dumps(asdict(where))
    sealed = _kept(name, str(kind), where)
    if secret:
        sealed = identity.seal(identity.sealing_public(settings), secret.encode())
    row = {"name": name, "kind": kind, "body": body, "sealed": sealed}
    Row.insert(**row, changed=clock.now()).on_conflict_replace().execute()
    return get(name)


def _kept(name: str, kind: str, where: Mail | Hook) -> bytes | None:
    """The sealed secret that a target goes on with: it is not sent elsewhere."""
    row = Row.get_or_none(Row.name == name)
    if row is None or row.kind != kind or row.sealed is None:
        return None
    old = as_target(row).where
    return bytes(row.sealed) if place(old) == place(where) else None


def place(where: Mail | Hook) -> tuple[object, ...]:
    """What must stay the same for a secret to be kept."""
    if isinstance(where, Mail):
        return where.host, where.port, where.tls, where.user
    return urlsplit(where.url)[:2]


def mail(given: Mapping[str, Any]) -> Mail:
    return Mail(
        given["host"].strip(),
        int(given.get("port", 587)),
        given.get("tls", "starttls"),
        given["sender"].strip(),
        ", ".join(addresses(given["to"])),
        given.get("user", "").strip(),
    )


def wrong(kind: str, given: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a target's members, by member."""
    fields = ("host", "port", "tls", "sender", "to", "user")
    known = set(fields if kind == "email" else ("url",))
    errors = {key: f"{key}: {kind} has none" for key in set(given) - known}
    for key, value in given.items():
        if key != "port" and not isinstance(value, str):
            errors[key] = f"{key}: a text is needed"
    if errors:
        return errors
    return wrong_mail(given) if kind == "email" else wrong_url(given.get("url", ""))


def wrong_mail(given: Mapping[str, Any]) -> dict[str, str]:
    errors = {}
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", given.get("host", "").strip()):
        errors["host"] = "host: the mail server's name or address"
    port = given.get("port", 587)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        errors["port"] = "port: 1 to 65535; often 587, or 465 with tls"
    if given.get("tls", "starttls") not in TLS:
        errors["tls"] = f"tls: one of {', '.join(TLS)}"
    if not is_address(given.get("sender", "").strip()):
        errors["sender"] = "sender: one e-mail address"
    to = addresses(given.get("to", ""))
    if not 1 <= len(to) <= 20 or not all(map(is_address, to)):
        errors["to"] = "to: e-mail addresses, with commas between them"
    user = given.get("user", "")
    if len(user) > 200 or not user.isprintable():
        errors["user"] = "user: the name that the server knows"
    if user and given.get("tls") == "none":
        errors["tls"] = "tls: a password is not sent without TLS"
    return errors


def addresses(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def is_address(text: str) -> bool:
    try:
        found = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return False
    complete = bool(found.username and found.domain)
    return complete and text.isascii() and text.isprintable()


def wrong_url(url: str) -> dict[str, str]:
    try:
        found = urlsplit(url.strip())
        is_fine = found.scheme in ("http", "https") and bool(found.hostname)
        is_fine = is_fine and (found.port or 1) > 0 and url.isprintable()
    except ValueError:
        is_fine = False
    if not is_fine or " " in url.strip() or len(url) > 2000:
        return {"url": "url: an address that begins with https:// or http://"}
    return {}


def wrong_secret(kind: str, secret: object) -> dict[str, str]:
    if not isinstance(secret, str) or len(secret) > 1000 or not secret.isprintable():
        return {"secret": "secret: one line of at most 1000 characters"}
    if kind == "standard" and secret and signing_key(secret) is None:
        text = f"secret: {SECRET_PREFIX} and 24 to 64 bytes in base64"
        return {"secret": text}
    return {}


def signing_key(secret: str) -> bytes | None:
    """The bytes of a Standard Webhooks secret; None where it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    right = secret.startswith(SECRET_PREFIX) and 24 <= len(key) <= 64
    return key if right else None


def secret(settings: Settings, name: str) -> str:
    """The secret, for formation-jobs: only root can unseal it."""
    sealed = _row(name).sealed
    if sealed is None:
        return ""
    return identity.unseal(identity.sealing_key(settings), bytes(sealed)).decode()


def forget(name: str) -> None:
    _row(name).delete_instance()
