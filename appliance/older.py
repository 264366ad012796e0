"""The environment variables of the older Formation network, as aliases.

Only values that are set count; its defaults do not. Variables that mean nothing
any more are named in `notes`, with what to use instead.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

ALIASES: dict[str, tuple[str, ...]] = {
    "PACK_MANAGER_PORT": ("http", "https_port"),
    "PACK_MANAGER_INTERFACE": ("http", "https_host"),
    "FORMNET_LISTEN_PORT": ("formnet", "listen_port"),
    "FORMNET_EXTERNAL_ENDPOINT": ("formnet", "external_endpoint"),
    "FORMNET_LOG_LEVEL": ("log", "level"),
    "P2P_LOG_LEVEL": ("log", "level"),
    "VMM_IMAGES_DIR": ("vmm", "images_dir"),
    "VMM_VM_DIR": ("vmm", "instances_dir"),
    "DNS_PORT": ("dns", "port"),
    "WAIT_FOR": ("node", "wait_for"),
}

MEANINGLESS: dict[str, str] = {
    "P2P_NODE_ID": "a node's id is the fingerprint of its own Ed25519 key",
    "P2P_PRIVATE_KEY": "a node makes its own Ed25519 key at first start",
    "P2P_PORT": "HTTP has one port now: http.https_port",
    "P2P_STATE_URL": "state is local to the node",
    "P2P_DATA_DIR": "use FORMATION_DATA_DIR",
    "P2P_DB_DIR": "use FORMATION_DATA_DIR",
    "FORMNET_SERVER_PORT": "HTTP has one port now: http.https_port",
    "FORMNET_DATA_DIR": "use FORMATION_DATA_DIR",
    "FORMNET_CONFIG_DIR": "use FORMATION_CONFIG",
    "FORMNET_NETWORK_NAME": "use FORMATION_FORMNET__BRIDGE",
}


@dataclass(frozen=True)
class Translation:
    """`values` nest as the settings do; `notes` are sentences for the log."""

    values: dict[str, Any]
    notes: tuple[str, ...]


def _value(variable: str, text: str) -> Any:
    if variable == "WAIT_FOR":
        return [part for part in text.replace(",", " ").split() if part]
    if variable == "PACK_MANAGER_INTERFACE" and text.lower() == "all":
        return ""
    if variable.endswith("LOG_LEVEL"):
        return {"trace": "debug", "warn": "warning"}.get(text.lower(), text.lower())
    return text


PASSPHRASE = ("PACK_MANAGER_PASSWORD", "PACK_MANAGER_ENCRYPTED")


def take_passphrase(environ: MutableMapping[str, str]) -> str | None:
    """The pass phrase of the node's secrets, taken out of the environment so that no
    process which is started gets it; None where it is unset or switched off."""
    phrase, sealed = (environ.pop(name, "") for name in PASSPHRASE)
    return phrase if sealed.lower() not in ("false", "0", "no") and phrase else None


def translate(environ: Mapping[str, str]) -> Translation:
    """Settings and notes from the older variables in `environ`."""
    values: dict[str, Any] = {}
    for variable, (section, key) in ALIASES.items():
        if environ.get(variable):
            values.setdefault(section, {})[key] = _value(variable, environ[variable])
    notes = tuple(
        f"{variable} is set but means nothing here: {instead}."
        for variable, instead in MEANINGLESS.items()
        if variable in environ
    )
    return Translation(values, notes)
