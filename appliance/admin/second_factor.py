"""The second factor of an account: codes by time (TOTP, RFC 6238) and recovery codes.

The secret lies in node.db, which only formation-web and root can read, and which must
know it to check a code. A code is taken once; a recovery code too, and of those only
hashes are kept.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

import pyotp
from peewee import CompositeKey, FloatField, IntegerField, TextField

from appliance import clock, database
from appliance.admin import throttle
from appliance.database import NodeModel
from appliance.problems import Conflict, Invalid

STEP_S = 30
RECOVERY_CODES = 10
PENDING_S = 300.0
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like another
WRONG = "That code is not right. It changes every 30 seconds; each is taken once."


class SecondFactor(NodeModel):
    """`confirmed` is since when it counts; `last_step` is that of the last code."""

    account = TextField(primary_key=True)
    secret = TextField()
    confirmed = FloatField(null=True)
    last_step = IntegerField(default=0)

    class Meta:
        table_name = "second_factor"


class RecoveryCode(NodeModel):
    account = TextField()
    code_hash = TextField()

    class Meta:
        table_name = "recovery_code"
        primary_key = CompositeKey("account", "code_hash")


class PendingLogin(NodeModel):
    """A password was right; the code is still to come."""

    token_hash = TextField(primary_key=True)
    account = TextField()
    expires = FloatField()

    class Meta:
        table_name = "pending_login"


def is_on(account: str) -> bool:
    """Whether the account of this id needs a code to log in."""
    row = SecondFactor.get_or_none(SecondFactor.account == account)
    return row is not None and row.confirmed is not None


def begin(account: str) -> str:
    """A fresh secret, in base32; it counts once a code of it was confirmed."""
    if is_on(account):
        raise Conflict(
            "second-factor-on", "It is on already; turn it off first to set it anew."
        )
    secret = pyotp.random_base32()
    SecondFactor.insert(account=account, secret=secret).on_conflict_replace().execute()
    return secret


def pending_secret(account: str) -> str:
    """The secret that is not confirmed yet; empty where there is none."""
    row = SecondFactor.get_or_none(SecondFactor.account == account)
    return row.secret if row is not None and row.confirmed is None else ""


def address(secret: str, name: str, node: str) -> str:
    """What an authenticator reads from the QR code (otpauth://)."""
    issuer = f"Formation {node}".strip()
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def confirm(account: str, name: str, code: str, where: str) -> list[str]:
    """Turn it on, and give the recovery codes, which are shown this once. `name` is the
    account's, by which failed attempts are counted."""
    if not pending_secret(account):
        raise Conflict("second-factor-unasked", "Begin first: a secret is needed.")
    with throttle.attempt("code", where, account=name):
        _use(account, code)
    with database.node.atomic("immediate"):
        SecondFactor.update(confirmed=clock.now()).where(
            SecondFactor.account == account
        ).execute()
        return _new_recovery_codes(account)


def _new_recovery_codes(account: str) -> list[str]:
    codes = [
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in "12")
        for _ in range(RECOVERY_CODES)
    ]
    RecoveryCode.delete().where(RecoveryCode.account == account).execute()
    for code in codes:
        RecoveryCode.create(account=account, code_hash=digest(code))
    return codes


def recovery_codes(account: str) -> int:
    """How many are left."""
    return int(RecoveryCode.select().where(RecoveryCode.account == account).count())


def digest(text: str) -> str:
    """Codes have 49 bits of chance, so a plain hash keeps them."""
    return sha256(text.strip().lower().encode()).hexdigest()


def check(account: str, name: str, code: str, where: str) -> None:
    """Take a code or a recovery code; raises Invalid, or too-many-attempts."""
    with throttle.attempt("code", where, account=name):
        _use(account, code)


def _use(account: str, code: str) -> None:
    code = "".join(code.split()).lower()
    with database.node.atomic("immediate"):
        row = SecondFactor.get_or_none(SecondFactor.account == account)
        if row is None or not (_is_timely(row, code) or _is_recovery(row, code)):
            raise Invalid(WRONG, code="Not right.")


def _is_timely(row: SecondFactor, code: str) -> bool:
    """Of this step or its neighbours, and later than the last that was taken."""
    totp, now = pyotp.TOTP(row.secret), int(clock.now()) // STEP_S
    for step in (now - 1, now, now + 1):
        fits = secrets.compare_digest(totp.at(step * STEP_S).encode(), code.encode())
        if fits and step > row.last_step:
            SecondFactor.update(last_step=step).where(
                SecondFactor.account == row.account
            ).execute()
            return True
    return False


def _is_recovery(row: SecondFactor, code: str) -> bool:
    mine = (RecoveryCode.account == row.account) & (
        RecoveryCode.code_hash == digest(code)
    )
    return row.confirmed is not None and bool(
        RecoveryCode.delete().where(mine).execute()
    )


def turn_off(account: str) -> bool:
    """Forget secret and recovery codes; says whether it was on."""
    with database.node.atomic("immediate"):
        was = is_on(account)
        for table in (SecondFactor, RecoveryCode, PendingLogin):
            table.delete().where(table.account == account).execute()
        return was


def wait_for_code(account: str) -> str:
    """The password was right: a token for the cookie of the log-in's second step."""
    token, now = secrets.token_urlsafe(32), clock.now()
    PendingLogin.delete().where(PendingLogin.expires < now).execute()
    PendingLogin.create(
        token_hash=digest_of(token), account=account, expires=now + PENDING_S
    )
    return token


def waiting(token: str) -> str | None:
    """The account whose code is waited for."""
    row = PendingLogin.get_or_none(PendingLogin.token_hash == digest_of(token))
    return row.account if row is not None and row.expires > clock.now() else None


def digest_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def forget(token: str) -> None:
    PendingLogin.delete().where(PendingLogin.token_hash == digest_of(token)).execute()
