"""Failed attempts, counted: by address, and by account from strange addresses.

Attempts are rows of node.db, so a restart forgives nothing. An attempt counts from
its beginning and is taken back when it succeeds: many at once are no way around.

Whoever guesses at an account from many addresses is stopped by the account's own
count. That count spares loopback and the addresses where the account was logged in
during the last 30 days, so nobody can lock an operator out; and the CLI socket asks
for no password at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

from peewee import AutoField, CompositeKey, FloatField, TextField

from appliance import clock, database
from appliance.config import settings
from appliance.database import NodeModel
from appliance.problems import Problem

WINDOW_S = 600.0
KNOWN_S = 30 * 86400.0
PER_ACCOUNT = 5  # times the limit of one address


class Attempt(NodeModel):
    id = AutoField()
    what = TextField()
    address = TextField()
    time = FloatField()
    account = TextField(default="")


class KnownAddress(NodeModel):
    """Where an account was logged in, and when last."""

    account = TextField()
    address = TextField()
    time = FloatField()

    class Meta:
        table_name = "known_address"
        primary_key = CompositeKey("account", "address")


def network(address: str) -> str:
    """What one attacker has: an IPv4 address, or a /64 of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return parsed.exploded[:19] + "::/64"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@contextmanager
def attempt(what: str, address: str, account: str = "") -> Iterator[None]:
    """Count an attempt; it is taken back unless the block raises.

    `account` is the name that is tried. Raises too-many-attempts.
    """
    limit = settings().auth.attempts
    near = network(address)
    with database.node.atomic("immediate"):
        _must_be_few(what, near, limit)
        made = [_count(what, near, account)]
        if account and not is_known(account, address):
            _must_be_few(f"{what} as", account, limit * PER_ACCOUNT)
            made.append(_count(f"{what} as", account, account))
    yield
    Attempt.delete().where(Attempt.id.in_(made)).execute()


def _count(what: str, address: str, account: str) -> int:
    now = clock.now()
    Attempt.delete().where(Attempt.time < now - WINDOW_S).execute()
    made = Attempt.create(what=what, address=address, time=now, account=account)
    return int(made.id)


def _recent(what: str, address: str) -> int:
    counted = (Attempt.what == what) & (Attempt.address == address)
    since = clock.now() - WINDOW_S
    return int(Attempt.select().where(counted & (Attempt.time > since)).count())


def _must_be_few(what: str, address: str, limit: int) -> None:
    if _recent(what, address) >= limit:
        raise Problem(
            "too-many-attempts",
            "Too many failed attempts; wait ten minutes, or ask an operator to let you "
            "in again. On the node itself, form account reset does so at once.",
            status=429,
            retry_after=int(WINDOW_S),
        )


def is_known(account: str, address: str) -> bool:
    """Whether the account's own count spares this address."""
    try:
        if ip_address(address).is_loopback:
            return True
    except ValueError:
        return False
    row = KnownAddress.get_or_none(
        (KnownAddress.account == account) & (KnownAddress.address == network(address))
    )
    return bool(row and row.time > clock.now() - KNOWN_S)


def remember(account: str, address: str) -> None:
    """Note that the account was logged in from here."""
    now = clock.now()
    KnownAddress.delete().where(KnownAddress.time < now - KNOWN_S).execute()
    KnownAddress.insert(
        account=account, address=network(address), time=now
    ).on_conflict_replace().execute()


def known(account: str) -> list[str]:
    """Where the account of this name was logged in lately."""
    rows = KnownAddress.select().where(KnownAddress.account == account)
    return sorted(row.address for row in rows)


def forget(account: str) -> None:
    KnownAddress.delete().where(KnownAddress.account == account).execute()


def locked_out(*names: str) -> list[str]:
    """From where the account that goes by these names is refused for now: addresses,
    and `new addresses` once its own count is full."""
    since, limit = clock.now() - WINDOW_S, settings().auth.attempts
    own = Attempt.account.in_(names) & (Attempt.time > since)
    found = set()
    for row in Attempt.select(Attempt.what, Attempt.address).where(own).distinct():
        by_account = row.what.endswith(" as")
        if _recent(row.what, row.address) >= limit * (PER_ACCOUNT if by_account else 1):
            found.add("new addresses" if by_account else row.address)
    return sorted(found)


def release(*names: str) -> None:
    """Forget the failures of the account that goes by these names."""
    Attempt.delete().where(Attempt.account.in_(names)).execute()


def release_from(addresses: Iterable[str]) -> None:
    """Forget the failures that came from these addresses."""
    near = [network(address) for address in addresses]
    Attempt.delete().where(Attempt.address.in_(near)).execute()
