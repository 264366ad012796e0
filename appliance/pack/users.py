"""The fields of a USER directive."""

from __future__ import annotations

import re
from typing import Any

from appliance.pack.formfile import GuestUser
from appliance.pack.passwd import hash_password
from appliance.pack.values import Wrong, absolute, shown, username

FIELDS = tuple(sorted({"passwd", *GuestUser.__annotations__} - {"passwd_hash"}))
KEY_TYPES = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def field(word: str) -> tuple[str, Any]:
    """Name and value of `field:value` or `field=value`. What is refused is not
    quoted beyond the field's name: it may be a password."""
    match = re.match(r"([A-Za-z_]{1,32})[:=]", word)
    if not match:
        raise Wrong("field:value is needed", f"Fields: {', '.join(FIELDS)}.", "field")
    name, value = match[1], word[match.end() :]
    if name not in FIELDS:
        raise Wrong(f"{name}: no such field", f"One of {', '.join(FIELDS)}.", "field")
    return ("passwd_hash" if name == "passwd" else name), _value(name, value)


def _value(name: str, text: str) -> Any:
    if name == "username":
        return username(text)
    if name == "passwd":
        return _password(text)
    if name == "shell":
        return absolute(text)
    if name == "groups":
        return tuple(username(part) for part in parts(text))
    if name == "ssh_authorized_keys":
        return tuple(_key(part) for part in parts(text))
    return boolean(name, text)


def _password(text: str) -> str:
    try:
        return hash_password(text)
    except ValueError as error:
        hint = "Leave the field out for a user without a password."
        raise Wrong(str(error), hint) from None


def parts(text: str) -> list[str]:
    """A comma list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _key(text: str) -> str:
    if not text.isprintable() or not any(kind in text for kind in KEY_TYPES):
        raise Wrong(
            f"{shown(text)} is not an SSH public key",
            "Quote the line of the .pub file: "
            'ssh_authorized_keys:"ssh-ed25519 AAAA… me@host".',
        )
    return text


def boolean(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise Wrong(
        f"{name} {shown(text)}: true or false is needed",
        f"{', '.join(_TRUE)} or {', '.join(_FALSE)}.",
    )


def contradictions(user: GuestUser) -> list[tuple[str, str]]:
    """Fields that have no effect beside the others: sentence and cure."""
    found = []
    if user.ssh_pwauth and (not user.passwd_hash or user.lock_passwd):
        found.append(
            (
                "ssh_pwauth has no effect without a passwd that is not locked",
                "Add passwd, or use ssh_authorized_keys.",
            )
        )
    if user.chpasswd_expire and not user.passwd_hash:
        found.append(("chpasswd_expire has no effect without passwd", "Add passwd."))
    if user.disable_root and user.username == "root":
        found.append(("disable_root ends this login too", "Remove one of the two."))
    return found
