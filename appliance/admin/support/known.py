"""The secrets that this node has in clear or can open: for taking them out of a bundle.

Only root can read them all; nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appliance import identity, market
from appliance.admin.alerts import targets
from appliance.admin.alerts.targets import Hook
from appliance.admin.second_factor import SecondFactor
from appliance.admin.sessions import Session
from appliance.admin.setup import claim_file
from appliance.config import Settings

Source = Callable[[Settings], Iterator[str]]


def phrase(settings: Settings) -> Iterator[str]:
    found = identity.passphrase(settings)
    if found:
        yield found.decode(errors="replace").strip()


def claim(settings: Settings) -> Iterator[str]:
    file = claim_file(settings)
    if file.exists():
        yield file.read_text().strip()


def second_factors(settings: Settings) -> Iterator[str]:
    yield from (row.secret for row in SecondFactor.select())


def sessions(settings: Settings) -> Iterator[str]:
    yield from (row.csrf for row in Session.select())


def alerts(settings: Settings) -> Iterator[str]:
    """Addresses of webhooks, and what they are signed with."""
    for target in targets.every():
        if isinstance(target.where, Hook):
            yield target.where.url
        if target.has_secret and has_key(settings):
            yield targets.secret(settings, target.name)


def agents(settings: Settings) -> Iterator[str]:
    if has_key(settings):
        yield from market.secrets_in_clear()


def has_key(settings: Settings) -> bool:
    """Whether there is a sealing key; asking for it would make one."""
    return identity.key_files(settings)[1].exists()


SOURCES: tuple[Source, ...] = (
    phrase,
    claim,
    second_factors,
    sessions,
    alerts,
    agents,
)
