"""Proving again who one is, before acts that cannot be taken back.

A session was proved at its log-in and whenever its account entered the password, and
the code where it has a second factor, again. Whoever finds a browser open has neither.
"""

from __future__ import annotations

from appliance import clock
from appliance.admin import accounts, passwords, second_factor, sessions, throttle
from appliance.admin.accounts import Account
from appliance.config import settings
from appliance.problems import Invalid


def is_fresh(session: sessions.Session) -> bool:
    """Whether the session's last proof counts still."""
    return bool(session.proved > clock.now() - settings().auth.proof_minutes * 60)


def give(
    session: sessions.Session, account: Account, password: str, code: str, address: str
) -> None:
    """Take password and code; raises Invalid, or too-many-attempts."""
    row = accounts.credential(account.name)
    with throttle.attempt("password", address, account=account.name):
        if not passwords.fits(row.password_hash, password):
            raise Invalid(
                "The password is wrong; nothing was done.",
                password="That is not your password.",
            )
    if second_factor.is_on(account.id):
        second_factor.check(account.id, account.name, code, address)
    sessions.prove(session)
